"""MathVista's, MMMU's, MMMU-Pro's and MathVerse's rules against the verdicts of the authors' code, row for row."""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Any

import pytest
from benchmark_assets import ASSETS, needs_assets, read_json, read_lines
from departures import DEPARTURES, RENAMED_GRADE

from rethinker.evaluation.benchmark import Question, RowVerdict
from rethinker.evaluation.benchmarks.mathverse import MathVerse
from rethinker.evaluation.benchmarks.mathvista import MathVista
from rethinker.evaluation.benchmarks.mmmu import MMMU
from rethinker.evaluation.benchmarks.mmmu_pro import MMMUPro

pytestmark = needs_assets

MATHVISTA = ("bard", "gpt4", "gpt4_2shot_code", "gpt4_2shot_solution_use_ocr", "llava_llama_2_13b", "random_guess")
MMMU_PRO = {
    "InternVL2-8B_direct_Standard_10opts": (560, 0),
    "InternVL2-8B_direct_Standard_4opts": (747, 0),
    "InternVL2-8B_direct_Vision": (336, 23),
    "gpt-4o-2024-08-06_direct_Standard_10opts": (695, 6),
    "gpt-4o-2024-08-06_direct_Standard_4opts": (902, 2),
    "gpt-4o-2024-08-06_direct_Vision": (725, 47),
    "gpt4o_HEAD_standard_10_options__cot": (952, 0),
    "gpt4o_HEAD_standard_10_options__direct": (694, 7),
    "gpt4o_HEAD_vision_cot": (866, 3),
    "gpt4o_HEAD_vision_direct": (725, 48),
    "llava-onevision-qwen2-7b-vo-hf_cot_Standard_10opts": (509, 33),
    "llava-onevision-qwen2-7b-vo-hf_cot_Standard_4opts": (730, 32),
    "llava-onevision-qwen2-7b-vo-hf_direct_Standard_10opts": (518, 3),
    "llava-onevision-qwen2-7b-vo-hf_direct_Standard_4opts": (756, 3),
    "llava-onevision-qwen2-7b-vo-hf_direct_Vision": (275, 2),
}
"""File → rows that are right, and rows where the official code draws an answer."""

Cells = dict[tuple[str, str], tuple[int, int]]


def cells(questions: Iterable[Question], right: Mapping[str, bool | None]) -> Cells:
    """(breakdown, cell) → rows right, rows; a drawn answer counts as wrong."""
    found: dict[tuple[str, str], list[int]] = defaultdict(lambda: [0, 0])
    for question in questions:
        for breakdown, names in question.labels.items():
            for name in names:
                found[breakdown, name][0] += bool(right[question.id])
                found[breakdown, name][1] += 1
    return {key: (hits, rows) for key, (hits, rows) in found.items()}


def of_setting(name: str) -> str:
    return "vision" if "_vision" in name.lower() else "standard4" if "4opts" in name else "standard10"


@pytest.fixture(scope="module")
def mathvista() -> list[Question]:
    return MathVista().read(ASSETS / "mathvista/gt/testmini.json.gz")


@pytest.mark.parametrize("name", MATHVISTA)
def test_mathvista_row_for_row_and_cell_for_cell(name: str, mathvista: list[Question]):
    given = read_json(f"mathvista/open/{name}.json.gz")
    official = {row["pid"]: row for row in read_lines(f"mathvista/open/{name}.official_head_rows.jsonl.gz")}
    ours = {q.id: MathVista().verdict(q, given[q.id]["extraction"], extracted=True) for q in mathvista}
    assert {k for k, verdict in ours.items() if verdict.correct is not official[k]["true_false"]} == set()
    assert {k for k, row in official.items() if row["true_false"] is not row["published_true_false"]} == set(
        DEPARTURES.get(f"mathvista/{name}", {})
    )
    assert cells(mathvista, {k: v.correct for k, v in ours.items()}) == cells(
        mathvista, {k: row["true_false"] for k, row in official.items()}
    )


