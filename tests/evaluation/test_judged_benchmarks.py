"""MathVista's extraction and MathVerse's two steps through a judge: what it is asked, what becomes of its answers."""

from pathlib import Path

import pytest
from hub_folders import write_hub_folders
from stub_judge import Reply, Stub, said, stub_judge

from rethinker.evaluation.benchmark import Question
from rethinker.evaluation.benchmarks.mathverse import MathVerse
from rethinker.evaluation.benchmarks.mathvista import MathVista
from rethinker.evaluation.chat import ChatEndpoint
from rethinker.evaluation.judge import PROMPTS, Judge, JudgeCounts
from rethinker.evaluation.judged import judge_all
from rethinker.evaluation.verdicts import RowOutcome


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("no_proxy", "127.0.0.1")


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    return write_hub_folders(tmp_path_factory.mktemp("hub"), ("mathvista", "mathverse"))


@pytest.fixture
def vista(folders: dict[str, Path]) -> list[Question]:
    return MathVista().read(folders["mathvista"])


@pytest.fixture
def verse(folders: dict[str, Path]) -> list[Question]:
    return MathVerse("text_dominant").read(folders["mathverse"])


def judge(stub: Stub) -> Judge:
    return Judge(ChatEndpoint(stub.url, timeout_s=5), "m", attempts=2, sleep=lambda _: None)


def test_mathvistas_judge_is_asked_as_officially(vista: list[Question]):
    with stub_judge(said("7\n")) as stub:
        verdict = MathVista().judged(vista[0], "There are seven.", judge(stub), extracted=False)
    demonstration = (PROMPTS / "mathvista_extract.txt").read_text(encoding="utf-8").strip()
    assert stub.prompts == [
        f"{demonstration}\n\nHint: Please answer the question as integer.\nQuestion: How many squares are there?\n\n"
        "There are seven.\n\nExtracted answer: "
    ]
    assert stub.asked[0]["max_tokens"] == 1024
    assert (verdict.extracted, verdict.score) == ("7", 1.0)


@pytest.mark.parametrize(
    ("row", "response", "score"), [(0, "7", 1), (1, "7", 1), (3, "eight", 0), (3, "", 0), (0, "", 0)]
)
def test_mathvistas_quick_path_asks_nobody(row: int, response: str, score: int, vista: list[Question]):
    with stub_judge(Reply(status=500)) as stub:
        verdict = MathVista().judged(vista[row], response, judge(stub), extracted=False)
    assert stub.asked == []
    assert verdict.correct is bool(score)


def test_mathverses_two_steps_are_asked_as_officially(verse: list[Question]):
    response = " ".join(f"w{number}" for number in range(40)) + " so it is\nA."
    with stub_judge(said("Extracted Answer: A"), said("Judgement: 1")) as stub:
        verdict = MathVerse().judged(verse[0], response, judge(stub), extracted=False)
    extract, score = ((PROMPTS / f"mathverse_{step}.txt").read_text("utf-8").strip() for step in ("extract", "score"))
    last = " ".join(response.split(" ")[-30:])
    assert stub.prompts[0] == f"{extract}\n\nModel response: '{last}'\nExtracted Answer: "
    assert stub.prompts[1] == score.format(question=verse[0].text, gt="A", extraction="A")
    assert stub.prompts[1].endswith(
        f"[Question]: {verse[0].text}\n[Standard Answer]: A\n[Model_answer] : A\nJudgement:"
    )
    assert "C:√{3}\nD:2√{2}" in stub.prompts[1]
    assert [body["max_tokens"] for body in stub.asked] == [256, 256]
    assert (verdict.extracted, verdict.score) == ("A", 1.0)


def test_mathverse_asks_again_until_the_judgement_is_0_or_1(verse: list[Question]):
    with stub_judge(said("They agree."), said("0")) as stub:
        asker = judge(stub)
        verdict = MathVerse().judged(verse[0], "B", asker, extracted=True)
    assert verdict.score == 0.0
    assert asker.counts == JudgeCounts(asked=2, retried=1, unusable=1)


def test_texts_with_braces_reach_the_judge_as_they_are(verse: list[Question]):
    with stub_judge(said("1")) as stub:
        MathVerse().judged(verse[0], r"\frac{1}{2} {gt} {0}", judge(stub), extracted=True)
    assert r"[Model_answer] : \frac{1}{2} {gt} {0}" in stub.prompts[0]


def test_rows_are_judged_in_order_and_failures_stand_in_their_place(verse: list[Question]):
    with stub_judge(said("1"), said("0"), said("who knows")) as stub:
        asker = judge(stub)
        rows = [(verse[0], "A"), (verse[1], "8"), (verse[0], "B")]
        done: list[int] = []
        verdicts = list(judge_all(MathVerse(), rows, asker, extracted=True, threads=1, advance=lambda: done.append(1)))
    assert [each.outcome for each in verdicts] == [RowOutcome.CORRECT, RowOutcome.WRONG, RowOutcome.UNJUDGED]
    assert "who knows" in verdicts[2].verdict.why
    assert len(done) == 3
    assert asker.counts == JudgeCounts(asked=4, retried=1, unusable=2, failed=1)


def test_a_judge_that_is_down_leaves_rows_without_a_verdict(verse: list[Question]):
    with stub_judge(said("1")) as stub:
        pass
    verdicts = list(judge_all(MathVerse(), [(verse[0], "A")] * 20, judge(stub), extracted=False))
    assert {each.outcome for each in verdicts} == {RowOutcome.UNJUDGED}


def test_who_stops_early_asks_no_more(verse: list[Question]):
    with stub_judge(said("1")) as stub:
        verdicts = judge_all(
            MathVerse(), [(verse[0], f"{n}") for n in range(500)], judge(stub), extracted=True, threads=2
        )
        next(verdicts)
        verdicts.close()
        assert len(stub.asked) < 500


def test_scores_by_rules_alone_say_so():
    assert MathVista().scoring_name == MathVerse().scoring_name == "rules, without the judge"
    assert not MathVista().asks_judge(extracted=True)
    assert MathVista().asks_judge(extracted=False)
    assert MathVerse().asks_judge(extracted=True)
