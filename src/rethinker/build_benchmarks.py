"""From a configuration to the benchmarks of a run, and to what one of them asks."""

from __future__ import annotations

from pathlib import Path

from rethinker.config import Config
from rethinker.evaluation.answering import Answerer, Answering
from rethinker.evaluation.asking import Exam, style_of
from rethinker.evaluation.benchmark import Question
from rethinker.evaluation.benchmarks.catalogue import Rule
from rethinker.evaluation.benchmarks.places import place
from rethinker.evaluation.evaluate import refuse_withheld
from rethinker.evaluation.in_training import Benchmarks
from rethinker.evaluation.settings import described
from rethinker.interfaces import RolloutEngine, Sampling
from rethinker.models.vlm import VLM
from rethinker.rollout.second_looks import Marker


def build_benchmarks(config: Config, vlm: VLM, engine: RolloutEngine, folder: Path) -> Benchmarks | None:
    """The measurement of `evaluation.benchmarks`; None where they name none.

    Raises:
        ConfigError: there is no such benchmark or setting.
        DatasetError: its questions are missing, or their answers are withheld.
    """
    asked, model = config.evaluation, config.model
    if not asked.benchmarks:
        return None
    answering = Answering(
        sampling=Sampling(temperature=0.0, max_tokens=asked.max_tokens),
        seed=config.seed,
        max_prompt_tokens=config.prompt.max_tokens,
    )
    settings = described(
        answering,
        model={
            "path": model.path,
            "dtype": model.dtype,
            "min_pixels": model.min_pixels,
            "max_pixels": model.max_pixels,
        },
        protocol=asked.protocol,
        style="",
        marker=asked.marker,
        engine=config.engine.kind,
        limit=asked.limit or None,
    )
    return Benchmarks(
        [_exam(config, name) for name in asked.benchmarks],
        Answerer(vlm, engine, answering),
        folder,
        settings=settings,
        marker=Marker(asked.marker),
        workers=config.verifier.workers,
    )


def _exam(config: Config, named: str) -> Exam:
    name, _, setting = named.partition("=")
    rule = Rule(name=name, setting=setting, protocol=config.evaluation.protocol)
    style = style_of(rule, "")
    questions = rule.benchmark().read(place(Path(config.evaluation.data), name))
    exam = Exam(rule=rule, style=style, questions=spread(questions, config.evaluation.limit))
    refuse_withheld(exam)
    return exam


def spread(questions: list[Question], limit: int) -> list[Question]:
    """So many of them, evenly over all, for files are sorted by subject; all where the limit is 0."""
    if not limit or limit >= len(questions):
        return questions
    return [questions[place * len(questions) // limit] for place in range(limit)]
