from __future__ import annotations

import json
from pathlib import Path

import pytest
from tests.evaluation.test_held_out import Rows
from tests.rollout.scripted import RuleScorer, ScriptedEngine

from rethinker.errors import DatasetError
from rethinker.evaluation import pass_rates
from rethinker.evaluation.pass_rates import Answered, AnswerLog, Rater
from rethinker.interfaces import Request, Sampling
from rethinker.models.vlm import VLM

SETTINGS = {"model": "scripted", "samples": 4}


def say(request: Request, sample: int) -> str:
    """Row n is right in n of 4 samples."""
    return "\\boxed{3}" if sample < int(request.id.removeprefix("row-")) else "\\boxed{4}"


def rater(vlm: VLM, engine: ScriptedEngine) -> Rater:
    return Rater(
        vlm=vlm,
        engine=engine,
        scorer=RuleScorer(),
        template="plain",
        max_prompt_tokens=200,
        sampling=Sampling(max_tokens=16),
        samples=4,
        seed=0,
    )


def rates(vlm: VLM, path: Path, rows: Rows, engine: ScriptedEngine | None = None) -> list[float]:
    log = AnswerLog(path, SETTINGS)
    try:
        return rater(vlm, engine or ScriptedEngine(vlm, say)).measure(rows, log)
    finally:
        log.close()


def test_a_rate_is_the_share_of_right_answers_and_unknown_where_none_was_asked(tiny_vlm: VLM, tmp_path: Path) -> None:
    found = rates(tiny_vlm, tmp_path / "log", Rows(7, bad=(1,), long=2))
    assert found == [0.0, -1.0, -1.0, 0.75, 1.0, 1.0, 1.0]


def test_the_log_holds_outcomes_and_reasons(tiny_vlm: VLM, tmp_path: Path) -> None:
    rates(tiny_vlm, tmp_path / "log", Rows(2, bad=(0,)))
    lines = [json.loads(line) for line in (tmp_path / "log").read_text().splitlines()]
    assert lines[0] == SETTINGS
    assert lines[1:] == [
        {"row": 0, "outcomes": {}, "reason": "row 0 is bad"},
        {"row": 1, "outcomes": {"ok": 1, "wrong": 3}, "reason": ""},
    ]


def test_what_was_answered_is_not_asked_again(tiny_vlm: VLM, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pass_rates, "CHUNK", 2)
    whole = rates(tiny_vlm, tmp_path / "whole", Rows(5, bad=(1,)))
    lines = (tmp_path / "whole").read_bytes().splitlines(keepends=True)
    (tmp_path / "log").write_bytes(b"".join(lines[:3]) + lines[3][:9])
    engine = ScriptedEngine(tiny_vlm, say)
    assert rates(tiny_vlm, tmp_path / "log", Rows(5, bad=(1,)), engine) == whole
    kept = {json.loads(line)["row"] for line in lines[1:3]}
    assert {int(request.id.removeprefix("row-")) for request in engine.asked} == {0, 2, 3, 4} - kept
    rows = [json.loads(line)["row"] for line in (tmp_path / "log").read_text().splitlines()[1:]]
    assert sorted(rows) == [0, 1, 1, 2, 3, 4]


def test_a_row_that_could_not_be_asked_is_asked_again_and_keeps_what_was_answered_then(
    tiny_vlm: VLM, tmp_path: Path
) -> None:
    assert rates(tiny_vlm, tmp_path / "log", Rows(3, bad=(1, 2))) == [0.0, -1.0, -1.0]
    engine = ScriptedEngine(tiny_vlm, say)
    assert rates(tiny_vlm, tmp_path / "log", Rows(3, bad=(2,)), engine) == [0.0, 0.25, -1.0]
    assert {request.id for request in engine.asked} == {"row-1"}
    engine.asked.clear()
    assert rates(tiny_vlm, tmp_path / "log", Rows(3), engine) == [0.0, 0.25, 0.5]
    assert {request.id for request in engine.asked} == {"row-2"}


def test_a_row_keeps_its_seeds_whenever_it_is_asked(tiny_vlm: VLM, tmp_path: Path) -> None:
    first, later = ScriptedEngine(tiny_vlm, say), ScriptedEngine(tiny_vlm, say)
    rates(tiny_vlm, tmp_path / "a", Rows(3), first)
    log = AnswerLog(tmp_path / "b", SETTINGS)
    log.append(Answered(row=0, outcomes={"ok": 4}))
    log.close()
    rates(tiny_vlm, tmp_path / "b", Rows(3), later)
    seeds = [{request.id: request.seeds for request in engine.asked} for engine in (first, later)]
    assert seeds[1] == {name: seeds[0][name] for name in ("row-1", "row-2")}
    assert len({seed for given in seeds[0].values() for seed in given}) == 12


def test_a_log_of_other_settings_is_refused_by_the_setting_that_differs(tmp_path: Path) -> None:
    AnswerLog(tmp_path / "log", SETTINGS).close()
    with pytest.raises(DatasetError, match="begun with samples=4, and now it is 8"):
        AnswerLog(tmp_path / "log", {**SETTINGS, "samples": 8})
    AnswerLog(tmp_path / "log", SETTINGS).close()


def test_a_damaged_log_is_refused(tmp_path: Path) -> None:
    (tmp_path / "log").write_text(json.dumps(SETTINGS) + '\nhm\n{"row": 1, "outcomes": {}, "reason": ""}\n')
    with pytest.raises(DatasetError, match="is damaged"):
        AnswerLog(tmp_path / "log", SETTINGS)


def test_a_log_is_held_by_one_process(tmp_path: Path) -> None:
    log = AnswerLog(tmp_path / "log", SETTINGS)
    with pytest.raises(DatasetError, match="in use by another process"):
        AnswerLog(tmp_path / "log", SETTINGS)
    log.close()
    with pytest.raises(DatasetError, match="cannot be written"):
        AnswerLog(tmp_path / "no folder" / "log", SETTINGS)
