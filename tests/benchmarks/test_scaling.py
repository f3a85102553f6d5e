from pathlib import Path

from tests.benchmarks.running import quick_run

import scaling


def test_one_thing_grows_at_a_time_from_the_base() -> None:
    base = scaling.points()[0].work
    assert (base.prompts, base.group, base.most, base.model) == (16, 8, 48, "tiny")
    for point in scaling.points():
        work = point.work
        changed = {
            "responses": work.group != base.group,
            "prompt": bool(work.prompt_tokens),
            "response": work.most != base.most,
            "vocabulary": bool(point.vocabulary),
        }
        assert not any(changed[name] for name in changed if name != point.varied)
    assert {point.varied for point in scaling.quick()} == {point.varied for point in scaling.points()}


def test_the_quick_run_measures_a_point_of_every_kind(tmp_path: Path) -> None:
    report, printed = quick_run("scaling.py", tmp_path)
    assert scaling.tables(report) in printed
    assert [row["varied"] for row in report["rows"]] == ["base", "responses", "prompt", "response", "vocabulary"]
    for row in report["rows"]:
        assert 0 < row["minimum_flops"] <= row["counted_flops"]
        assert row["ratio_to_minimum"] >= row["ratio"] > 0
    by_kind = {behind["varied"]: behind for behind in report["details"]}
    assert by_kind["prompt"]["prompt_tokens"] == [64, 64]
    assert by_kind["vocabulary"]["vocabulary"] == 1024
    # Twice the vocabulary, twice the output layer.
    assert by_kind["vocabulary"]["minimum"]["output"] == 2 * by_kind["base"]["minimum"]["output"]
