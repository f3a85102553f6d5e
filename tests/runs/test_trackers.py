"""Metrics are one strict JSON line a step, and a resumed run writes the file it would have written unbroken."""

import json
import subprocess
import sys

import numpy as np
import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from rethinker.errors import RunFolderError
from rethinker.interfaces import Tracker
from rethinker.runs.shown import Showing
from rethinker.runs.trackers import JsonlTracker, TensorBoardTracker, Trackers, read_metrics


def test_line_is_strict_json_with_null_for_what_is_no_number(tmp_path):
    path = tmp_path / "metrics.jsonl"
    metrics = {
        "policy/loss": float("nan"),
        "engine/gap": float("inf"),
        "eval/accuracy": None,
        "groups/mixed": np.float32(0.5),
        "episode": 2,
    }
    JsonlTracker(path).log(7, metrics)
    line = path.read_text()
    assert line == (
        '{"step": 7, "engine/gap": null, "episode": 2, "eval/accuracy": null, "groups/mixed": 0.5, '
        '"policy/loss": null}\n'
    )
    json.loads(line, parse_constant=pytest.fail)


def test_tensorboard_shows_responses_with_their_images_at_the_steps_asked_for(tmp_path, make_group, make_image):
    tracker = TensorBoardTracker(tmp_path, showing=Showing(every=2, count=2))
    for step in (1, 2, 3):
        tracker.show(step, make_group("p1", image=make_image(0), rethought=1))
    tracker.close()
    events = EventAccumulator(str(tmp_path)).Reload()
    assert [event.step for event in events.Images("rollouts/0/image")] == [2]
    (text,) = events.Tensors(
        "rollouts/0/text_summary" if "rollouts/0/text_summary" in events.Tags()["tensors"] else "rollouts/0"
    )
    said = text.tensor_proto.string_val[0].decode()
    assert said.startswith("p1: reward 1, advantage -0.50, ok")  # the one made to look twice comes first
    assert "Wait, does it seem right?" in said


def test_order_of_names_does_not_change_a_line(tmp_path):
    JsonlTracker(tmp_path / "a").log(1, {"x": 1.5, "b": 2})
    JsonlTracker(tmp_path / "b").log(1, {"b": 2, "x": 1.5})
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_resumed_file_is_the_unbroken_one_to_the_byte(tmp_path):
    unbroken, resumed = JsonlTracker(tmp_path / "unbroken"), JsonlTracker(tmp_path / "resumed")
    for step in range(1, 7):
        unbroken.log(step, {"policy/loss": 0.1 * step})
    for step in range(1, 6):
        resumed.log(step, {"policy/loss": 0.1 * step})
    with (tmp_path / "resumed").open("a") as file:
        file.write('{"step": 6, "policy/lo')  # killed in the middle of a line
    resumed = JsonlTracker(tmp_path / "resumed")
    resumed.cut_back(3)
    for step in range(4, 7):
        resumed.log(step, {"policy/loss": 0.1 * step})
    assert (tmp_path / "resumed").read_bytes() == (tmp_path / "unbroken").read_bytes()


def test_cutting_back_before_the_first_line_is_nothing(tmp_path):
    JsonlTracker(tmp_path / "metrics.jsonl").cut_back(0)
    assert list(tmp_path.iterdir()) == []


def test_lines_lost_before_the_checkpoint_are_not_passed_over(tmp_path):
    path = tmp_path / "metrics.jsonl"
    with pytest.raises(RunFolderError, match="ends at step 0, but the checkpoint to go on from is of step 3"):
        JsonlTracker(path).cut_back(3)
    path.write_text('{"step": 1}\n{"step": 2}\n{"step": 3')
    with pytest.raises(RunFolderError, match=r"ends at step 2, .*Put the whole file back, or remove the checkpoints"):
        JsonlTracker(path).cut_back(3)


def test_torn_last_line_is_left_out_a_torn_line_before_is_an_error(tmp_path):
    path = tmp_path / "metrics.jsonl"
    path.write_text('{"step": 1, "a": 2}\n{"step": 2, "a"')
    assert read_metrics(path) == [{"step": 1, "a": 2}]
    path.write_text('{"step": 1, "a"\n{"step": 2}\n')
    with pytest.raises(RunFolderError, match=r"line 1 of .*metrics\.jsonl"):
        read_metrics(path)
    assert read_metrics(tmp_path / "missing") == []


def test_file_that_cannot_be_written_is_a_clear_error(tmp_path):
    with pytest.raises(RunFolderError, match="resume the run from its last checkpoint"):
        JsonlTracker(tmp_path).log(1, {})


def test_events_that_cannot_be_written_are_a_clear_error(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(RunFolderError, match=r"cannot write .*file.*resume the run from its last checkpoint"):
        TensorBoardTracker(tmp_path / "file").log(1, {"a": 1.0})

    script = (
        "import resource, sys; from pathlib import Path; from rethinker.runs.trackers import TensorBoardTracker\n"
        "tracker = TensorBoardTracker(Path(sys.argv[1])); tracker.log(1, {'a': 1.0})\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (100, 100))\n"
        "tracker.log(2, {'a': 1.0})"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, str(tmp_path / "events")], capture_output=True, text=True, check=False
    )
    assert "RunFolderError: cannot write" in done.stderr
    assert "File too large" in done.stderr
    assert "Exception in thread" not in done.stderr


def test_tensorboard_shows_each_step_once_after_a_resume(tmp_path):
    first = TensorBoardTracker(tmp_path)
    for step in range(1, 6):
        first.log(step, {"reward/mean": float(step), "eval/accuracy": None, "policy/loss": float("nan")})
    first.close()
    second = TensorBoardTracker(tmp_path)
    second.cut_back(3)
    for step in range(4, 7):
        second.log(step, {"reward/mean": step + 0.5})
    second.close()

    viewer = EventAccumulator(str(tmp_path))
    viewer.Reload()
    assert viewer.Tags()["scalars"] == ["reward/mean"]
    assert [(event.step, event.value) for event in viewer.Scalars("reward/mean")] == [
        *((step, float(step)) for step in (1, 2, 3)),
        *((step, step + 0.5) for step in (4, 5, 6)),
    ]


def test_trackers_are_one_tracker(tmp_path):
    calls = []

    class Recorder(Tracker):
        def log(self, step, metrics):
            calls.append(("log", step, dict(metrics)))

        def show(self, step, experiences):
            calls.append(("show", step, experiences))

        def cut_back(self, step):
            calls.append(("cut_back", step))

        def close(self):
            calls.append(("close",))

    both = Trackers([Recorder(), Recorder()])
    both.cut_back(2)
    both.log(3, {"a": 1})
    both.show(3, [])
    both.close()
    assert calls == 2 * [("cut_back", 2)] + 2 * [("log", 3, {"a": 1})] + 2 * [("show", 3, [])] + 2 * [("close",)]
