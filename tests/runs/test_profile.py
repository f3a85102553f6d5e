"""A profile's figures, what it says of them, its page and its trace, from steps of known length."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from html import escape
from pathlib import Path

import pytest
from tests.pages import Open

from rethinker.runs.next_second import next_second
from rethinker.runs.profile import page, write_profile
from rethinker.runs.profile_figures import Profile, measured
from rethinker.runs.stretches import STRETCHES
from rethinker.runs.trace import trace
from rethinker.timing import Event, Lap, Part, Recorder

PARTS = {
    ("generate",): Part(seconds=0.5),
    ("generate", "prefill"): Part(seconds=1.0, counts={"tokens": 100.0}),
    ("generate", "decode"): Part(seconds=4.0, counts={"tokens": 200.0, "columns": 10.0}),
    ("rethink", "decode"): Part(seconds=1.0, counts={"tokens": 50.0, "columns": 15.0}),
    ("update", "forward"): Part(
        seconds=1.0, counts={"tokens": 300.0, "operations": 494.5e12, "slots": 400.0, "padding": 100.0}
    ),
    ("update", "backward"): Part(seconds=1.5, counts={"tokens": 300.0}),
    ("update", "optimiser"): Part(seconds=0.5),
    ("evaluate", "decode"): Part(seconds=0.25, counts={"tokens": 999.0}),
}


def lap(step: int, *, more: float = 0.0, generates: bool = True) -> Lap:
    """Ten seconds, of which a quarter of one is in no span; `more` are spent on decoding, or on the forward."""
    parts = {path: part for path, part in PARTS.items() if generates or path[0] in ("update", "evaluate")}
    slow = ("generate", "decode") if generates else ("update", "forward")
    parts[slow] = Part(seconds=parts[slow].seconds + more, counts=parts[slow].counts)
    seconds = sum(part.seconds for part in parts.values()) + 0.25
    return Lap(step=step, start=0.0, seconds=seconds, parts=parts, apart={"verify": 0.5})


def of(laps: Sequence[Lap], device: str | None = None) -> Profile:
    return measured(laps, device=device)


def test_a_period_is_the_mean_of_its_steps_and_its_shares_add_up() -> None:
    whole = of([lap(1), lap(2, more=2.0)]).whole
    assert whole is not None
    assert whole.seconds == pytest.approx(11.0)
    assert whole.stretches["decode"].seconds == pytest.approx(6.0)
    assert sum(spent.share for spent in whole.stretches.values()) == pytest.approx(1.0)
    assert whole.stretches["other"].seconds == pytest.approx(0.25)


def test_second_looks_count_where_they_are_decoded_and_validation_keeps_all_that_is_in_it() -> None:
    stretches = of([lap(1)]).steps[0].stretches
    assert (stretches["decode"], stretches["evaluate"]) == (5.0, 0.25)
    whole = of([lap(1)]).whole
    assert whole is not None
    assert whole.stretches["decode"].tokens_per_second == 250 / 5
    assert whole.stretches["evaluate"].tokens_per_second is None
    assert whole.stretches["optimiser"].tokens_per_second is None


def test_mfu_is_over_the_learners_passes_and_known_only_where_the_chip_is() -> None:
    known, unknown = of([lap(1)], "NVIDIA H200"), of([lap(1)])
    assert known.mfu == pytest.approx(494.5e12 / 3 / 989e12)
    assert unknown.mfu is None
    assert unknown.operations_per_second == known.operations_per_second
    assert (known.padding, known.rows) == (0.25, 10.0)


def test_a_median_step_is_of_a_whole_episode() -> None:
    laps = [lap(step, generates=step % 2 == 1, more=step) for step in range(1, 8)]  # the seventh is cut off
    typical = of(laps).typical
    assert typical is not None
    assert (typical.first, typical.last) == (3, 4)
    assert typical.stretches["decode"].seconds == pytest.approx((5 + 3) / 2)


def test_a_slow_first_step_is_named_and_left_out_of_the_advice() -> None:
    profile = of([lap(1, more=30.0), lap(2), lap(3), lap(4)])
    (odd,) = profile.odd
    assert (odd.step, odd.stretch, odd.times) == (1, "decode", 4.0)
    said = next_second(profile)
    assert said[0].startswith("Decode takes 50 % of the time, 5.00 s of a step's 10.00 s. Twice as fast, it would save")
    assert "1.33 times as fast" in said[0]
    assert said[-1] == "Step 1 took 4.0 times as long as others like it, most of it for decode (30.00 s more)."


def test_steps_that_only_train_are_not_odd_beside_those_that_generate() -> None:
    assert of([lap(step, generates=step % 4 == 1) for step in range(1, 13)]).odd == ()


def test_what_is_beside_the_model_counts_in_full() -> None:
    slow = {**PARTS, ("save",): Part(seconds=4.0)}
    profile = of([Lap(step=1, start=0.0, seconds=14.0, parts=slow, apart={})])
    said = " ".join(next_second(profile))
    assert said.startswith("Checkpoint takes 29 %")
    assert "save 4.00 s, and steps would be 1.40 times as fast." in said
    assert "checkpoints.every" in said
    assert "Then decode (at most 2.50 s)" in said


def test_a_learner_near_the_chips_rate_has_little_to_win() -> None:
    fast = {("update", "backward"): Part(seconds=8.0), ("update", "forward"): Part(counts={"operations": 0.9 * 8e15})}
    laps = [Lap(step=1, start=0.0, seconds=8.5, parts=fast, apart={})]
    said = next_second(of(laps, "NVIDIA H200"))
    assert said[0].startswith("Backward takes 94 %")
    assert "At the chip's rate, it would save" in said[0]


def test_an_unfinished_first_step_is_said_and_still_makes_a_page(tmp_path: Path) -> None:
    recorder = Recorder()
    with recorder.span("generate"):
        pass
    write_profile(tmp_path, recorder, device=None)
    assert json.loads((tmp_path / "profile.json").read_text())["steps"] == []
    assert "No step was finished" in (tmp_path / "profile.html").read_text()
    events = json.loads((tmp_path / "trace.json").read_text())["traceEvents"]
    assert [event["name"] for event in events if event["ph"] == "X"] == ["generate"]


def test_the_page_needs_nothing_else_and_names_every_stretch() -> None:
    text = page(of([lap(1), lap(2)]), title="<tiny>")
    assert "&lt;tiny&gt;" in text
    assert "<script" not in text
    assert "http" not in text.replace("http-equiv", "")
    for stretch in STRETCHES:
        assert f"{stretch.name}<span>{escape(stretch.what)}" in text


def test_long_runs_show_their_last_steps() -> None:
    text = page(of([lap(step) for step in range(1, 101)]), title="long")
    assert "The last 40 of 100." in text
    assert "<span>61</span>" in text
    assert "<span>60</span>" not in text


def test_a_trace_has_complete_events_by_thread() -> None:
    made = trace([Event("decode", 1.5, 0.25, "", {"tokens": 3.0}), Event("verify", 1.6, 1.0, "verifier-0", {})])
    names, spans = made["traceEvents"][:2], made["traceEvents"][2:]
    assert [(each["ph"], each["tid"], each["args"]["name"]) for each in names] == [
        ("M", 0, "main"),
        ("M", 1, "verifier-0"),
    ]
    assert spans[0] == {
        "ph": "X", "name": "decode", "pid": 1, "tid": 0, "ts": 1.5e6, "dur": 0.25e6, "args": {"tokens": 3.0}
    }  # fmt: skip
    assert (spans[1]["tid"], spans[1]["dur"]) == (1, 1e6)


def test_every_colour_of_the_page_has_a_value() -> None:
    text = page(of([lap(1), lap(2, more=2.0)]), title="a run")
    assert set(re.findall(r"var\((--\w+)\)", text)) <= set(re.findall(r"(--\w+):", text))


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_page_is_read_on_a_phone_and_by_who_cannot_see_it(tmp_path: Path, visit: Open, scheme: str) -> None:
    (tmp_path / "profile.html").write_text(page(of([lap(1), lap(2, more=2.0)]), title="a run"), encoding="utf-8")
    seen = visit((tmp_path / "profile.html").as_uri(), width=390, scheme=scheme)
    assert seen.serious() == []
    assert (seen.said, seen.asked) == ([], [])
    assert seen.width == 390
