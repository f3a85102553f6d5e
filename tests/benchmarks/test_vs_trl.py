from collections import Counter
from pathlib import Path

import pytest
from tests.benchmarks.running import quick_run
from tests.conftest import copied

import arms
import trl_arm
import vs_trl
from rethinker.interfaces import Sampling
from rethinker.models.vlm import VLM
from rethinker.rollout.torch_engine import TorchEngine
from turns import Ready, Step, Trace
from work import Work

CASE = vs_trl.Case(name="a", prompts=2, group=2, least=4, most=4)


def trace(*seconds: float, peak: int = 100, loaded: int = 60) -> Trace:
    steps = tuple(
        Step(seconds=s, cpu_seconds=2 * s, tokens=16, peak_bytes=peak + number) for number, s in enumerate(seconds)
    )
    return Trace(ready=Ready(prompts=[[1]], loaded_bytes=loaded), steps=steps)


def small(**changed: object) -> Work:
    return Work(**{"prompts": 2, "group": 2, "least": 3, "most": 3, "steps": 2} | changed)


def test_the_ratio_is_the_median_of_pairs_not_of_arms() -> None:
    made = vs_trl.row(CASE, trace(1.0, 4.0, 2.0), trace(3.0, 8.0, 8.0))
    assert (made.ours_s, made.trl_s) == (2.0, 8.0)
    assert made.ratio == 3.0  # of 3, 2 and 4; the medians alone would say 4


def test_memory_is_the_largest_seen_and_what_of_it_came_after_loading() -> None:
    made = vs_trl.row(CASE, trace(1, 1, 1, peak=70), trace(1, 1, 1, peak=90, loaded=80))
    assert (made.ours_peak_bytes, made.trl_peak_bytes) == (72, 92)
    assert (made.ours_above_bytes, made.trl_above_bytes) == (12, 12)


def test_an_arm_that_lost_a_step_is_not_paired() -> None:
    with pytest.raises(ValueError, match="shorter"):
        vs_trl.row(CASE, trace(1, 1), trace(1))


def test_cases_hold_every_value_twice_and_those_with_targets() -> None:
    cases = {case.name: case for case in vs_trl.FIXED}
    assert len(cases) == len(vs_trl.FIXED)
    for values, wanted in (
        ([case.group for case in cases.values()], {4, 8, 16}),
        ([case.most for case in cases.values()], {48, 128, 256}),
        ([case.images for case in cases.values()], {1, 4}),
    ):
        counts = Counter(values)
        assert set(counts) == wanted
        assert min(counts.values()) >= 2
    assert all((case.prompts, case.least) == (16, case.most) for case in cases.values())
    targets = {name: case.target for name, case in cases.items() if case.target}
    assert targets == {"g8-48-1img": 2.5, "g8-48-4img": 4.0, "g16-48-4img": 5.0}
    assert all(case.least < case.most for case in vs_trl.NATURAL)


def test_every_number_of_rows_that_is_tuned_divides_every_case() -> None:
    for case in vs_trl.FIXED:
        assert all(case.prompts * case.group % rows == 0 for rows in vs_trl.ROWS if rows <= case.prompts * case.group)


@pytest.mark.parametrize("images", [1, 4])
def test_a_step_of_ours_samples_scores_and_updates(tiny_vlm: VLM, images: int) -> None:
    vlm = copied(tiny_vlm)
    given = small(images=images)
    learner = arms.learner(vlm, given)
    assert arms.our_step(given, given.problems(vlm.processor), vlm, TorchEngine(vlm), learner, 0) == 12
    assert learner.step == 1


def test_the_inline_scorer_scores_by_the_rule(tiny_vlm: VLM) -> None:
    one = small().problems(tiny_vlm.processor)[0]
    scorer = arms.InlineScorer()
    right, wrong = (scorer.submit(one, f"\\boxed{{{answer}}}").result() for answer in (one.answer, "-7"))
    assert (right.correct, wrong.correct) == (True, False)


def test_trl_is_set_for_the_same_work(tiny_vlm: VLM, tmp_path: Path) -> None:
    pytest.importorskip("trl", reason="trl is in the extra `benchmark`")
    asked = small(prompts=16, group=8, least=48, most=48, rows=32, scratch=str(tmp_path))
    settings = trl_arm.settings(asked, tiny_vlm.processor)
    assert settings.generation_batch_size == 128
    assert settings.steps_per_generation == settings.gradient_accumulation_steps  # no pass for old log-probs
    assert settings.generation_kwargs["suppress_tokens"] == [
        i for i in tiny_vlm.forbidden_ids if i < len(tiny_vlm.tokenizer)
    ]
    assert (settings.beta, settings.bf16, settings.gradient_checkpointing) == (0.0, False, False)
    ours = Sampling()
    assert (settings.temperature, settings.top_p, settings.top_k) == (ours.temperature, ours.top_p, ours.top_k)


def test_the_quick_run_compares_equal_work_on_four_images(tmp_path: Path) -> None:
    pytest.importorskip("trl", reason="trl is in the extra `benchmark`")
    report, printed = quick_run("vs_trl.py", tmp_path)
    (row,), (behind,) = report["rows"], report["details"]
    assert set(row) == {column.key for column in vs_trl.COLUMNS}
    assert vs_trl.tables(report) in printed
    assert behind["ours"]["response_tokens"] == behind["trl"]["response_tokens"] == 4
    prompts = behind["prompt_tokens"]
    assert behind["trl"]["passed_tokens"] == [2 * (sum(prompts) + 2 * 4)]
    assert behind["ours"]["passed_tokens"][0] <= sum(prompts) + 4 * 4  # each prompt once
    assert 0 < row["ours_above_bytes"] < row["ours_peak_bytes"]
    assert report["machine"]["versions"]["trl"]
