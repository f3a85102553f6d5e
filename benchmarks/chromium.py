"""The system's Chromium, driven by playwright, for what must be seen in a real browser."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
)
"""It asks nobody for anything of its own accord, and starts as root and without a screen."""


@contextmanager
def browser() -> Iterator[Any]:
    """A fresh one.

    Raises:
        LookupError: playwright or Chromium is not installed.
    """
    try:
        from playwright.sync_api import sync_playwright
    except ImportError as error:
        raise LookupError("playwright is not installed: pip install playwright") from error
    path = shutil.which("chromium")
    if path is None:
        raise LookupError("there is no chromium: apt-get install chromium")
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=path, args=list(FLAGS))
        yield started
        started.close()
