"""The settings of a benchmark that has several."""

from __future__ import annotations

from collections.abc import Sequence

from rethinker.errors import ConfigError


def chosen(name: str, setting: str, settings: Sequence[str]) -> str:
    """The setting that is named; the first where none is.

    Raises:
        ConfigError: the benchmark has no such setting.
    """
    if setting and setting not in settings:
        raise ConfigError(f"{name} has no setting {setting!r}; choose one of {', '.join(settings)}")
    return setting or settings[0]
