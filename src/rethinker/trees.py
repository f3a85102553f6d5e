"""Trees of named values: settings, as they stand in a recipe or a JSON file."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def leaves(tree: Mapping[str, Any], above: str = "") -> dict[str, Any]:
    """Every value that is no mapping itself, by its dotted name, in the tree's order.

    Args:
        above: What the names begin with.
    """
    found: dict[str, Any] = {}
    for name, value in tree.items():
        found |= leaves(value, f"{above}{name}.") if isinstance(value, Mapping) else {f"{above}{name}": value}
    return found
