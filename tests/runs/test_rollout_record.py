"""The record holds every response with its image once, the same bytes for the same responses, within its limit."""

import hashlib
import io

import numpy as np
import PIL.Image
import pytest

from rethinker.errors import RunFolderError
from rethinker.runs.files import bytes_below
from rethinker.runs.rollouts import RolloutRecord, read_rollouts, token_lengths

MANY = 10**9


def record_in(folder, keep_bytes=MANY) -> RolloutRecord:
    return RolloutRecord(
        folder,
        keep_bytes=keep_bytes,
        first_answer=lambda rollout: f"first {rollout.sample}",
        token_text=lambda token: "",
    )


def steps(folder) -> list[str]:
    return sorted(path.name for path in folder.glob("*.gz"))


def pictures(folder) -> set[str]:
    return {path.stem for path in (folder / "images").iterdir()}


def test_row_holds_the_published_fields(tmp_path, make_group, make_image):
    image = make_image(0)
    experiences = make_group("p1", image=image, rethought=1)
    record_in(tmp_path).write(21, experiences)
    rows = list(read_rollouts(tmp_path / "000021.jsonl.gz"))

    (picture,) = pictures(tmp_path)
    rollout = experiences[1].rollout
    assert rows[1] == {
        "problem_id": "p1",
        "question": "<image>How many?",
        "answer": "7",
        "category": "counting",
        "source": "made",
        "sample": 1,
        "prompt": "<image>How many in p1?",
        "response": rollout.text,
        "token_ids": [41, 9, 9, 2],
        "token_lengths": None,
        "logprobs": [-0.1, -1e-8, -2.5, 0.0],
        "reward": 1.0,
        "outcome": "ok",
        "extracted": "7",
        "detail": "because",
        "first_answer": "first 1",
        "first_outcome": "wrong",
        "length_penalty": None,
        "advantage": -0.5,
        "forced_span": [1, 3],
        "trigger": "\n\nWait, does it seem right?",
        "finish_reason": "stop",
        "policy_version": 3,
        "image_ids": [picture],
    }
    assert rows[0]["forced_span"] is rows[0]["trigger"] is None
    assert [row["sample"] for row in rows] == [0, 1, 2]
    np.testing.assert_array_equal(np.array(rows[1]["logprobs"], dtype=np.float32), rollout.logprobs)


def test_image_is_stored_once_under_the_hash_of_its_file(tmp_path, make_group, make_image):
    image = make_image(0)
    record = record_in(tmp_path)
    record.write(1, [*make_group("p1", image=image), *make_group("p2", image=image)])
    record_in(tmp_path).write(2, make_group("p1", image=image))  # a resumed process
    (file,) = (tmp_path / "images").iterdir()
    assert file.stem == hashlib.sha256(file.read_bytes()).hexdigest()
    np.testing.assert_array_equal(np.asarray(PIL.Image.open(io.BytesIO(file.read_bytes()))), image.pixels)


def test_same_responses_are_the_same_bytes(tmp_path, make_group):
    record_in(tmp_path / "a").write(1, make_group("p1"))
    record_in(tmp_path / "b").write(1, make_group("p1"))
    assert (tmp_path / "a/000001.jsonl.gz").read_bytes() == (tmp_path / "b/000001.jsonl.gz").read_bytes()


def test_oldest_steps_go_first_with_the_images_only_they_show(tmp_path, make_group, make_image):
    shared = make_image(99)
    one_step = bytes_of_one_step(tmp_path / "measure", make_group, make_image)
    record = record_in(tmp_path / "run", keep_bytes=4 * one_step)
    for step in range(1, 9):
        record.write(step, [*make_group("own", image=make_image(step)), *make_group("all", image=shared)])
        assert bytes_below(tmp_path / "run") <= 4 * one_step
    kept = steps(tmp_path / "run")
    assert kept == [f"{step:06d}.jsonl.gz" for step in range(9 - len(kept), 9)]
    assert 2 <= len(kept) == 8 - record.dropped
    shown = {
        name for path in (tmp_path / "run").glob("*.gz") for row in read_rollouts(path) for name in row["image_ids"]
    }
    assert pictures(tmp_path / "run") == shown
    assert len(shown) == len(kept) + 1


def bytes_of_one_step(folder, make_group, make_image) -> int:
    record_in(folder).write(1, make_group("own", image=make_image(1)))
    return bytes_below(folder)


def test_resumed_process_knows_what_earlier_steps_show(tmp_path, make_group, make_image):
    one_step = bytes_of_one_step(tmp_path / "measure", make_group, make_image)
    folder = tmp_path / "run"
    record_in(folder).write(1, make_group("a", image=make_image(1)))
    record_in(folder).write(2, make_group("b", image=make_image(2)))
    record_in(folder, keep_bytes=int(2.5 * one_step)).write(3, make_group("c", image=make_image(2)))
    record_in(folder, keep_bytes=int(1.7 * one_step)).write(4, make_group("d", image=make_image(2)))
    shown = {name for path in folder.glob("*.gz") for row in read_rollouts(path) for name in row["image_ids"]}
    assert "000004.jsonl.gz" in steps(folder)
    assert "000001.jsonl.gz" not in steps(folder)
    assert pictures(folder) == shown
    assert len(shown) == 1


