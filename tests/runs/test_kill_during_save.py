"""A kill -9 at any moment of a save leaves a checkpoint that loads, and the next start cleans up."""

import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import torch

from rethinker.runs.checkpoints import Checkpoints

SAVE_FOREVER = """
import itertools, sys
from pathlib import Path
import torch
from rethinker.runs.checkpoints import Checkpoints

def write_model(folder):
    for part in range(20):
        (folder / f"part-{part}").write_bytes(bytes(50_000))

checkpoints = Checkpoints(Path(sys.argv[1]), keep=1, config={})
start = int(sys.argv[2])
for step in itertools.count(start):
    state = {"step": step, "w": torch.full((200_000,), float(step))}
    # Every step is saved twice.
    checkpoints.save(step // 2, lambda folder: state, accuracy=None, write_model=write_model)
    if step == start + 1:
        print("saved", flush=True)
"""


def test_kill_at_any_moment_leaves_the_last_good_checkpoint(tmp_path: Path):
    folder = tmp_path / "checkpoints"
    delays = np.random.default_rng(0).uniform(0.0, 0.1, size=3)
    last = 0
    for delay in delays:
        saver = subprocess.Popen(
            [sys.executable, "-c", SAVE_FOREVER, str(folder), str(2 * last)], stdout=subprocess.PIPE, text=True
        )
        assert saver.stdout.readline() == "saved\n"
        time.sleep(delay)
        saver.send_signal(signal.SIGKILL)
        saver.wait()

        checkpoints = Checkpoints(folder, keep=1, config={})
        state, meta = checkpoints.load(checkpoints.latest())
        assert meta.step == state["step"] // 2
        assert meta.step >= last
        assert torch.equal(state["w"], torch.full((200_000,), float(state["step"])))
        assert all(path.name.removeprefix("step-").isdigit() for path in folder.iterdir())
        last = meta.step
