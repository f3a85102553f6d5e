"""Every target of `fuzz/` for a moment, its corpus first: what was found once is tried for ever.

The same inputs every time, as far as the clock lets them: what is new is looked for by `python -m fuzz.run`.
"""

import subprocess
import sys
from pathlib import Path

import pytest
from fuzz.run import fuzz
from fuzz.targets import CORPUS, NAMES

ROOT = Path(__file__).parents[2]
SECONDS, MORE, SEED = 5.0, 100, 1
"""For each target, and how many inputs it is given beyond its corpus."""

FENCED = """
import os, pickle, socket, subprocess, sys
from fuzz import fenced
fenced.install()
class Code:
    def __reduce__(self): return os.getcwd, ()
pickled = pickle.dumps(Code())
inside = fenced.FOLDER / "a"
inside.write_text("a")
os.symlink("/etc/passwd", fenced.FOLDER / "link")
def escapes(do):
    try:
        with fenced.fence():
            do()
    except fenced.Escaped:
        return True
    return False
print([escapes(do) for do in (
    lambda: open("/etc/passwd"), lambda: open(fenced.FOLDER / ".." / "x", "w"), lambda: open(fenced.FOLDER / "link"),
    lambda: open(sys.executable, "r+b"), lambda: os.system("true"), lambda: subprocess.run(["true"]),
    lambda: socket.create_connection(("127.0.0.1", 9)), lambda: eval("1"), lambda: pickle.loads(pickled),
    lambda: inside.read_text(), lambda: __import__("colorsys"),
)])
"""


@pytest.mark.parametrize("name", NAMES)
def test_a_target_finds_nothing(name: str) -> None:
    corpus = len(list((CORPUS / name).glob("*")))
    done = fuzz(name, seconds=SECONDS, executions=corpus + MORE, save=False, replay=False, seed=SEED)
    assert done["findings"] == []
    assert done["executions"] >= corpus


def test_the_fence_lets_nothing_out() -> None:
    environment = {"PYTHONPATH": f"{ROOT / 'src'}:{ROOT}"}
    done = subprocess.run([sys.executable, "-c", FENCED], env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == str([True] * 9 + [False] * 2)
