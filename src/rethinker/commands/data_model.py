"""The model that a `rethinker data` command asks, and the settings it asks it under."""

from __future__ import annotations

from collections.abc import Sequence

from rethinker.build_model import build_vlm, set_threads
from rethinker.commands.settings import split_settings
from rethinker.commands.train import quieten
from rethinker.config import Config
from rethinker.config_files import load
from rethinker.models.vlm import VLM


def settings_for(model: str, given: Sequence[str], overrides: Sequence[str]) -> Config:
    """A run's configuration with this model: defaults, the YAML files and overrides given, then what options say.

    Raises:
        ConfigError: a file or an override does not fit.
    """
    files, chosen = split_settings(given)
    return load(files, [*chosen, f"model.path={model}", *overrides])


def load_model(config: Config) -> VLM:
    """Load the model onto its device.

    Raises:
        ModelError: it cannot be loaded.
    """
    quieten()
    set_threads(config.threads)
    return build_vlm(config)
