"""A run folder is made once, used by one process, and written whole."""

import json
import multiprocessing
import os
import signal
import subprocess
import sys
from datetime import datetime

import pytest

from rethinker.errors import RunFolderError
from rethinker.runs.files import atomic_file, write_atomically
from rethinker.runs.folder import RunFolder

HOLD = """
import sys
from pathlib import Path
from rethinker.runs.folder import RunFolder
folder = RunFolder.resume(Path(sys.argv[1]))
print("held", flush=True)
sys.stdin.read()
"""


@pytest.fixture
def run(tmp_path):
    """The path of a run that was started and has ended."""
    with RunFolder.create(tmp_path / "run") as folder:
        folder.write_config("seed: 0\n")
    return tmp_path / "run"


def test_default_name_is_recipe_and_time_with_a_suffix_when_taken(tmp_path):
    now = datetime(2026, 11, 22, 17, 4, 5)
    names = []
    for _ in range(3):
        with RunFolder.create_named("tiny", parent=tmp_path / "runs", now=now) as folder:
            names.append(folder.path.name)
    assert names == ["tiny-20261122-170405", "tiny-20261122-170405-2", "tiny-20261122-170405-3"]


def test_folder_that_holds_a_run_is_refused_and_left_alone(run):
    with pytest.raises(RunFolderError, match=r"holds a run already; resume it with `rethinker train --resume"):
        RunFolder.create(run)
    assert (run / "config.yaml").read_text() == "seed: 0\n"


def test_folder_with_other_files_is_refused(tmp_path):
    (tmp_path / "thesis.tex").write_text("")
    with pytest.raises(RunFolderError, match="is not empty"):
        RunFolder.create(tmp_path)


def test_folder_of_a_start_that_died_before_its_config_is_taken(tmp_path):
    (tmp_path / "run" / "checkpoints").mkdir(parents=True)
    (tmp_path / "run" / ".lock").write_text("process 1 on nowhere\n")
    RunFolder.create(tmp_path / "run").close()


def test_a_start_that_fails_leaves_nothing_one_that_began_leaves_all(tmp_path):
    def fail(open_folder, prepare):
        with pytest.raises(ZeroDivisionError), open_folder(tmp_path / "run") as folder:
            raise prepare(folder) or ZeroDivisionError

    fail(RunFolder.create, lambda folder: folder.checkpoints.mkdir())
    assert list(tmp_path.iterdir()) == []
    fail(RunFolder.create, lambda folder: folder.write_config("seed: 0\n"))
    fail(RunFolder.resume, lambda folder: None)
    assert (tmp_path / "run" / "config.yaml").exists()


def test_a_run_in_use_is_not_announced_as_one_to_resume(run):
    with RunFolder.resume(run), pytest.raises(RunFolderError, match="in use by process"):
        RunFolder.create(run)


def test_two_missing_levels_are_refused_one_is_made(tmp_path):
    with pytest.raises(RunFolderError, match="create its parent"):
        RunFolder.create(tmp_path / "unmounted" / "disk" / "run")
    RunFolder.create(tmp_path / "runs" / "run").close()


def test_parent_that_is_a_file_is_a_clear_error(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(RunFolderError, match="cannot make the run folder"):
        RunFolder.create(tmp_path / "file" / "run")


def test_unwritable_parent_is_a_clear_error(tmp_path):
    if os.geteuid() == 0:
        parent = "/proc/self"  # root may write anywhere else
    else:
        parent = tmp_path / "closed"
        parent.mkdir(mode=0o500)
    with pytest.raises(RunFolderError, match=r"choose another run\.dir"):
        RunFolder.create(type(tmp_path)(parent) / "run")


def test_resuming_a_missing_folder_or_one_without_a_run_says_which(tmp_path):
    with pytest.raises(RunFolderError, match="there is no run folder"):
        RunFolder.resume(tmp_path / "missing")
    with pytest.raises(RunFolderError, match=r"holds no run: it has no config\.yaml"):
        RunFolder.resume(tmp_path)


def test_folder_in_use_names_the_process_and_a_kill_frees_it(run):
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(run)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert holder.stdout.readline() == "held\n"
    with pytest.raises(RunFolderError, match=rf"in use by process {holder.pid} on "):
        RunFolder.resume(run)
    holder.send_signal(signal.SIGKILL)
    holder.wait()
    RunFolder.resume(run).close()


def test_half_a_file_that_a_kill_left_goes_when_the_run_is_resumed_but_not_while_it_is_in_use(run):
    half = run / ".summary.json.tmp-4711"
    half.write_text("{")
    with RunFolder.resume(run):
        assert not half.exists()
        half.write_text("{")
        with pytest.raises(RunFolderError, match="in use"):
            RunFolder.resume(run)
        assert half.exists()


def test_one_process_cannot_open_a_run_twice(run):
    with RunFolder.resume(run), pytest.raises(RunFolderError, match=f"in use by process {os.getpid()} on "):
        RunFolder.resume(run)
    RunFolder.resume(run).close()


def _say_so_and_wait(up, done) -> None:
    up.set()
    done.wait(60)


def test_forked_worker_does_not_keep_the_lock(run):
    fork = multiprocessing.get_context("fork")
    up, done = fork.Event(), fork.Event()
    folder = RunFolder.resume(run)
    worker = fork.Process(target=_say_so_and_wait, args=(up, done), daemon=True)
    worker.start()
    assert up.wait(60)
    with pytest.raises(RunFolderError, match="in use"):  # nor does its birth free it
        RunFolder.resume(run)
    folder.close()
    RunFolder.resume(run).close()
    done.set()
    worker.join()


def test_summary_is_written_whole_and_refuses_nan(run):
    with RunFolder.resume(run) as folder:
        folder.write_summary({"accuracy_after": 0.5})
        with pytest.raises(ValueError, match="not JSON compliant"):
            folder.write_summary({"accuracy_after": float("nan")})
    assert json.loads((run / "summary.json").read_text()) == {"accuracy_after": 0.5}
    assert sorted(path.name for path in run.iterdir()) == [".lock", "config.yaml", "format.json", "summary.json"]


def test_failed_write_keeps_the_old_file_and_leaves_nothing_beside_it(tmp_path):
    write_atomically(tmp_path / "file", "old")

    def fill_disk():
        with atomic_file(tmp_path / "file") as file:
            file.write(b"half of the n")
            raise OSError(28, "No space left on device")

    with pytest.raises(RunFolderError, match="No space left on device"):
        fill_disk()
    assert [path.read_text() for path in tmp_path.iterdir()] == ["old"]
