"""`rethinker score --judge`: through the command line, with a judge that works, fails, or is not asked at all."""

import json
from pathlib import Path
from typing import Any

import pytest
from hub_folders import write_hub_folders
from megabench_files import needs_scorer
from stub_judge import Reply, said, stub_judge

from rethinker.cli import main


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    return write_hub_folders(tmp_path_factory.mktemp("hub"), ("mathvista", "mathverse", "mmmu", "megabench"))


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("no_proxy", "127.0.0.1")


def score(
    benchmark: str, problems: Path, responses: dict[str, str], folder: Path, *more: str
) -> tuple[int, dict[str, Any]]:
    """Exit status, and what was written as JSON."""
    predictions, to = folder / "predictions.jsonl", folder / "out.json"
    rows = [json.dumps({"id": name, "response": response}) for name, response in responses.items()]
    predictions.write_text("\n".join(rows))
    given = ["--predictions", str(predictions), "--problems", str(problems), "--json", str(to), "--workers", "1", *more]
    with pytest.raises(SystemExit) as ended:
        main(["score", benchmark, *given])
    return int(ended.value.code or 0), json.loads(to.read_text()) if to.exists() else {}


RIGHT = {"1": "So seven.", "2": "7", "3": "It is [7, 8].", "4": "seven"}
QUICK = {**RIGHT, "1": "7"}
"""Of these a judge is asked for the third alone."""


def test_a_judge_scores_what_it_can_and_the_rest_is_counted(folders: dict[str, Path], tmp_path: Path):
    with stub_judge(Reply(status=401, body=b"no")) as stub:
        judge = ("--judge", stub.url, "--judge-model", "gpt-4")
        code, out = score("mathvista", folders["mathvista"], QUICK, tmp_path, *judge)
        assert (code, out["scoring"], out["accuracy"]) == (3, "judge gpt-4", 1.0)
        assert out["counts"] == {
            "questions": 4, "predicted": 3, "correct": 3, "missing": 0, "unknown": 0, "duplicate": 0, "malformed": 0,
            "unjudged": 1,
        }  # fmt: skip
        assert "status 401" in out["examples"]["unjudged"][0]
        assert (out["judge"]["asked"], out["judge"]["failed"]) == (1, 1)
        stub.replies[:] = [said("[7, 8]")]
        for asked, cached in ((1, 0), (0, 1)):
            code, out = score("mathvista", folders["mathvista"], QUICK, tmp_path, *judge)
            assert (code, out["accuracy"], out["counts"]["unjudged"]) == (0, 1.0, 0)
            assert (out["judge"]["asked"], out["judge"]["cached"]) == (asked, cached)


def test_without_a_judge_the_score_says_so(folders: dict[str, Path], tmp_path: Path):
    code, out = score("mathvista", folders["mathvista"], RIGHT, tmp_path)
    assert (code, out["scoring"], out["judge"]) == (0, "rules, without the judge", None)
    assert (out["accuracy"], out["outcomes"]["no_answer"]) == (0.75, 1)
    _, out = score("mathvista", folders["mathvista"], RIGHT, tmp_path, "--extracted")
    assert out["scoring"] == "rules"


def test_mathverse_is_judged_in_both_steps(folders: dict[str, Path], tmp_path: Path):
    responses = {str(number): "The answer is A" for number in range(1, 11)}
    with stub_judge(said("1")) as stub:
        judge = ("--judge", stub.url, "--judge-model", "gpt-3.5-turbo")
        code, out = score("mathverse", folders["mathverse"], responses, tmp_path, *judge)
    assert (code, out["accuracy"]) == (0, 1.0)
    assert {prompt[-10:] for prompt in stub.prompts} == {"d Answer: ", "Judgement:"}
    assert set(out["breakdowns"]["version"]) >= {"Text Dominant", "Vision Only"}


@needs_scorer
def test_megabench_is_scored_by_rules_and_a_judge_that_sees_the_image(folders: dict[str, Path], tmp_path: Path):
    tasks = ("code_error_line_identification_1", "code_error_line_identification_2", "table2latex_complex_1")
    with stub_judge(said("**Score**: 7")) as stub:
        judge = ("--judge", stub.url, "--judge-model", "m")
        code, out = score("megabench", folders["megabench"], dict.fromkeys(tasks, "Answer: 7"), tmp_path, *judge)
    assert (code, out["scoring"]) == (0, "rules and judge m, without running code")
    assert out["accuracy"] == pytest.approx((1 + 0.7) / 2)
    [asked] = stub.asked
    assert [part["type"] for part in asked["messages"][0]["content"]] == ["image_url", "text"]


@pytest.mark.parametrize(
    ("name", "more", "message"),
    [
        ("mmmu", ("--judge", "http://127.0.0.1:9/v1", "--judge-model", "m"), "mmmu is scored by rules alone"),
        ("mathvista", ("--judge", "http://127.0.0.1:9/v1"), "--judge URL and --judge-model NAME belong together"),
        ("mathvista", ("--judge", "nowhere", "--judge-model", "m"), "no http or https address"),
        ("mathvista", ("--setting", "test"), "the authors withhold the answers of 1 questions, such as 1001"),
    ],
)
def test_what_cannot_be_scored_is_refused(
    name: str, more: tuple[str, ...], message: str, folders: dict[str, Path], tmp_path: Path, capsys: Any
):
    responses = {"1001": "7"} if "test" in more else {"1": "7", "validation_Art_1": "A"}
    assert score(name, folders[name], responses, tmp_path, *more) == (1, {})
    assert message in " ".join(capsys.readouterr().err.split())
