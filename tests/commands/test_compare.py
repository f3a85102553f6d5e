"""`rethinker compare` and `rethinker analyse`: what they tell, write and refuse."""

import json
import sys
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).parents[1] / "evaluation"))
from result_folders import EXAMPLE, Model, rows_of, write_model, write_result

from rethinker.cli import main
from rethinker.evaluation.analysis import bought
from rethinker.evaluation.majority import majority
from rethinker.evaluation.results import ResultRow, read_results

BASE, BETTER = Model("base", 0.4), Model("better", 0.7)


def run(capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, str]:
    with pytest.raises(SystemExit) as ended:
        main([*map(str, arguments)])
    said = capsys.readouterr()
    assert isinstance(ended.value.code, int)
    return ended.value.code, " ".join((said.out + said.err).split())


def test_only_common_questions_are_compared_and_the_others_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    one = write_model(tmp_path / "one", BASE, {"mathvista": range(100)})
    two = write_model(tmp_path / "two", BETTER, {"mathvista": range(10, 120)})
    code, said = run(capsys, "compare", one, two, "--json", tmp_path / "out.json")
    assert code == 0
    assert "90 questions" in said
    assert "one: 10 questions left out that not all have: q0, q1, q2, q3, q4, …" in said
    assert "two: 20 questions left out" in said
    [found] = json.loads((tmp_path / "out.json").read_text())["benchmarks"]
    first, second = found["models"]
    rows = [{row["id"]: row["correct"] for row in rows_of(model, range(10, 100))} for model in (BASE, BETTER)]
    assert first["accuracy"] == pytest.approx(sum(rows[0].values()) / 90)
    assert second["difference"]["mean"] == pytest.approx((sum(rows[1].values()) - sum(rows[0].values())) / 90)
    flipped = second["difference"]["flips"]
    assert flipped["right_to_wrong"] == [name for name in rows[0] if rows[0][name] and not rows[1][name]]
    assert flipped["wrong_to_right"] == [name for name in rows[0] if rows[1][name] and not rows[0][name]]


