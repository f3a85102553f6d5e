import sys
from functools import partial
from pathlib import Path

import pytest

import turns
from turns import OutOfMemoryError, Worker, in_turn

ARM = """
import json, sys
sys.path.insert(0, {benchmarks!r})
from turns import Ready, Step, serve

class OutOfMemoryError(RuntimeError):
    pass

def arm(work, told, say):
    print("noise on standard output")
    say(Ready(prompts=work["prompts"], loaded_bytes=1))
    for number, _ in enumerate(told):
        if work.get("short") == number:
            raise OutOfMemoryError("too little")
        if work.get("broken") == number:
            raise RuntimeError("broken")
        say(Step(seconds=number + 1, cpu_seconds=0, tokens=number, peak_bytes=2))

serve({{"arm": arm}}, json.loads)
"""


@pytest.fixture
def script(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    benchmarks = str(turns.HERE)
    monkeypatch.setattr(turns, "HERE", tmp_path)
    (tmp_path / "arm.py").write_text(ARM.format(benchmarks=benchmarks))
    return "arm.py"


def start(script: str, stated: str) -> partial[Worker]:
    return partial(Worker, script, "arm", stated, threads=1, python=sys.executable)


def test_the_first_step_of_every_arm_is_left_out(script: str) -> None:
    arm = start(script, '{"prompts": [[1, 2]]}')
    traces = in_turn([arm, arm], repeats=2, case="a")
    assert [[step.seconds for step in trace.steps] for trace in traces] == [[2, 3], [2, 3]]
    assert traces[0].ready.prompts == [[1, 2]]


def test_arms_that_read_different_prompts_are_not_compared(script: str) -> None:
    arms = [start(script, '{"prompts": [[1]]}'), start(script, '{"prompts": [[2]]}')]
    with pytest.raises(RuntimeError, match="a: the arms read different prompts"):
        in_turn(arms, repeats=1, case="a")


def test_want_of_memory_is_told_from_what_is_broken(script: str) -> None:
    with pytest.raises(OutOfMemoryError):
        in_turn([start(script, '{"prompts": [[1]], "short": 1}')], repeats=1, case="a")
    with pytest.raises(RuntimeError, match="code 1") as broken:
        in_turn([start(script, '{"prompts": [[1]], "broken": 1}')], repeats=1, case="a")
    assert not isinstance(broken.value, OutOfMemoryError)
