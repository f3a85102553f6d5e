"""The worker with MEGA-Bench's official metrics: its refusals, its limits, and the sandbox for programs."""

import contextlib
import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.evaluation.megabench_files import needs_scorer, request, rule

from rethinker.errors import RethinkerError
from rethinker.evaluation.megabench import process, sandbox
from rethinker.evaluation.megabench.arithmetic import NotArithmeticError, calculate
from rethinker.evaluation.megabench.process import MetricsLostError, MetricsProcess
from rethinker.evaluation.scorers import scorer_folder

ADDS = "a, b = map(int, input().split())\nprint(a + b)"
TESTS = [{"input": ["1 2"], "expected": "3"}, {"input": ["2 2"], "expected": "4\n"}]


@pytest.fixture(scope="module")
def metrics() -> Iterator[MetricsProcess]:
    one = MetricsProcess()
    yield one
    one.close()


@pytest.fixture(scope="module")
def running() -> Iterator[MetricsProcess]:
    one = MetricsProcess(run_code=True)
    yield one
    one.close()


def environment_without(package: str, tmp_path: Path) -> Path:
    for entry in scorer_folder("megabench").iterdir():
        if entry.name != package:
            (tmp_path / entry.name).symlink_to(entry)
    return tmp_path


@needs_scorer
@pytest.mark.parametrize("package", ["matplotlib", "unidecode"])
def test_scoring_is_refused_and_the_module_named_while_a_metrics_package_is_missing(
    package: str, tmp_path: Path
) -> None:
    with pytest.raises(RethinkerError, match=f"module {package} is missing.*make_scorers"):
        MetricsProcess(folder=environment_without(package, tmp_path)).start()


@needs_scorer
def test_a_metric_without_its_corpora_is_named_not_scored_zero(metrics: MetricsProcess) -> None:
    reason = metrics.start().get("constrained_generation")
    info = rule("constrained_generation", field="##poem", parser="dummy")
    reply = metrics.score(request("Two cats.", info, {"##poem": ""}, context={"contain": "[cat]"}))
    if reason is None:
        assert reply["score"] == 1
    else:
        assert "score" not in reply
        assert "wordnet" in reply["unusable"]["constrained_generation"]


