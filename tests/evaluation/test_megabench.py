"""MEGA-Bench: parity with the given scores, the reader, the prompt, the judge, what is not scored."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from scripts.parity import megabench as parity
from scripts.parity.megabench import PAGES
from scripts.write_parity_docs import PAGE
from tests.evaluation.megabench_files import (
    given,
    hub_row,
    needs_files,
    needs_scorer,
    rule,
    write_parquet,
)
from tests.evaluation.stub_judge import Stub, said, stub_judge

from rethinker.errors import ConfigError, DatasetError, JudgeError
from rethinker.evaluation.benchmark import NotScoredError, Question
from rethinker.evaluation.benchmarks.catalogue import Rule
from rethinker.evaluation.benchmarks.megabench import MegaBench
from rethinker.evaluation.chat import ChatEndpoint
from rethinker.evaluation.judge import Judge
from rethinker.evaluation.megabench.process import MetricsProcess
from rethinker.evaluation.scoring import RowScorer, not_scored, score_rows, summed_up
from rethinker.evaluation.verdicts import RowOutcome


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("no_proxy", "127.0.0.1")


@pytest.fixture(scope="module")
def metrics() -> Iterator[MetricsProcess]:
    one = MetricsProcess()
    yield one
    one.close()


@needs_files
@needs_scorer
def test_every_golden_vector_is_parsed_scored_and_aggregated_as_officially(metrics: MetricsProcess) -> None:
    found = parity.golden(metrics)
    assert found.differing == []
    assert parity.line(found) in PAGE.read_text(encoding="utf-8"), "run `python -m scripts.write_parity_docs`"


@needs_files
@needs_scorer
@pytest.mark.parametrize("run", parity.RUNS)
def test_macro_means_and_all_five_breakdowns_follow_from_the_tasks_scores(run: str) -> None:
    assert parity.breakdowns(run).differing == []
    assert len(given(f"open/{run}.summary_and_keyword_stats.json.gz")["keyword_stats"]) == 5
    pages = parity.questions()
    tasks = given(f"open/{run}.task_results.json.gz")
    assert {task["eval_type"] for task in tasks if pages[task["name"]].kind != task["eval_type"]} == set()


@needs_files
@needs_scorer
def test_queries_and_tasks_of_the_judged_run_follow_from_the_judges_scores(metrics: MetricsProcess) -> None:
    of_queries, of_tasks = parity.queries(metrics)
    assert of_queries.differing == of_tasks.differing == []
    assert of_queries.compared == 379


@needs_scorer
def test_the_mean_is_over_tasks_whatever_their_sizes(tmp_path: Path) -> None:
    rows = [hub_row(id=str(place), task_name=name) for place, name in enumerate(("chart_vqa",) * 3 + ("dvqa",))]
    many, one = (MegaBench().read(write_parquet(tmp_path / "rows.parquet", *rows))[place] for place in (0, 3))
    assert MegaBench().mean([(many, 1.0), (many, 0.0), (many, 0.5), (one, 1.0)]) == 0.75


@needs_files
@needs_scorer
def test_every_demonstration_is_read_and_prompted_with_its_marks_in_place() -> None:
    benchmark = MegaBench()
    questions = benchmark.read(PAGES)
    assert len(questions) == 505
    assert sum(question.kind == "rule" for question in questions) == 440
    pages = given("gt/task_metric_info.json.gz")
    for question in questions:
        prompt, page = benchmark.prompt(question, "cot"), pages[question.id]["readme"]
        media = len(re.findall(r"!\[\w+\]\(|\[Please watch the local video", page.split("## Task Description")[1]))
        assert len(re.findall("<image>|<video>", prompt)) == media, question.id
        assert not question.extra["example"] or "Example Response:" in prompt
        assert "```\n\n" not in str(question.extra["example"])
    gold = {row["task"]: row["correct_answer"] for row in given("open/golden_vectors.jsonl.gz")}
    assert {name: dict(each.answer) for each in questions if (name := each.id) in gold} == gold  # type: ignore[call-overload]


@needs_scorer
def test_a_hub_row_becomes_a_question_with_its_media_in_order(tmp_path: Path) -> None:
    for name in ("plan", "demo", "query"):
        file = tmp_path / "data" / "chart" / f"{name}.png"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(b"")
    write_parquet(tmp_path / "core" / "test-00000-of-00001.parquet", hub_row())
    write_parquet(tmp_path / "core_single_image" / "test-00000-of-00001.parquet", hub_row(id="1"))
    (question,) = MegaBench().read(tmp_path)
    assert [each.id for each in MegaBench("core_single_image").read(tmp_path)] == ["1"]
    assert [image.file.name for image in question.images] == ["plan.png", "demo.png", "query.png"]
    assert MegaBench().prompt(question, "cot") == (
        "Look at the plan.<image>Demonstration example(s) of the task:\nExample 1:<image>Example Question: how many?"
        "<image>Question: and here?"
    )
    assert question.labels["subset"] == ("core",)
    assert question.labels["task"] == ("chart_vqa",)
    assert set(question.labels) == {"subset", "task", "skills", "input_format", "output_format", "input_num", "app"}


@needs_scorer
def test_only_four_images_of_a_demonstration_are_shown_and_every_video(tmp_path: Path) -> None:
    media = ["1.png", "2.png", "clip.mp4", "3.png", "4.png", "5.png"]
    row = hub_row(
        example_text="".join(f"<video>{m}" if "mp4" in m else f"<image>{m}" for m in media), example_media=media
    )
    (question,) = MegaBench().read(write_parquet(tmp_path / "rows.parquet", row))
    assert question.extra["example"] == "<image>1.png<image>2.png<video>clip.mp4<image>3.png<image>4.png5.png"


@needs_scorer
@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"query_text": "no mark"}, "0 marks for 1 media"),
        ({"answer": "{'a': "}, "is no value"),
        ({"answer": "['a']"}, "is no dict"),
        ({"global_media": ["../../etc/passwd"]}, "leads out of the data folder"),
    ],
)
def test_a_damaged_hub_row_is_refused_by_name(tmp_path: Path, changed: dict[str, object], said: str) -> None:
    with pytest.raises(DatasetError, match=said):
        MegaBench().read(write_parquet(tmp_path / "rows.parquet", hub_row(**changed)))


def test_unknown_settings_and_files_of_other_benchmarks_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="core_single_image"):
        MegaBench("half")
    with pytest.raises(ConfigError, match="at most one"):
        MegaBench("core,open")
    with pytest.raises(DatasetError, match="lacks the columns"):
        MegaBench().read(write_parquet(tmp_path / "rows.parquet", {"id": "1", "question": "?"}))


@needs_scorer
def test_what_cannot_be_scored_is_in_no_cell_and_named_with_the_reason(tmp_path: Path) -> None:
    rows = [
        hub_row(id="right"),
        hub_row(id="wrong", task_name="dvqa"),
        hub_row(id="judged", task_name="pet_poem", metric_info=rule("gpt_4o_as_judge")),
        hub_row(id="code", task_name="code_easy", metric_info=rule("program_judge"), eval_context={"test_case": []}),
    ]
    questions = MegaBench().read(write_parquet(tmp_path / "rows.parquet", *rows))
    responses = {"right": "So.\nAnswer: 16", "wrong": "Answer: 17", "judged": "Answer: a", "code": "Answer: print(1)"}
    with RowScorer(Rule(name="megabench"), workers=1) as scorer:
        found = score_rows(scorer, questions, responses)
    assert [row.outcome for _, row in found] == [
        RowOutcome.CORRECT,
        RowOutcome.WRONG,
        RowOutcome.NOT_SCORED,
        RowOutcome.NOT_SCORED,
    ]
    score = summed_up(MegaBench(), found)
    assert score.overall is not None
    assert (score.overall.accuracy, score.overall.predicted) == (0.5, 2)
    assert {why.split(":")[0]: tasks for why, tasks in not_scored(found).items()} == {
        "a judge scores it, and there is none (--judge)": {"pet_poem": 1},
        "program_judge": {"code_easy": 1},
    }
    assert list(score.breakdowns["subset"]) == ["core"]


def judged_question(tmp_path: Path, *, judge_model_type: str = "text only") -> Question:
    told = {
        "judge_model_type": judge_model_type,
        "eval_criteria_prompt": "Reference: {ref}\nShown: {shown}\nAsked: {asked}",
        "reference_type": "single",
        "template_mapping": {"ref": "answers.answer", "shown": "model_output", "asked": "example_question"},
    }
    row = hub_row(metric_info=rule("gpt_4o_as_judge", gpt4o_eval_configs=told))
    return MegaBench().read(write_parquet(tmp_path / "rows.parquet", row))[0]


def judge(stub: Stub) -> Judge:
    return Judge(ChatEndpoint(stub.url, timeout_s=5), "m", attempts=2, sleep=lambda _: None)


@needs_scorer
def test_the_judge_is_asked_with_the_authors_instructions_and_its_score_is_a_tenth(tmp_path: Path) -> None:
    with stub_judge(said("**Score explanation**: fine\n\n**Score**: 7")) as stub:
        verdict = MegaBench().judged(judged_question(tmp_path), "Well.\nAnswer: about 16", judge(stub), extracted=False)
    assert (verdict.score, verdict.extracted) == (0.7, "about 16")
    [shown] = stub.asked[0]["messages"][0]["content"]
    assert shown["text"] == "Reference: 16\nShown: about 16\nAsked: <image>\nQuestion: and here?"


@needs_scorer
@pytest.mark.parametrize("reply", ["", "I like it", "**Score**: eleven", "**Score**: 11"])
def test_a_judge_that_answers_nonsense_gives_no_verdict(tmp_path: Path, reply: str) -> None:
    with stub_judge(said(reply)) as stub, pytest.raises(JudgeError, match="not of the form asked for"):
        MegaBench().judged(judged_question(tmp_path), "Answer: 1", judge(stub), extracted=False)


@needs_scorer
def test_a_judge_that_would_miss_the_images_is_not_asked(tmp_path: Path) -> None:
    question = judged_question(tmp_path, judge_model_type="with image")
    with stub_judge(said("**Score**: 7")) as stub, pytest.raises(NotScoredError, match="not beside the problems"):
        MegaBench().judged(question, "Answer: 1", judge(stub), extracted=False)
    assert stub.asked == []


@needs_scorer
def test_a_task_without_the_judges_instructions_is_not_scored_and_says_so(tmp_path: Path) -> None:
    (question,) = MegaBench().read(
        write_parquet(tmp_path / "rows.parquet", hub_row(metric_info=rule("gpt_4o_as_judge")))
    )
    with stub_judge(said("**Score**: 7")) as stub, pytest.raises(NotScoredError, match="lacks what its judge is told"):
        MegaBench().judged(question, "Answer: 1", judge(stub), extracted=False)
    assert stub.asked == []


@needs_scorer
@pytest.mark.parametrize(("reply", "score"), [("Yes.", 1.0), ("no", 0.0)])
def test_ascii_art_is_judged_by_two_pictures(tmp_path: Path, reply: str, score: float) -> None:
    row = hub_row(metric_info=rule("ascii_art_gpt4o_judge", parser="ascii_answer_string"), answer={"answer": " /\\ "})
    (question,) = MegaBench().read(write_parquet(tmp_path / "rows.parquet", row))
    with stub_judge(said(reply)) as stub:
        assert MegaBench().judged(question, "Answer:\n /--\\ ", judge(stub), extracted=False).score == score
        assert MegaBench().judged(question, "", judge(stub), extracted=False).score == 0
    [asked] = stub.asked
    assert [part["type"] for part in asked["messages"][0]["content"]] == ["image_url", "image_url", "text"]