def test_what_is_kept_is_walked_once_however_long_the_run(tmp_path, make_group, make_image, monkeypatch):
    keep_bytes = 4 * bytes_of_one_step(tmp_path / "measure", make_group, make_image)
    walks = []
    monkeypatch.setattr("rethinker.runs.rollouts.bytes_below", lambda at: walks.append(at) or bytes_below(at))
    record = record_in(tmp_path / "run", keep_bytes=keep_bytes)
    for step in range(1, 9):
        record.write(step, make_group("p", image=make_image(step)))
    assert walks == [tmp_path / "run"]
    assert record.dropped


def test_room_that_somebody_else_made_stops_nothing(tmp_path, make_group, make_image):
    one_step = bytes_of_one_step(tmp_path / "measure", make_group, make_image)
    record = record_in(tmp_path / "run", keep_bytes=2 * one_step)
    record.write(1, make_group("p", image=make_image(1)))
    for path in [*(tmp_path / "run").glob("*.gz"), *(tmp_path / "run/images").iterdir()]:
        path.unlink()
    for step in (2, 3, 4):
        record.write(step, make_group("p", image=make_image(step)))
    assert "000004.jsonl.gz" in steps(tmp_path / "run")


def test_half_of_a_step_that_a_kill_left_goes_at_the_next_start(tmp_path, make_group):
    record_in(tmp_path).write(1, make_group("p1"))
    for folder in (tmp_path, tmp_path / "images"):
        (folder / ".000002.jsonl.gz.tmp-4711").write_bytes(b"half")
    record_in(tmp_path).cut_back(1)
    assert not [path for path in tmp_path.rglob("*") if ".tmp-" in path.name]
    assert steps(tmp_path) == ["000001.jsonl.gz"]


def test_pictures_of_a_step_that_was_never_written_go_at_the_next_start(tmp_path, make_group, make_image):
    record_in(tmp_path).write(1, make_group("p", image=make_image(1)))
    record_in(tmp_path).write(2, make_group("p", image=make_image(2)))
    (tmp_path / "000002.jsonl.gz").unlink()
    record_in(tmp_path).cut_back(5)
    assert len(pictures(tmp_path)) == 1


def test_step_larger_than_the_limit_is_not_kept(tmp_path, make_group, make_image):
    record = record_in(tmp_path, keep_bytes=100)
    record.write(1, make_group("p1", image=make_image(1)))
    assert bytes_below(tmp_path) == 0
    assert record.dropped == 1


def test_limit_of_zero_records_nothing(tmp_path, make_group):
    record_in(tmp_path / "rollouts", keep_bytes=0).write(1, make_group("p1"))
    assert not (tmp_path / "rollouts").exists()


def test_cut_back_removes_later_steps_and_their_images(tmp_path, make_group, make_image):
    record = record_in(tmp_path)
    for step in (1, 4, 7, 10):
        record.write(step, make_group("p", image=make_image(min(step, 7))))
    before = (tmp_path / "000001.jsonl.gz").read_bytes()
    resumed = record_in(tmp_path)
    resumed.cut_back(6)
    assert steps(tmp_path) == ["000001.jsonl.gz", "000004.jsonl.gz"]
    assert len(pictures(tmp_path)) == 2
    assert (tmp_path / "000001.jsonl.gz").read_bytes() == before


def test_cut_back_of_nothing_is_nothing(tmp_path):
    record_in(tmp_path / "missing").cut_back(0)


def test_full_disk_is_a_clear_error(tmp_path, make_group, monkeypatch):
    def full(descriptor):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(RunFolderError, match=r"cannot write .*000001\.jsonl\.gz: No space left on device"):
        record_in(tmp_path).write(1, make_group("p1"))
    assert bytes_below(tmp_path) == 0


def test_folder_that_cannot_be_made_is_a_clear_error(tmp_path, make_group):
    (tmp_path / "rollouts").write_text("")
    with pytest.raises(RunFolderError, match=r"cannot write .*images"):
        record_in(tmp_path / "rollouts").write(1, make_group("p1"))


@pytest.mark.parametrize(
    ("pieces", "text", "lengths"),
    [
        (["The", " answer", ""], "The answer", [3, 7, 0]),
        (["a", "\ufffd", "\ufffd", " b"], "aπ b", [1, 0, 0, 3]),
        (["a", "\ufffd", "\ufffd"], "aπ", [1, 0, 1]),
        (["Two", "words"], "Two words", [3, 6]),
        ([], "", []),
        (["other"], "text", None),
        ([""], "a text of unknown tokens", None),
    ],
)
def test_token_lengths_cut_a_text_into_its_tokens(pieces, text, lengths):
    assert token_lengths(pieces, text) == lengths
    assert lengths is None or sum(lengths) == len(text)