def test_one_result_stands_beside_the_paper(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    one = write_model(tmp_path / "one", BASE, {"mathvista": range(20)})
    code, said = run(capsys, "compare", one / "mathvista")
    assert code == 0
    assert "VL-Rethinker-7B 74.9" in said


def test_breakdowns_and_flips_are_shown_on_request(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folders = [write_model(tmp_path / model.name, model, {"mmmu": range(60)}) for model in (BASE, BETTER)]
    code, said = run(capsys, "compare", *folders, "--breakdown", "subject", "--flips")
    assert code == 0
    assert "geometry" in said
    assert "better wrong to right: q" in said
    code, said = run(capsys, "compare", *folders, "--breakdown", "level")
    assert code == 1
    assert "has no breakdown 'level'; it has subject" in said


def test_megabench_counts_every_task_the_same(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = write_model(tmp_path / "one", BASE, {"megabench": range(70)})
    run(capsys, "compare", folder, "--json", tmp_path / "out.json")
    tasks: dict[str, list[float]] = {}
    for row in rows_of(BASE, range(70), macro=True):
        tasks.setdefault(row["labels"]["task"][0], []).append(row["score"])
    expected = sum(sum(of) / len(of) for of in tasks.values()) / len(tasks)
    found = json.loads((tmp_path / "out.json").read_text())["benchmarks"][0]["models"][0]
    assert found["accuracy"] == pytest.approx(expected)


def test_megabench_rows_that_name_no_task_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = write_result(tmp_path / "one", "megabench", BASE, rows_of(BASE, range(9)))
    code, said = run(capsys, "compare", folder)
    assert code == 1
    assert "9 rows, such as 'q0', do not name their task, and megabench is the mean over tasks" in said


@pytest.mark.parametrize(
    ("changed", "said"),
    [({"protocol": "official"}, "differ in protocol"), ({"scoring": "judge gpt"}, "differ in scoring")],
)
def test_results_scored_differently_are_refused(
    changed: dict[str, str], said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    one = write_model(tmp_path / "one", BASE, {"mmmu": range(9)})
    two = write_result(tmp_path / "two", "mmmu", BETTER, rows_of(BETTER, range(9)), **changed)
    code, found = run(capsys, "compare", one, two)
    assert code == 1
    assert said in found


def test_what_is_no_result_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    one = write_model(tmp_path / "one", BASE, {"mmmu": range(9)})
    assert "given twice" in run(capsys, "compare", one, one)[1]
    assert "no such file or folder" in run(capsys, "compare", tmp_path / "none")[1]
    assert "is no result" in run(capsys, "compare", tmp_path)[1]
    two = write_model(tmp_path / "two", BASE, {"mmmu": range(20, 29)})
    assert "no question is common" in run(capsys, "compare", one, two)[1]
    (two / "mmmu" / "rows.jsonl").write_text("")
    assert "has no scored row" in run(capsys, "compare", two)[1]
    (two / "mmmu" / "rows.jsonl").write_text('{"id": "1", "score": 7, "extracted": null}\n')
    assert "line 1 is no verdict" in run(capsys, "compare", two)[1]
    write_result(two, "mmmu", BASE, [], settings={"schema": 9})
    assert "has schema 9" in run(capsys, "compare", two)[1]


def test_files_of_verdicts_are_compared(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name, score in (("a", None), ("b", 1.0)):
        line = {"id": "1", "extracted": "A", "correct": score and True, "score": score}
        (tmp_path / f"{name}.jsonl").write_text(json.dumps(line))
    code, said = run(capsys, "compare", tmp_path / "a.jsonl", tmp_path / "b.jsonl")
    assert code == 0
    assert "+100.00" in said


def test_an_interval_of_few_flips_is_by_score(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    files = []
    for name, right in (
        ("a_model_with_a_long_name_that_ends_in_one", 50),
        ("a_model_with_a_long_name_that_ends_in_two", 52),
    ):
        rows = [{"id": f"q{n}", "extracted": "", "correct": n < right, "score": float(n < right)} for n in range(100)]
        files.append(tmp_path / f"{name}.jsonl")
        files[-1].write_text("".join(json.dumps(row) + "\n" for row in rows))
    code, said = run(capsys, "compare", *files)
    assert code == 0
    assert "A difference with fewer than 30 flips has a score interval (Tango)" in said
    assert "…" not in said


def test_the_majority_is_the_earliest_of_the_most_frequent() -> None:
    assert majority(["A", "B", "B"]) == 1
    assert majority(["A", "B"]) == 0
    assert majority([None, "B", None]) == 1
    assert majority([None, None]) == 0


def test_a_budget_buys_samples_in_order_from_every_start() -> None:
    def sample(extracted: str, score: float, tokens: int) -> ResultRow:
        return ResultRow(
            extracted=extracted, score=score, tokens=tokens, first_correct=None, rethought=False, labels={}
        )

    samples = [sample("A", 1.0, 10), sample("B", 0.0, 20), sample("B", 0.0, 100)]
    found = bought(samples, 30)  # from 0: A and B; from 1: B alone; from 2: one however long
    assert found.vote == pytest.approx(1 / 3)
    assert found.any_right == pytest.approx(1 / 3)
    assert found.tokens == pytest.approx((30 + 20 + 100) / 3)
    assert found.capped == 0
    assert bought(samples, 1000).capped == 1
    assert bought(samples, 1000).vote == 0


def test_the_analysis_is_written_as_tables_and_a_picture(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    options: list[object] = []
    for model in EXAMPLE:
        options += [f"--{model.name}", write_model(tmp_path / model.name, model, {"mathvista": range(80)})]
    code, said = run(capsys, "analyse", *options, "--to", tmp_path / "out")
    assert code == 0, said
    [found] = json.loads((tmp_path / "out" / "analysis.json").read_text())["benchmarks"]
    ways = found["ways"]
    assert list(ways)[:4] == ["base", "forced on all", "oracle bound", "trained"]
    assert found["moved"] == 0
    forced = ways["forced on all"]["transitions"]
    gained = forced["wrong_to_right"] - forced["right_to_wrong"]
    assert ways["forced on all"]["gain"][0] == pytest.approx(gained)
    assert ways["oracle bound"]["gain"][0] == pytest.approx(forced["wrong_to_right"])
    assert ways["samples, equal tokens"]["tokens"] <= ways["forced on all"]["tokens"]
    assert (tmp_path / "out" / "analysis.png").read_bytes().startswith(b"\x89PNG")
    assert "76.00 %" in (tmp_path / "out" / "analysis.md").read_text()


def test_results_in_the_wrong_place_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    base = write_model(tmp_path / "base", BASE, {"mmmu": range(9)})
    code, said = run(capsys, "analyse", "--base", base, "--forced", base, "--to", tmp_path / "out")
    assert code == 1
    assert "forced on all takes one with --rethink forced" in said
    assert read_results(base)[0].samples == 1
