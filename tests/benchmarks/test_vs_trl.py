import json
import subprocess
import sys
from pathlib import Path

import pytest
from tests.conftest import copied

import arms
import vs_trl
from rethinker.interfaces import Sampling
from rethinker.learner.learner import Objective, Optimisation, PolicyLearner
from rethinker.models.vlm import VLM
from rethinker.rollout.torch_engine import TorchEngine

ROOT = Path(__file__).parents[2]


def steps(*seconds: float, peak: int = 100) -> list[arms.Step]:
    return [
        arms.Step(seconds=s, cpu_seconds=2 * s, response_tokens=4.0, peak_bytes=peak + n) for n, s in enumerate(seconds)
    ]


def work(**changed: object) -> arms.Work:
    tiny = {"families": vs_trl.ONE_IMAGE, "prompts": 2, "group": 2, "least": 3, "most": 3, "threads": 1, "steps": 2}
    return arms.Work(**{"folder": "", "scratch": ""} | tiny | changed)


def test_the_ratio_is_the_median_of_pairs_not_of_arms() -> None:
    made = vs_trl.row("a", steps(1.0, 4.0, 2.0), steps(3.0, 8.0, 8.0))
    assert (made.ours_s, made.trl_s) == (2.0, 8.0)
    assert made.ratio == 3.0  # of 3, 2 and 4; the medians alone would say 4


def test_peak_memory_is_the_largest_seen() -> None:
    made = vs_trl.row("a", steps(1, 1, 1, peak=10), steps(1, 1, 1, peak=20))
    assert (made.ours_peak_bytes, made.trl_peak_bytes) == (12, 22)


def test_an_arm_that_lost_a_step_is_not_paired() -> None:
    with pytest.raises(ValueError, match="shorter"):
        vs_trl.row("a", steps(1, 1), steps(1))


def test_the_table_has_a_line_per_case() -> None:
    lines = vs_trl.table([vs_trl.row(name, steps(0.5), steps(1.5, peak=2_000_000)) for name in ("a", "b")]).splitlines()
    assert lines[2] == "| a | 0.500 | 1.500 | 3.00 | 0 | 2 |"
    assert len(lines) == 4


def test_the_first_table_fixes_the_length_and_the_second_does_not() -> None:
    assert [(c.name, c.prompts, c.group, c.least, c.most) for c in vs_trl.FIXED] == [("g8-48-1img", 16, 8, 48, 48)]
    assert all(case.least < case.most for case in vs_trl.NATURAL)


def test_every_problem_of_a_case_is_another_one_with_one_image() -> None:
    problems = work(prompts=16).problems()
    assert len({each.id for each in problems}) == 16
    assert all(len(each.images) == 1 for each in problems)


def test_a_step_of_ours_samples_scores_and_updates(tiny_vlm: VLM) -> None:
    vlm = copied(tiny_vlm)
    learner = PolicyLearner(vlm, objective=Objective(), optimisation=Optimisation(steps=2, lr=1e-5))
    small = work()
    assert arms.our_step(small, small.problems(), vlm, TorchEngine(vlm), learner, 0) == 3.0
    assert learner.step == 1


def test_the_inline_scorer_scores_by_the_rule() -> None:
    one = work().problems()[0]
    scorer = arms.InlineScorer()
    right, wrong = (scorer.submit(one, f"\\boxed{{{answer}}}").result() for answer in (one.answer, "-7"))
    assert (right.correct, wrong.correct) == (True, False)


def test_trl_is_set_for_the_same_work(tiny_vlm: VLM, tmp_path: Path) -> None:
    pytest.importorskip("trl", reason="trl is in the extra `benchmark`")
    asked = work(prompts=16, group=8, least=48, most=48, scratch=str(tmp_path))
    settings = arms.trl_settings(asked, tiny_vlm.processor)
    assert settings.generation_batch_size == 128
    assert settings.steps_per_generation == settings.gradient_accumulation_steps  # no pass for old log-probs
    assert settings.generation_kwargs["suppress_tokens"] == [
        i for i in tiny_vlm.forbidden_ids if i < len(tiny_vlm.tokenizer)
    ]
    assert (settings.beta, settings.bf16, settings.gradient_checkpointing) == (0.0, False, False)
    ours = Sampling()
    assert (settings.temperature, settings.top_p, settings.top_k) == (ours.temperature, ours.top_p, ours.top_k)


@pytest.mark.long
def test_the_quick_run_writes_both_tables(tmp_path: Path) -> None:
    pytest.importorskip("trl", reason="trl is in the extra `benchmark`")
    out = tmp_path / "out.json"
    command = [sys.executable, str(ROOT / "benchmarks" / "vs_trl.py"), "--quick", "--threads", "1", "--json", str(out)]
    subprocess.run(command, check=True, capture_output=True)
    report = json.loads(out.read_text())
    wanted = {"case", "ours_s", "trl_s", "ratio", "ours_peak_bytes", "trl_peak_bytes"}
    assert [set(row) for row in report["rows"] + report["natural"]] == [wanted, wanted]
    assert report["details"][0]["ours_response_tokens"] == report["details"][0]["trl_response_tokens"] == 4
    assert report["machine"]["versions"]["trl"]
