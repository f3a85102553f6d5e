"""Benchmarks asked while a model trains, on the weights that the engine holds."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rethinker.evaluation.answering import Answerer
from rethinker.evaluation.asking import Exam
from rethinker.evaluation.evaluate import evaluate
from rethinker.rollout.second_looks import Marker
from rethinker.types import Mean, Metrics

MOVES = ("wrong_to_right", "right_to_wrong")


class Benchmarks:
    """Some questions of some benchmarks, put to the policy again and again.

    Args:
        folder: Gets a folder per step, and in it what `rethinker eval` writes per benchmark.
        settings: Of every result; what stands there for the weights is replaced by their step.
        workers: Processes that score.
    """

    def __init__(
        self,
        exams: Sequence[Exam],
        answerer: Answerer,
        folder: Path,
        *,
        settings: Mapping[str, Any],
        marker: Marker,
        workers: int,
    ) -> None:
        self._exams = exams
        self._answerer = answerer
        self._folder = folder
        self._settings = settings
        self._marker = marker
        self._workers = workers

    def measure(self, step: int) -> Metrics:
        """Ask, score, and write down the results of this step; accuracy, its interval, and second looks of each.

        Raises:
            RethinkerError: a rule's scorer environment is missing, or the folder cannot be written.
        """
        metrics: dict[str, Mean] = {}
        for exam in self._exams:
            metrics |= self._measured(exam, step)
        return metrics

    def cut_back(self, step: int) -> None:
        """Forget what was answered after a step, by weights that are no more."""
        for folder in self._folder.glob("step-*"):
            if int(folder.name.removeprefix("step-")) > step:
                shutil.rmtree(folder)

    def _measured(self, exam: Exam, step: int) -> Metrics:
        model = {**self._settings["model"], "weights": f"step {step}"}
        found = evaluate(
            exam,
            self._answerer,
            self._folder / f"step-{step:06d}" / exam.name,
            about={"model": model, "settings": {**self._settings, "model": model}},
            marker=self._marker,
            workers=self._workers,
        ).result
        looks = found["rethinking"]
        values = {"rethinking": looks["ratio"], **{move: looks[move] / looks["responses"] for move in MOVES}}
        if found["accuracy"] is not None:
            low, high = found["interval"]
            values |= {"accuracy": found["accuracy"], "accuracy_low": low, "accuracy_high": high}
        return {f"eval/{exam.name}/{name}": Mean(sum=value) for name, value in values.items()}
