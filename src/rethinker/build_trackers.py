"""From `trackers` to where a run's metrics go."""

from __future__ import annotations

from collections.abc import Iterator
from importlib.util import find_spec

from rethinker.config import Config, TrackerConfig
from rethinker.errors import ConfigError
from rethinker.interfaces import Tracker
from rethinker.runs.folder import RunFolder
from rethinker.runs.service_tracker import ServiceTracker
from rethinker.runs.shown import Showing
from rethinker.runs.trackers import JsonlTracker, TensorBoardTracker, Trackers
from rethinker.trees import leaves


def build_trackers(config: Config, folder: RunFolder) -> Trackers:
    """`metrics.jsonl` always, and whatever was asked for."""
    return Trackers([JsonlTracker(folder.metrics_file), *_others(config, folder)])


def refuse_absent_services(settings: TrackerConfig) -> None:
    """The library of every service that was asked for is there.

    Raises:
        ConfigError: one is not.
    """
    for kind in _services(settings):
        if find_spec(kind) is None:
            raise ConfigError(
                f"trackers.{kind}=true needs {kind}, which is not installed: pip install 'rethinker[{kind}]'"
            )


def _services(settings: TrackerConfig) -> list[str]:
    asked = {"wandb": settings.wandb, "trackio": settings.trackio, "mlflow": settings.mlflow}
    return [kind for kind, wanted in asked.items() if wanted]


def _others(config: Config, folder: RunFolder) -> Iterator[Tracker]:
    settings = config.trackers
    showing = Showing(every=settings.show_every, count=settings.show_count)
    if settings.tensorboard:
        yield TensorBoardTracker(folder.tensorboard, showing=showing)
    for kind in _services(settings):
        yield ServiceTracker(
            kind,
            folder.path / "trackers" / kind,
            project=settings.project,
            run=folder.path.resolve().name,
            settings=leaves(config.model_dump(mode="json")),
            showing=showing,
            patience=settings.patience,
        )
