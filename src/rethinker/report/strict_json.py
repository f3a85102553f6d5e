"""Values as a browser reads them: what is no JSON there becomes null or text."""

from __future__ import annotations

import math
from typing import Any

_PLAIN = frozenset({int, str, bool, type(None)})


def strict(value: Any) -> Any:
    """A value in strict JSON: numbers that are not finite are null, names are text, dates and the like are text."""
    if isinstance(value, dict):
        return {str(key): strict(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        if _PLAIN.issuperset(map(type, value)):  # long lists of tokens
            return list(value)
        return [strict(each) for each in value]
    if value is None or isinstance(value, str | int):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return str(value)
