"""What is read of a run's responses, and which of them a page holds."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest
from benchmarks.made_runs import make_run

from rethinker.errors import RunFolderError
from rethinker.report.digest import Digester, GroupDigest, family_of, first_right, known_verdicts, without_tokens
from rethinker.report.document import document
from rethinker.report.reading import RunReader
from rethinker.report.sample import chosen, page_bytes


def row(**fields: object) -> dict[str, object]:
    return {
        "problem_id": "gym/bars-2/train/1",
        "sample": 0,
        "prompt": "How many?",
        "response": "It is \\boxed{3}. Wait, look. \\boxed{4}",
        "token_ids": [1, 2, 3],
        "logprobs": [-0.5, 0.0, None],
        "reward": 1.0,
        "outcome": "ok",
        "extracted": "4",
        "detail": "",
        "first_answer": "3",
        "advantage": 0.5,
        "trigger": None,
        "forced_span": None,
        "finish_reason": "stop",
        "policy_version": 0,
        "image_ids": [],
    } | fields


def write(folder: Path, *rows: dict[str, object]) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "000001.jsonl.gz"
    path.write_bytes(gzip.compress(b"".join(json.dumps(each).encode() + b"\n" for each in rows)))
    return path


def group(step: int, *, kept: int = 0, size: int = 8) -> GroupDigest:
    return GroupDigest(
        step=step, problem_id=f"p{step}", first_line=0, size=size, kept=kept, flips=0, right=1, characters=800,
        tokens=200, image_ids=(),
    )  # fmt: skip


def test_first_answers_are_judged_by_what_the_same_answer_got(tmp_path: Path) -> None:
    rows = [row(), row(sample=1, outcome="wrong", extracted="3", first_answer=None), row(sample=2, first_answer="9")]
    verdicts = known_verdicts(rows)
    assert [first_right(each, verdicts) for each in rows] == [False, None, None]
    kept = row(trigger="Wait, does it?", first_answer="9", first_outcome="wrong")
    assert first_right(kept, verdicts) is False
    digest = Digester("wait").read(write(tmp_path, *rows))
    assert digest.groups[0].flips == 1
    assert digest.words["wait"] == 3


def test_kept_second_look_counts_by_its_first_answer_and_its_own_words(tmp_path: Path) -> None:
    forced = row(
        response="It is 3.\nWait, check. It is 4.", trigger="\nWait, check.", forced_span=[1, 2], first_outcome="wrong"
    )
    digest = Digester("wait").read(write(tmp_path, forced))
    assert digest.words == {}
    with_look, without = digest.looks["bars", "2"]
    assert (with_look.count, without.right, without.count) == (0, 0, 1)
    assert digest.groups[0].kept == 1


def test_lists_of_tokens_are_left_out_and_what_looks_like_them_is_not() -> None:
    given = row(response='a, "token_ids": [9], "logprobs": [1] b', token_lengths=[1, 1, 1])
    light = without_tokens(json.dumps(given).encode())
    assert light["response"] == given["response"]
    assert light["tokens"] == 3
    assert not {"token_ids", "token_lengths", "logprobs"} & light.keys()


def test_family_and_level_come_from_the_source_or_the_category() -> None:
    assert family_of(row()) == ("bars", "2")
    assert family_of(row(problem_id="x", category="charts", source="file.jsonl")) == ("charts", "")
    assert family_of(row(problem_id="x")) == ("", "")


def test_sample_takes_telling_groups_first_then_others_evenly_over_the_steps() -> None:
    groups = [group(step, kept=int(step % 10 == 0)) for step in range(1, 101)]
    cost = page_bytes(groups[0])
    taken = chosen(groups, 30 * cost, image_bytes=lambda image: 0)
    assert sum(each.kept for each in taken) == 10
    others = [each.step for each in taken if not each.kept]
    assert len(others) == 20
    assert all(sum(low < step <= low + 25 for step in others) >= 3 for low in (0, 25, 50, 75))
    assert [each.step for each in taken] == sorted(each.step for each in taken)


def test_files_of_older_runs_are_read(tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_text("seed: 0\n")
    write(tmp_path / "rollouts", row())
    run = RunReader(tmp_path)
    run.refresh()
    (shown,) = document([run], ablation=None)["runs"][0]["rollouts"]["groups"]
    assert shown["question"] == "How many?"
    assert shown["answer"] is None
    assert shown["rollouts"][0]["surprise"] is None


def test_page_stays_within_its_bytes_and_counts_all(tmp_path: Path) -> None:
    make_run(tmp_path / "run", steps=8, groups=4, problems=8)
    run = RunReader(tmp_path / "run")
    run.refresh()
    told = document([run], ablation=None, rollout_bytes=60_000)["runs"][0]["rollouts"]
    held = sum(len(each["rollouts"]) for each in told["groups"])
    assert told["total"] == 8 * 4 * 8
    assert 0 < held < told["total"]
    assert len(json.dumps(told)) < 80_000


def test_damaged_files_are_named(tmp_path: Path) -> None:
    make_run(tmp_path / "run", steps=2, groups=1, problems=1)
    broken = tmp_path / "run" / "rollouts" / "000002.jsonl.gz"
    broken.write_bytes(broken.read_bytes()[:40])
    with pytest.raises(RunFolderError, match=r"000002\.jsonl\.gz is damaged"):
        RunReader(tmp_path / "run").refresh()
    broken.unlink()
    with (tmp_path / "run" / "metrics.jsonl").open("a") as file:
        file.write("not JSON\n")
    with pytest.raises(RunFolderError, match="no line of metrics"):
        RunReader(tmp_path / "run").refresh()
