"""A report opened in a browser, drawn to where it can be read."""

from __future__ import annotations

from functools import partial

import pytest
from tests.pages import Open


@pytest.fixture
def visit(visit: Open) -> Open:
    """Open a report, and wait for its first response."""
    return partial(visit, until="#rollouts .response.open")