@pytest.mark.parametrize(("name", "rows"), [("random_guess", 475), ("gpt4", 9), ("bard", 0)])
def test_mathvista_quick_extractions_are_the_published_ones(name: str, rows: int, mathvista: list[Question]):
    given = read_json(f"mathvista/open/{name}.json.gz")
    quick = {q.id: MathVista().verdict(q, given[q.id]["response"], extracted=False) for q in mathvista}
    decided = {k: verdict for k, verdict in quick.items() if verdict.why.startswith("the official quick path")}
    assert len(decided) == rows
    assert [k for k, verdict in decided.items() if verdict.extracted != given[k]["extraction"]] == []


@pytest.mark.parametrize("name", [name for name in MATHVISTA if f"mathvista/{name}" not in DEPARTURES])
def test_mathvista_published_cells(name: str, mathvista: list[Question]):
    """Those of the labels that the file had when it was published: skills were corrected later, a grade renamed."""
    given = read_json(f"mathvista/open/{name}.json.gz")
    published = read_json(f"mathvista/open/{name}.published_scores.json")
    right = {q.id: MathVista().verdict(q, given[q.id]["extraction"], extracted=True).correct for q in mathvista}
    ours = cells(mathvista, right)
    as_now = all(sorted(given[q.id]["metadata"]["skills"]) == sorted(q.labels["skills"]) for q in mathvista)
    compared = 0
    for breakdown, parts in published.items():
        if breakdown == "average":
            assert sum(map(bool, right.values())) == int(parts["correct"])
        elif breakdown != "skills" or as_now:
            for cell, part in parts.items():
                found = ours[breakdown, RENAMED_GRADE.get(cell, cell)]
                assert found == (int(part["correct"]), int(part["total"])), (breakdown, cell)
                compared += 1
    assert compared >= 60


def test_mathvista_the_prompt_is_the_published_query(mathvista: list[Question]):
    queries = read_json("mathvista/gt/query_testmini.json.gz")
    assert [q.id for q in mathvista if MathVista().prompt(q, "official") != queries[q.id]] == []
    assert len(mathvista) == 1000


@pytest.fixture(scope="module")
def mmmu() -> list[dict[str, Any]]:
    return read_lines("mmmu/open/llava1.5_13b_val.jsonl.gz")


@pytest.mark.parametrize("problems", ["open/llava1.5_13b_val.jsonl.gz", "gt/answer_dict_val.json.gz"])
def test_mmmu_row_for_row(problems: str, mmmu: list[dict[str, Any]]):
    official = {row["id"]: row for row in read_lines("mmmu/open/llava1.5_13b_val.official_rows.jsonl.gz")}
    questions = MMMU().read(ASSETS / "mmmu" / problems)
    responses = {row["id"]: row["response"] for row in mmmu}
    ours = {q.id: MMMU().verdict(q, responses[q.id], extracted=False) for q in questions}
    assert {k for k, v in ours.items() if v.correct is not official[k]["correct"]} == set()
    choices = [q.id for q in questions if q.kind == "multiple-choice"]
    assert [k for k in choices if ours[k].extracted != official[k]["parsed_pred"]] == []
    assert sum(bool(v.correct) for v in ours.values()) == 329
    assert sum(v.correct is None for v in ours.values()) == 2
    found = cells(questions, {k: v.correct for k, v in ours.items()})
    assert found == cells(questions, {k: row["correct"] for k, row in official.items()})
    assert sum(breakdown == "subject" for breakdown, _ in found) == 30
    assert sum(breakdown == "discipline" for breakdown, _ in found) == 6


def test_mmmu_extracted_answers_give_the_published_total():
    questions = MMMU().read(ASSETS / "mmmu/gt/answer_dict_val.json.gz")
    given = read_json("mmmu/open/llava1.5_13b_val.total_val_output.json.gz")
    right = sum(bool(MMMU().verdict(q, given[q.id], extracted=True).correct) for q in questions)
    assert round(right / len(questions), 3) == 0.367  # with the letters that the official code drew


