"""The tracking services: Weights & Biases, trackio and MLflow, each behind the same three calls.

Lives in a process of its own (`service_process`): what a service's library does there is no matter of the run's. Where
it sends things, and as whom, is the library's own to know (`WANDB_MODE`, `MLFLOW_TRACKING_URI`, …).
"""

from __future__ import annotations

import base64
import html
import io
import time
import uuid
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import PIL.Image

from rethinker.runs.shown import COLUMNS

Metrics = Mapping[str, float]
Response = Mapping[str, Any]
"""A `ShownResponse`, from JSON."""

_SHOWN = "rollouts"
"""The name of the responses, everywhere."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """What a service is told of a run.

    Attributes:
        folder: For its own files, and the name by which it knows the run again after a resume.
        settings: The run's configuration, by dotted names.
    """

    project: str
    run: str
    folder: Path
    settings: Mapping[str, Any]


class Service(ABC):
    """Somewhere outside the run folder that shows runs."""

    @abstractmethod
    def log(self, step: int, metrics: Metrics) -> None:
        """One step's metrics."""

    @abstractmethod
    def show(self, step: int, responses: Sequence[Response]) -> None:
        """Some of one step's responses."""

    @abstractmethod
    def close(self) -> None:
        """All has been said."""


class Wandb(Service):
    """Weights & Biases. A resumed run goes on under its own id; steps logged again are drawn over the old ones."""

    def __init__(self, account: Account) -> None:
        import wandb

        self._wandb = wandb
        self._run = wandb.init(
            project=account.project,
            name=account.run,
            id=_known_as(account, uuid.uuid4().hex[:12]),
            resume="allow",
            dir=account.folder,
            config=dict(account.settings),
        )
        self._run.define_metric("*", step_metric="step")

    def log(self, step: int, metrics: Metrics) -> None:
        """See `Service`."""
        self._run.log({"step": step, **metrics})

    def show(self, step: int, responses: Sequence[Response]) -> None:
        """See `Service`."""
        table = self._wandb.Table(columns=list(COLUMNS), data=[[each[name] for name in COLUMNS] for each in responses])
        images = [self._wandb.Image(image, caption=each["problem_id"]) for each in responses if (image := _image(each))]
        self._run.log({"step": step, _SHOWN: table, f"{_SHOWN}/images": images})

    def close(self) -> None:
        """See `Service`."""
        self._run.finish()


class Trackio(Service):
    """trackio. A resumed run goes on under its own name."""

    def __init__(self, account: Account) -> None:
        import trackio

        self._trackio = trackio
        trackio.init(
            project=account.project,
            name=account.run,
            config=dict(account.settings),
            resume="allow",
            embed=False,
            auto_log_gpu=False,
            auto_log_cpu=False,
        )

    def log(self, step: int, metrics: Metrics) -> None:
        """See `Service`."""
        self._trackio.log(dict(metrics), step=step)

    def show(self, step: int, responses: Sequence[Response]) -> None:
        """See `Service`."""
        rows = []
        for each in responses:
            image = _image(each)
            rows.append([self._trackio.Image(image) if image else "", *(each[name] for name in COLUMNS)])
        table = self._trackio.Table(columns=["image", *COLUMNS], data=rows)
        self._trackio.log({_SHOWN: table}, step=step)

    def close(self) -> None:
        """See `Service`."""
        self._trackio.finish()


class Mlflow(Service):
    """MLflow. Responses are a page and images among a run's artifacts; a resumed run goes on under its own id."""

    def __init__(self, account: Account) -> None:
        from mlflow import MlflowClient
        from mlflow.entities import Metric, Param

        self._client, self._metric = MlflowClient(), Metric
        experiment = self._client.get_experiment_by_name(account.project)
        number = experiment.experiment_id if experiment else self._client.create_experiment(account.project)
        made = self._client.create_run(number, run_name=account.run) if _unknown(account) else None
        self._run = _known_as(account, made.info.run_id if made else "")
        if made:
            settings = [Param(name, str(value)[:6000]) for name, value in account.settings.items()]
            for first in range(0, len(settings), 100):
                self._client.log_batch(self._run, params=settings[first : first + 100])

    def log(self, step: int, metrics: Metrics) -> None:
        """See `Service`."""
        now = int(time.time() * 1000)
        self._client.log_batch(self._run, [self._metric(name, value, now, step) for name, value in metrics.items()])

    def show(self, step: int, responses: Sequence[Response]) -> None:
        """See `Service`."""
        for number, each in enumerate(responses):
            image = _image(each)
            if image:
                self._client.log_image(self._run, image, artifact_file=f"{_SHOWN}/{step:06d}/{number}.png")
        self._client.log_text(self._run, _page(step, responses), f"{_SHOWN}/{step:06d}/responses.html")

    def close(self) -> None:
        """See `Service`."""
        self._client.set_terminated(self._run)


SERVICES: dict[str, type[Wandb] | type[Trackio] | type[Mlflow]] = {
    "wandb": Wandb,
    "trackio": Trackio,
    "mlflow": Mlflow,
}


def _name_file(account: Account) -> Path:
    return account.folder / "id"


def _unknown(account: Account) -> bool:
    return not _name_file(account).exists()


def _known_as(account: Account, new: str) -> str:
    """The name that the service has for this run: the one it had before, else the new one from now on."""
    if _unknown(account):
        _name_file(account).write_text(new)
    return _name_file(account).read_text()


def _image(response: Response) -> PIL.Image.Image | None:
    return PIL.Image.open(io.BytesIO(base64.b64decode(response["image"]))) if response["image"] else None


def _page(step: int, responses: Sequence[Response]) -> str:
    """The responses as a page; all they say is escaped."""
    cells = ("prompt", "response", "trigger", "extracted", "outcome", "reward", "advantage")
    head = "".join(f"<th>{name}</th>" for name in ("image", *cells))
    rows = "".join(
        f"<tr><td>{_tag(number, each)}</td>"
        + "".join(f"<td><pre>{html.escape(str(each[name]))}</pre></td>" for name in cells)
        + "</tr>"
        for number, each in enumerate(responses)
    )
    return f"<!doctype html><meta charset=utf-8><title>Step {step}</title><table><tr>{head}</tr>{rows}</table>"


def _tag(number: int, response: Response) -> str:
    name = html.escape(response["problem_id"], quote=True)
    return f'<img src="{number}.png" alt="{name}">' if response["image"] else name
