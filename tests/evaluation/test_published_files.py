"""What the published files say beyond rows and cells, which test_parity.py compares: prompts, totals, quick paths."""

import pytest
from benchmark_assets import ASSETS, needs_assets, read_json, read_lines

from rethinker.evaluation.benchmark import Question
from rethinker.evaluation.benchmarks.mathverse import MathVerse
from rethinker.evaluation.benchmarks.mathvista import MathVista
from rethinker.evaluation.benchmarks.mmmu import MMMU
from rethinker.evaluation.benchmarks.mmmu_pro import MMMUPro

pytestmark = needs_assets

MMMU_PRO = {
    "InternVL2-8B_direct_Standard_10opts": (560, 0),
    "InternVL2-8B_direct_Standard_4opts": (747, 0),
    "InternVL2-8B_direct_Vision": (336, 23),
    "gpt-4o-2024-08-06_direct_Standard_10opts": (695, 6),
    "gpt-4o-2024-08-06_direct_Standard_4opts": (902, 2),
    "gpt-4o-2024-08-06_direct_Vision": (725, 47),
    "llava-onevision-qwen2-7b-vo-hf_cot_Standard_10opts": (509, 33),
    "llava-onevision-qwen2-7b-vo-hf_cot_Standard_4opts": (730, 32),
    "llava-onevision-qwen2-7b-vo-hf_direct_Standard_10opts": (518, 3),
    "llava-onevision-qwen2-7b-vo-hf_direct_Standard_4opts": (756, 3),
    "llava-onevision-qwen2-7b-vo-hf_direct_Vision": (275, 2),
}
"""File → rows that are right, and rows where the official code draws an answer."""


@pytest.fixture(scope="module")
def mathvista() -> list[Question]:
    return MathVista().read(ASSETS / "mathvista/gt/testmini.json.gz")


def test_mathvista_the_prompt_is_the_published_query(mathvista: list[Question]):
    queries = read_json("mathvista/gt/query_testmini.json.gz")
    assert [q.id for q in mathvista if MathVista().prompt(q, "official") != queries[q.id]] == []
    assert len(mathvista) == 1000


@pytest.mark.parametrize(("name", "rows"), [("random_guess", 475), ("gpt4", 9), ("bard", 0)])
def test_mathvista_quick_extractions_are_the_published_ones(name: str, rows: int, mathvista: list[Question]):
    given = read_json(f"mathvista/open/{name}.json.gz")
    quick = {q.id: MathVista().verdict(q, given[q.id]["response"], extracted=False) for q in mathvista}
    decided = {k: verdict for k, verdict in quick.items() if verdict.why.startswith("the official quick path")}
    assert len(decided) == rows
    assert [k for k, verdict in decided.items() if verdict.extracted != given[k]["extraction"]] == []


def test_mmmu_extracted_answers_give_the_published_total():
    questions = MMMU().read(ASSETS / "mmmu/gt/answer_dict_val.json.gz")
    given = read_json("mmmu/open/llava1.5_13b_val.total_val_output.json.gz")
    right = sum(bool(MMMU().verdict(q, given[q.id], extracted=True).correct) for q in questions)
    assert round(right / len(questions), 3) == 0.367  # with the letters that the official code drew


@pytest.mark.parametrize("name", MMMU_PRO)
def test_mmmu_pro_published_totals_lie_between_no_luck_and_all(name: str):
    model, style, setting = name.split("_", 2)
    made = {"Standard_4opts": "standard4", "Standard_10opts": "standard10", "Vision": "vision"}[setting]
    responses = {row["id"]: row["response"] for row in read_lines(f"mmmu_pro/open/{name}.jsonl.gz")}
    benchmark = MMMUPro(made)
    questions = benchmark.read(ASSETS / "mmmu_pro/gt/mix_data.jsonl.gz")
    found = [benchmark.verdict(q, responses[q.id], extracted=False).correct for q in questions]
    right, drawn = found.count(True), found.count(None)
    assert (right, drawn) == MMMU_PRO[name]
    kind = setting.replace("Standard_4opts", "Standard(4opts)").replace("Standard_10opts", "Standard(10opts)")
    assert right <= read_json("mmmu_pro/gt/results_summary.json")[model][f"{style}_{kind}"] <= right + drawn


@pytest.mark.parametrize(
    "end", ["standard_10_options__cot", "standard_10_options__direct", "vision_direct", "vision_cot"]
)
def test_mmmu_pro_has_one_row_of_which_the_hub_and_the_repository_differ(end: str):
    """validation_Accounting_29: nine options and C in mix_data; one option, itself a list, and B on the hub."""
    responses = {row["id"]: row["response"] for row in read_lines(f"mmmu_pro/open/gpt4o_HEAD_{end}.jsonl.gz")}
    official = {
        row["id"]: row["correct"] for row in read_lines(f"mmmu_pro/open/gpt4o_HEAD_{end}.official_rows.jsonl.gz")
    }
    benchmark = MMMUPro("vision" if end.startswith("vision") else "standard10")
    questions = benchmark.read(ASSETS / "mmmu_pro/gt/mix_data.jsonl.gz")
    differing = {
        q.id for q in questions if benchmark.verdict(q, responses[q.id], extracted=False).correct is not official[q.id]
    }
    assert differing <= {"validation_Accounting_29"}


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