@pytest.mark.parametrize("name", MMMU_PRO)
def test_mmmu_pro_row_for_row_and_cell_for_cell(name: str):
    """Against mix_data, whose few rows that the hub holds otherwise are listed; against the file itself, all."""
    responses = {row["id"]: row["response"] for row in read_lines(f"mmmu_pro/open/{name}.jsonl.gz")}
    official = {row["id"]: row for row in read_lines(f"mmmu_pro/open/{name}.official_rows.jsonl.gz")}
    benchmark = MMMUPro(of_setting(name))
    for problems in ("gt/mix_data.jsonl.gz", f"open/{name}.jsonl.gz"):
        questions = benchmark.read(ASSETS / "mmmu_pro" / problems)
        ours: dict[str, RowVerdict] = {q.id: benchmark.verdict(q, responses[q.id], extracted=False) for q in questions}
        departing = {k for k, v in ours.items() if v.correct is not official[k]["correct"]}
        assert departing == (set(DEPARTURES.get(f"mmmu_pro/{name}", {})) if problems.startswith("gt") else set())
    assert [k for k, verdict in ours.items() if verdict.extracted != official[k]["pred"]] == []
    assert sum(bool(v.correct) for v in ours.values()) == MMMU_PRO[name][0]
    assert sum(v.correct is None for v in ours.values()) == MMMU_PRO[name][1]
    found = cells(questions, {k: v.correct for k, v in ours.items()})
    assert found == cells(questions, {k: row["correct"] for k, row in official.items()})
    assert sum(breakdown == "subject" for breakdown, _ in found) == 30


@pytest.mark.parametrize("name", [name for name in MMMU_PRO if "HEAD" not in name])
def test_mmmu_pro_published_totals_lie_between_no_luck_and_all(name: str):
    right, drawn = MMMU_PRO[name]
    model, style = name.split("_")[:2]
    kind = name.removeprefix(f"{model}_{style}_").replace("Standard_4opts", "Standard(4opts)")
    kind = kind.replace("Standard_10opts", "Standard(10opts)")
    published = read_json("mmmu_pro/gt/results_summary.json")[model][f"{style}_{kind}"]
    assert right <= published <= right + drawn


@pytest.mark.parametrize("name", ["testmini_text_only.json.gz", "testmini_text_only_hf.json.gz"])
def test_mathverse_the_prompts_follow_the_published_pattern(name: str):
    """The columns are taken as they are; here, that they say what the paper says."""
    benchmark = MathVerse("text_only")
    questions = benchmark.read(ASSETS / "mathverse/gt" / name)
    assert len(questions) == 788
    for question in questions:
        asked = (
            "the correct option letter, e.g., A, B, C, D"
            if question.kind == "multi-choice"
            else ("the final value, e.g., 1, 2.5, 300")
        )
        assert benchmark.prompt(question, "wo") == (
            f"Please directly answer the question and provide {asked}.\nQuestion: {question.text}"
        )
        assert benchmark.prompt(question, "cot") == (
            f"Please first conduct reasoning, and then answer the question and provide {asked}, at the end.\n"
            f"Question: {question.text}"
        )


def test_mathverse_template_rows_score_by_quick_match():
    questions = MathVerse().read(ASSETS / "mathverse/open/output_testmini.template.json")
    assert [q.labels["version"][0] for q in questions] == [
        "Text Dominant", "Text Lite", "Vision Intensive", "Vision Dominant", "Vision Only",
    ]  # fmt: skip
    assert {MathVerse().verdict(q, "14", extracted=True).score for q in questions} == {1.0}
    assert {MathVerse().verdict(q, "14 cm", extracted=True).score for q in questions} == {0.0}
    rows = read_json("mathverse/open/output_testmini.template.json")
    by_rules = [
        MathVerse().verdict(q, row["model_answer"], extracted=False).extracted
        for q, row in zip(questions, rows, strict=True)
    ]
    assert by_rules == ["14", "14", "14", "14", "13"]
