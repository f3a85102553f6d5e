"""Answering and scoring a benchmark with an engine that says what a test wants."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from hub_folders import write_hub_folders
from tests.rollout.scripted import ScriptedEngine

from rethinker.errors import ConfigError, DatasetError
from rethinker.evaluation.answering import Answerer, Answering, Rethinking
from rethinker.evaluation.answers import AnswerFile
from rethinker.evaluation.asking import Exam, asked, style_of
from rethinker.evaluation.benchmarks.catalogue import Protocol, Rule
from rethinker.evaluation.evaluate import Evaluated, evaluate
from rethinker.evaluation.folder import claim
from rethinker.evaluation.image_refs import ImageRef
from rethinker.evaluation.weights import fingerprint
from rethinker.interfaces import Request, Sampling
from rethinker.models.vlm import VLM
from rethinker.rollout.second_looks import Marker
from rethinker.types import IMAGE_MARK

Say = Callable[[Request, int], str]


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    return write_hub_folders(tmp_path_factory.mktemp("hub"))


def exam(folders: dict[str, Path], name: str, protocol: Protocol = "boxed", setting: str = "") -> Exam:
    rule = Rule(name=name, protocol=protocol, setting=setting)
    return Exam(rule=rule, style=style_of(rule, ""), questions=rule.benchmark().read(folders[name]))


def evaluated(vlm: VLM, say: Say, asked_for: Exam, folder: Path, **given: object) -> tuple[Evaluated, ScriptedEngine]:
    rethink: Rethinking = given.pop("rethink", "off")  # type: ignore[assignment]
    settings = Answering(sampling=Sampling(temperature=1.0, max_tokens=32), rethink=rethink, **given)  # type: ignore[arg-type]
    engine = ScriptedEngine(vlm, say)
    answerer = Answerer(vlm, engine, settings)
    found = evaluate(asked_for, answerer, folder, about={"model": "m"}, marker=Marker(), workers=1)
    return found, engine


def right(request: Request, sample: int) -> str:
    return "\\boxed{A}"


def looks(request: Request, sample: int) -> str:
    """Wrong first where the subject is Math, right first elsewhere; a second look always says the other."""
    first = "B" if "Math" in request.id else "A"
    return f"\\boxed{{{first if not len(request.prefix) else 'BA'['AB'.index(first)]}}}"


def test_every_question_is_asked_once_and_scored_in_its_order(
    tiny_vlm: VLM, folders: dict[str, Path], tmp_path: Path
) -> None:
    found, engine = evaluated(tiny_vlm, right, exam(folders, "mmmu_pro"), tmp_path)
    assert [row.question.id for row in found.rows] == [f"test_{name}_1" for name in ("Accounting", "Art", "Math")]
    assert found.result["accuracy"] == 1.0
    assert len(engine.asked) == 3
    assert found.result["tokens"]["generated"] == sum(row.tokens for row in found.rows) > 0


def test_answered_questions_are_not_asked_again_and_a_half_written_line_is(
    tiny_vlm: VLM, folders: dict[str, Path], tmp_path: Path
) -> None:
    whole = exam(folders, "mmmu_pro")
    evaluated(tiny_vlm, right, whole, tmp_path)
    written = {name: (tmp_path / name).read_bytes() for name in ("answers.jsonl", "rows.jsonl")}
    lines = written["answers.jsonl"].splitlines(keepends=True)
    (tmp_path / "answers.jsonl").write_bytes(lines[1] + lines[2] + lines[0][:25])
    found, engine = evaluated(tiny_vlm, right, whole, tmp_path)
    assert [request.id for request in engine.asked] == ["mmmu_pro/test_Accounting_1"]
    assert found.dropped == 1
    assert {name: (tmp_path / name).read_bytes() for name in written} == written


def test_more_samples_go_on_from_fewer(tiny_vlm: VLM, folders: dict[str, Path], tmp_path: Path) -> None:
    def second_is_right(request: Request, sample: int) -> str:
        return right(request, sample) if request.seeds[sample] in later else "\\boxed{B}"

    later: set[int] = set()
    one = exam(folders, "mmmu_pro")
    _, engine = evaluated(tiny_vlm, second_is_right, one, tmp_path)
    first = {request.seeds for request in engine.asked}
    _, peek = evaluated(tiny_vlm, right, one, tmp_path / "else", samples=3)
    later.update(seed for request in peek.asked for seed in request.seeds[1:])
    assert {request.seeds[:1] for request in peek.asked} == first
    found, engine = evaluated(tiny_vlm, second_is_right, one, tmp_path, samples=3)
    assert [len(request.seeds) for request in engine.asked] == [2, 2, 2]
    assert found.result["pass_at"] == pytest.approx({"1": 2 / 3, "2": 1.0, "3": 1.0})
    assert found.result["majority"] == 1.0
    assert found.result["accuracy"] == pytest.approx(2 / 3)
    assert found.result["interval"] is None


@pytest.mark.parametrize(("rethink", "accuracy"), [("off", 2 / 3), ("forced", 1 / 3), ("oracle", 1.0)])
def test_forced_looks_replace_every_answer_and_an_oracle_keeps_the_right_ones(
    rethink: Rethinking, accuracy: float, tiny_vlm: VLM, folders: dict[str, Path], tmp_path: Path
) -> None:
    found, engine = evaluated(tiny_vlm, looks, exam(folders, "mmmu_pro"), tmp_path, rethink=rethink)
    assert found.result["accuracy"] == pytest.approx(accuracy)
    assert len(engine.asked) == (3 if rethink == "off" else 6)
    counts = found.result["rethinking"]
    assert (counts["wrong_to_right"], counts["right_to_wrong"]) == {"off": (0, 0), "forced": (1, 2), "oracle": (1, 0)}[
        rethink
    ]
    assert [row.first_correct for row in found.rows] == ([None] * 3 if rethink == "off" else [True, True, False])


def test_a_forced_answer_is_first_trigger_second_and_tells_its_first(
    tiny_vlm: VLM, folders: dict[str, Path], tmp_path: Path
) -> None:
    evaluated(tiny_vlm, looks, exam(folders, "mmmu_pro"), tmp_path, rethink="forced")
    for line in (tmp_path / "answers.jsonl").read_text().splitlines():
        answer = json.loads(line)
        assert answer["response"].startswith(answer["first"] + "\n\nWait, ")
        assert answer["response"].endswith("}")
        assert 0 < answer["first_tokens"] < answer["tokens"]


def test_a_spontaneous_second_look_is_counted_with_its_first_answer(
    tiny_vlm: VLM, folders: dict[str, Path], tmp_path: Path
) -> None:
    def say(request: Request, sample: int) -> str:
        return {"Art": "\\boxed{B}. Wait, \\boxed{A}", "Math": "hm, wait, \\boxed{A}"}.get(
            request.id.split("_")[-2], "\\boxed{A}"
        )

    found, _ = evaluated(tiny_vlm, say, exam(folders, "mmmu_pro"), tmp_path)
    assert [(row.rethought, row.first_correct) for row in found.rows] == [(False, None), (True, False), (True, None)]
    counts = found.result["rethinking"]
    assert (counts["rethought"], counts["forced"], counts["wrong_to_right"], counts["without_first_answer"]) == (
        2,
        0,
        1,
        1,
    )


def test_what_cannot_be_asked_is_wrong_named_and_asked_again_later(
    tiny_vlm: VLM, folders: dict[str, Path], tmp_path: Path
) -> None:
    whole = exam(folders, "mathvision")
    bad = tmp_path / "bad.png"
    bad.write_bytes(b"no picture")
    broken = replace(whole.questions[1], images=(ImageRef(file=bad, column="image"),))
    long = replace(whole.questions[2], text="How many? " * 5000)
    worse = replace(whole, questions=[whole.questions[0], broken, long, whole.questions[3]])
    found, engine = evaluated(tiny_vlm, right, worse, tmp_path / "out")
    assert len(engine.asked) == 2
    assert [row.scored.outcome.value for row in found.rows][1:3] == ["unasked", "unasked"]
    assert set(found.result["unasked"]) == {whole.questions[1].id, whole.questions[2].id}
    assert "bad.png" in found.result["unasked"][whole.questions[1].id]
    assert "tokens, more than" in found.result["unasked"][whole.questions[2].id]
    assert found.result["counts"]["predicted"] == 4
    found, engine = evaluated(tiny_vlm, right, whole, tmp_path / "out")
    assert found.result["unasked"] == {}


def test_answers_to_other_prompts_are_refused(tiny_vlm: VLM, folders: dict[str, Path], tmp_path: Path) -> None:
    evaluated(tiny_vlm, right, exam(folders, "mmmu_pro"), tmp_path)
    with pytest.raises(DatasetError, match=r"under another prompt.*have changed; choose another --to"):
        evaluated(tiny_vlm, right, exam(folders, "mmmu_pro", "official"), tmp_path)


def test_one_process_holds_the_answers(tmp_path: Path) -> None:
    with AnswerFile(tmp_path / "answers.jsonl"), pytest.raises(DatasetError, match="is in use by another process"):
        AnswerFile(tmp_path / "answers.jsonl")


def test_a_damaged_line_is_named(tmp_path: Path) -> None:
    (tmp_path / "answers.jsonl").write_text('{"id": 3}\n')
    with pytest.raises(DatasetError, match=r"is damaged: .*remove it to ask everything again"):
        AnswerFile(tmp_path / "answers.jsonl")


def test_withheld_answers_and_double_ids_are_refused_before_anything_is_asked(
    tiny_vlm: VLM, folders: dict[str, Path], tmp_path: Path
) -> None:
    with pytest.raises(DatasetError, match="the authors withhold the answers of 4 questions, such as 1001"):
        evaluated(tiny_vlm, right, exam(folders, "mathvista", setting="test"), tmp_path)
    whole = exam(folders, "emma")
    twice = Exam(rule=whole.rule, style=whole.style, questions=[*whole.questions, whole.questions[0]])
    with pytest.raises(DatasetError, match="8 questions have 7 different ids"):
        evaluated(tiny_vlm, right, twice, tmp_path)


@pytest.mark.parametrize("name", ["mathvista", "mathvision", "mathverse", "mmmu", "mmmu_pro", "emma", "megabench"])
@pytest.mark.parametrize("protocol", ["official", "boxed"])
def test_every_picture_stands_in_the_prompt_of_either_protocol(
    name: str, protocol: Protocol, folders: dict[str, Path]
) -> None:
    if (name, protocol) == ("megabench", "boxed"):
        with pytest.raises(ConfigError, match="megabench has no boxed protocol"):
            exam(folders, name, protocol)
        return
    for each in asked(exam(folders, name, protocol)):
        assert each.text.count(IMAGE_MARK) == len(each.images) == len(each.problem().images) > 0
        if protocol == "boxed":
            assert each.text.startswith(IMAGE_MARK * len(each.images))


def test_one_merged_picture_of_several_marks_comes_first(folders: dict[str, Path]) -> None:
    merged, *_ = (each for each in asked(exam(folders, "mathvision", "official")) if "<image2>" in each.question.text)
    assert merged.text.startswith(f"{IMAGE_MARK}Please solve")
    assert "<image1> <image2>" in merged.text


def test_a_prompt_that_a_benchmark_lacks_is_refused() -> None:
    with pytest.raises(ConfigError, match="mmmu has no prompt 'cot' in the official protocol; its: direct"):
        style_of(Rule(name="mmmu"), "cot")


def test_a_folder_keeps_to_one_model_and_its_settings(tmp_path: Path) -> None:
    settings = {"model": {"path": "a", "weights": "1"}, "seed": 0, "limit": None, "sampling": {"samples": 1}}
    claim(tmp_path, settings)
    claim(tmp_path, settings | {"seed": 1})  # nothing is answered yet
    claim(tmp_path, settings)
    (tmp_path / "emma").mkdir()
    (tmp_path / "emma" / "answers.jsonl").write_text("{}\n")
    claim(tmp_path, settings | {"limit": 3, "sampling": {"samples": 4}, "model": {"path": "b", "weights": "1"}})
    with pytest.raises(DatasetError, match=r"holds answers with seed=0, and now seed is 1; choose another --to"):
        claim(tmp_path, settings | {"seed": 1})
    with pytest.raises(DatasetError, match=r"holds answers of another model, and now model.weights is '2'"):
        claim(tmp_path, settings | {"model": {"path": "a", "weights": "2"}})


def test_other_weights_have_another_fingerprint(tmp_path: Path) -> None:
    file = tmp_path / "model.safetensors"
    file.write_bytes(bytes(1_000_000))
    before = fingerprint(tmp_path)
    assert fingerprint(tmp_path) == before
    file.write_bytes(bytes(999_999) + b"1")
    assert fingerprint(tmp_path) != before
    assert fingerprint(Path("some/name")) != fingerprint(Path("other/name"))


def test_a_response_longer_than_the_model_is_refused(tiny_vlm: VLM) -> None:
    with pytest.raises(ConfigError, match="--max-tokens 4096 leaves no room for a question"):
        Answerer(tiny_vlm, ScriptedEngine(tiny_vlm, right), Answering(sampling=Sampling(max_tokens=4096)))
