from __future__ import annotations

import gc

import pytest
from tests.rollout.scripted import RuleScorer, ScriptedEngine, problem

from rethinker.data.quarantine import Quarantine
from rethinker.errors import DataError, DatasetError
from rethinker.evaluation import held_out
from rethinker.evaluation.held_out import HeldOut
from rethinker.interfaces import ProblemSource, Request
from rethinker.models.vlm import VLM
from rethinker.rollout.second_looks import Marker
from rethinker.types import Group, Outcome, Problem


class Rows(ProblemSource):
    """Rows named 0 to n - 1, whose answer is 3; those in `bad` cannot be read, that in `long` has no prompt."""

    def __init__(self, n: int, *, bad: tuple[int, ...] = (), long: int = -1) -> None:
        self._n, self._bad, self._long = n, bad, long

    def __len__(self) -> int:
        return self._n

    def __getitem__(self, index: int) -> Problem:
        if index in self._bad:
            raise DataError(f"row {index} is bad")
        return problem(self.id(index), question="How many? " * (200 if index == self._long else 1))


def say(request: Request, sample: int) -> str:
    """Row 0 is right at once, row 1 after a second look, row 2 loses its answer to one; the rest say nothing."""
    said = ("\\boxed{3}", "\\boxed{4}. Wait, \\boxed{3}", "\\boxed{3}. Wait, \\boxed{4}")
    number = int(request.id.removeprefix("row-"))
    return said[number] if number < len(said) else "hm"


def measured(vlm: VLM, engine: ScriptedEngine, quarantine: Quarantine) -> HeldOut:
    return HeldOut(
        vlm=vlm,
        engine=engine,
        scorer=RuleScorer(),
        quarantine=quarantine,
        template="plain",
        max_prompt_tokens=200,
        max_tokens=32,
        marker=Marker(),
    )


def groups_alive() -> int:
    return sum(type(each) is Group for each in gc.get_objects())


def test_every_problem_is_answered_once_and_greedily(tiny_vlm: VLM) -> None:
    engine = ScriptedEngine(tiny_vlm, say)
    found = measured(tiny_vlm, engine, Quarantine(max_share=1.0)).evaluate(Rows(4))
    assert (found.problems, found.correct, found.skipped) == (4, 2, 0)
    assert (found.accuracy, found.rethinking) == (0.5, 0.5)
    assert (found.second_looks.wrong_to_right, found.second_looks.right_to_wrong) == (1, 1)
    assert found.outcomes == {Outcome.OK: 2, Outcome.WRONG: 1, Outcome.UNPARSED: 1}
    assert [len(request.seeds) for request in engine.asked] == [1] * 4
    assert {request.sampling.temperature for request in engine.asked} == {0.0}


def test_rows_without_a_prompt_are_skipped_counted_and_set_aside(tiny_vlm: VLM) -> None:
    quarantine = Quarantine(max_share=1.0)
    found = measured(tiny_vlm, ScriptedEngine(tiny_vlm, say), quarantine).evaluate(Rows(6, bad=(1, 5), long=3))
    assert (found.problems, found.correct, found.skipped) == (3, 1, 3)
    assert [row["id"] for row in quarantine.rows()] == ["row-1", "row-3", "row-5"]
    assert "prompt.max_tokens=200" in quarantine.rows()[1]["reason"]


def test_too_many_bad_rows_stop_the_measurement(tiny_vlm: VLM) -> None:
    quarantine = Quarantine(max_share=0.05, minimum=5)
    with pytest.raises(DatasetError, match="max_quarantined"):
        measured(tiny_vlm, ScriptedEngine(tiny_vlm, say), quarantine).evaluate(Rows(20, bad=tuple(range(10))))


def test_measuring_again_counts_no_row_again(tiny_vlm: VLM) -> None:
    measure = measured(tiny_vlm, ScriptedEngine(tiny_vlm, say), Quarantine(max_share=0.25, minimum=5))
    for _ in range(3):
        assert measure.evaluate(Rows(12, bad=(2, 7))).problems == 10


def test_a_large_source_is_measured_a_chunk_at_a_time(tiny_vlm: VLM, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(held_out, "CHUNK", 3)
    kept = groups_alive()

    def say_alone(request: Request, sample: int) -> str:
        assert groups_alive() <= kept  # of earlier chunks there are counts alone
        return say(request, sample)

    cut = measured(tiny_vlm, ScriptedEngine(tiny_vlm, say_alone), Quarantine(max_share=1.0)).evaluate(Rows(8, bad=(4,)))
    assert (cut.problems, cut.correct, cut.skipped) == (7, 2, 1)
    monkeypatch.setattr(held_out, "CHUNK", 256)
    assert cut == measured(tiny_vlm, ScriptedEngine(tiny_vlm, say), Quarantine(max_share=1.0)).evaluate(
        Rows(8, bad=(4,))
    )


def test_nothing_to_answer_is_no_accuracy(tiny_vlm: VLM) -> None:
    found = measured(tiny_vlm, ScriptedEngine(tiny_vlm, say), Quarantine(max_share=1.0)).evaluate(Rows(0))
    assert (found.problems, found.accuracy, found.rethinking, found.outcomes) == (0, 0.0, 0.0, {})