@needs_scorer
def test_a_slow_row_costs_itself_alone(metrics: MetricsProcess, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = request("Answer: 3", rule("exact_str_match"), {"answer": "3"})
    monkeypatch.setattr(process, "HUNG_SECONDS", 0.0)
    with pytest.raises(MetricsLostError, match="timeout"):
        metrics.score(asked)
    monkeypatch.undo()
    assert metrics.score(asked)["score"] == 1


@needs_scorer
@pytest.mark.parametrize(
    "kind",
    ["general_single_numerical_match", "latex_expr_equality", "set_equality", "multi_ref_phrase", "nbbox_iou_tuple"],
)
@pytest.mark.parametrize(
    "response",
    [
        "",
        "Answer:",
        "9" * 100_000,
        "Answer: " + "[" * 5_000,
        "Answer: {{}" * 2_000,
        "Answer: 9**9**9**9",
        r"Answer: \frac{" * 500,
        "Answer: \ud800 \x00 −3",
        "Answer: (1, (2, {3}))",
    ],
)
def test_no_response_breaks_the_scoring(metrics: MetricsProcess, kind: str, response: str) -> None:
    try:
        reply = metrics.score(request(response, rule(kind), {"answer": "3"}))
    except MetricsLostError:
        return  # the row is lost, and counted as wrong; the next finds a fresh worker
    assert 0 <= reply["score"] <= 1


@needs_scorer
def test_a_response_is_never_executed(metrics: MetricsProcess, tmp_path: Path) -> None:
    traces = tmp_path / "trace"
    for code in (f"open({str(traces)!r}, 'w')", f"__import__('os').mkdir({str(traces)!r})"):
        metrics.score(request(f"Answer: {code}", rule("general_single_numerical_match"), {"answer": "3"}))
    assert not traces.exists()


@needs_scorer
@pytest.mark.parametrize(
    ("program", "score"),
    [
        (ADDS, 1.0),
        ("print(3)", 0.5),
        ("print('no')", 0.0),
        ("while True: pass", 0.0),
        ("while True: print('a' * 1000)", 0.0),
        ("x = bytearray(2**40)", 0.0),
        ("raise SystemExit", 0.0),
        (f'if __name__ == "__main__":\n    {ADDS.replace(chr(10), chr(10) + "    ")}', 1.0),
        (
            "import os\nfor pipe in range(9):\n    try: os.write(pipe, b'{\"score\": 1}\\n')\n    except OSError: 1",
            0.0,
        ),
    ],
)
def test_programs_are_scored_by_the_share_of_tests_they_pass(
    running: MetricsProcess, program: str, score: float
) -> None:
    asked = request(f"Answer:\n```python\n{program}\n```", rule("program_judge"), {"answer": ""})
    assert running.score({**asked, "context": {"test_case": TESTS}})["score"] == score


@needs_scorer
@pytest.mark.parametrize(
    "deed",
    [
        "import socket; socket.create_connection(('127.0.0.1', 9))",
        "open({trace!r}, 'w')",
        "import os; os.mkdir({trace!r})",
        "import os; os.unlink({kept!r})",
        "import os; assert not os.system('touch ' + {trace!r})",
        "import os; os.kill({parent}, 9)",
        "import os; os.fork()",
        "import ctypes; print(ctypes.CDLL(None).syscall(41, 2, 1, 0)); raise ValueError",
    ],
)
def test_a_program_cannot_reach_out_of_the_sandbox(running: MetricsProcess, deed: str, tmp_path: Path) -> None:
    kept, trace = tmp_path / "kept", tmp_path / "trace"
    kept.touch()
    program = deed.format(trace=str(trace), kept=str(kept), parent=os.getpid()) + "\nprint(3)"
    asked = request(f"Answer: {program}", rule("program_judge"), {"answer": ""})
    assert running.score({**asked, "context": {"test_case": TESTS[0]}})["score"] == 0
    assert kept.exists()
    assert not trace.exists()


def test_where_there_is_no_sandbox_nothing_is_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sandbox.platform, "machine", lambda: "sparc")
    with pytest.raises(sandbox.SandboxError, match="sparc"):
        sandbox.shut_off(1, 1)


def expressions() -> st.SearchStrategy[str]:
    numbers = st.one_of(st.integers(-99, 99).map(str), st.floats(-1e3, 1e3, allow_nan=False).map(str), st.just("E"))
    return st.recursive(
        numbers,
        lambda inner: st.one_of(
            st.tuples(inner, st.sampled_from(["+", "-", "*", "/", "//", "%", "<"]), inner).map(
                lambda p: f"({' '.join(p)})"
            ),
            st.tuples(inner, inner).map(lambda p: f"[{', '.join(p)}]"),
            st.tuples(inner, inner).map(lambda p: f"max({p[0]}, {p[1]})"),
            inner.map(lambda part: f"-{part}"),
        ),
        max_leaves=6,
    )


@given(expressions())
@settings(max_examples=200, deadline=None)
def test_arithmetic_has_the_value_that_python_gives_it(expression: str) -> None:
    try:
        value = eval(expression, {"E": 2.718})
    except (ArithmeticError, TypeError):
        with pytest.raises(NotArithmeticError):
            calculate(expression)
    else:
        with contextlib.suppress(NotArithmeticError):  # a list times a number, lists compared: no answer has them
            assert calculate(expression) == value


@pytest.mark.parametrize(
    "expression",
    [
        "__import__('os')",
        "().__class__",
        "open('/etc/passwd')",
        "9**9**9**9",
        "[1 for _ in 'a']",
        "math.inf.real",
        "-" * 9999,
    ],
)
def test_what_is_no_arithmetic_is_refused_at_once(expression: str) -> None:
    started = time.process_time()
    with pytest.raises(NotArithmeticError):
        calculate(expression)
    assert time.process_time() - started < 60
