"""What `rethinker eval` costs beyond generation: `python benchmarks/eval_overhead.py [--json OUT] [--repeats N]`.

The tiny VLM answers the same questions twice over. *Generation* is what no answer can do without: images decoded,
prompts encoded, tokens sampled by the same engine, all questions at once. An *evaluation* goes from the benchmark's
files to its result: it also starts a worker, reads the questions, writes every answer down, scores and sums up. By
turns, after one warm-up of each; the figure is the median of the rounds' ratios. Questions are the gym's, in the form
of MATH-Vision's files.
"""

from __future__ import annotations

import json
import statistics
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import torch
from PIL.Image import fromarray

import reporting
from rethinker.data.gym.stream import GymStream
from rethinker.evaluation.answering import Answerer, Answering
from rethinker.evaluation.asking import Exam, asked
from rethinker.evaluation.benchmarks.catalogue import Rule
from rethinker.evaluation.evaluate import evaluate
from rethinker.interfaces import Request, RolloutEngine, Sampling
from rethinker.models.loading import load
from rethinker.models.vlm import VLM
from rethinker.rollout.engine import generate
from rethinker.rollout.scoring import NO_PREFIX
from rethinker.rollout.second_looks import Marker
from rethinker.rollout.torch_engine import TorchEngine
from rethinker.seeding import Purpose, key
from rethinker.types import IMAGE_MARK

ASKED_FOR = 0.05

MIXTURE = (("counting", 1, 1.0), ("bars", 1, 1.0), ("angles", 1, 1.0))


QUESTIONS, QUICK_QUESTIONS = 1000, 8
"""As many as MathVista's testmini has."""

MAX_TOKENS = 256

COLUMNS = (
    reporting.Column(head="questions", key="questions", digits=0),
    reporting.Column(head="tokens", key="tokens", digits=0),
    reporting.Column(head="generation, s", key="generation_s", digits=2),
    reporting.Column(head="evaluation, s", key="evaluation_s", digits=2),
    reporting.Column(head="overhead", key="overhead", digits=3),
    reporting.Column(head="to reach", key="to_reach"),
)


def main(argv: Sequence[str] | None = None) -> None:
    """Measure, print, and write what was asked for."""
    arguments = reporting.parsed(reporting.parser(__doc__ or "", repeats=5, quick="a few questions"), argv)
    torch.set_num_threads(1)
    questions = QUICK_QUESTIONS if arguments.quick else QUESTIONS
    report = reporting.head("eval_overhead", arguments)
    with tempfile.TemporaryDirectory() as folder:
        measured = Measured(Path(folder), questions=questions, max_tokens=MAX_TOKENS)
        measured.alone(), measured.whole()
        alone, whole = zip(*((measured.alone(), measured.whole()) for _ in range(arguments.repeats)))
    row = {
        "questions": questions,
        "tokens": measured.tokens,
        "generation_s": statistics.median(alone),
        "evaluation_s": statistics.median(whole),
        "overhead": statistics.median(after / before for before, after in zip(alone, whole)) - 1,
        "to_reach": ASKED_FOR,
    }
    report |= {"rows": [row], "rounds": [{"generation_s": a, "evaluation_s": b} for a, b in zip(alone, whole)]}
    reporting.write(report, arguments.json)
    print(reporting.table(COLUMNS, report["rows"]), flush=True)


class Measured:
    """Both ways over the same questions; a model and an engine of its own each time, loaded before the clock runs."""

    def __init__(self, folder: Path, *, questions: int, max_tokens: int) -> None:
        self.tokens = 0
        self._folder = folder
        self._file = folder / "test.jsonl"
        self._answering = Answering(sampling=Sampling(temperature=0.0, max_tokens=max_tokens))
        write_questions(self._file, questions)
        self._times = 0

    def alone(self) -> float:
        """Seconds of the engine alone."""
        vlm, engine = loaded()
        questions = asked(self._exam())
        started = time.perf_counter()
        prompts = [vlm.encode(each.problem(), "bare") for each in questions]
        requests = [
            Request(
                id=prompt.problem_id,
                prompt=prompt,
                prefix=NO_PREFIX,
                sampling=self._answering.sampling,
                seeds=(key(0, Purpose.BENCHMARK, problem_id=prompt.problem_id),),
            )
            for prompt in prompts
        ]
        self.tokens = sum(len(completion.token_ids) for completion in generate(engine, requests))
        return time.perf_counter() - started

    def whole(self) -> float:
        """Seconds of a whole evaluation, from files to files."""
        vlm, engine = loaded()
        self._times += 1
        answerer = Answerer(vlm, engine, self._answering)
        started = time.perf_counter()
        found = evaluate(self._exam(), answerer, self._folder / str(self._times), about={}, marker=Marker(), workers=1)
        seconds = time.perf_counter() - started
        assert found.result["tokens"]["generated"] == self.tokens, "the two ways answer differently"
        print(f"{seconds:.2f} s", {name: round(value, 2) for name, value in found.result["seconds"].items()})
        return seconds

    def _exam(self) -> Exam:
        rule = Rule(name="mathvision")
        return Exam(rule=rule, style="cot", questions=rule.benchmark().read(self._file))


def loaded() -> tuple[VLM, RolloutEngine]:
    """The tiny VLM and an engine for it."""
    vlm = load("tiny", device="cpu", dtype="float32")
    return vlm, TorchEngine(vlm)


def write_questions(file: Path, count: int) -> None:
    """The gym's problems as MATH-Vision's rows, a file for each picture."""
    rows = []
    for problem in (problem for problem in GymStream(MIXTURE, seed=0).take(2 * count) if len(problem.images) == 1):
        picture = file.parent / f"{len(rows)}.png"
        fromarray(problem.images[0].pixels).save(picture)
        rows.append({
            "id": str(len(rows)), "question": problem.question.replace(IMAGE_MARK, "<image1>"), "options": [],
            "image": picture.name, "answer": problem.answer, "level": 1, "subject": problem.category,
        })  # fmt: skip
    file.write_text("".join(json.dumps(row) + "\n" for row in rows[:count]), encoding="utf-8")


if __name__ == "__main__":
    main()
