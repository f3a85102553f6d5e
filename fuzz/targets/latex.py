"""Answers in LaTeX, through the verifier's own worker: a verdict within the limit, whatever is in them."""

import atexit
from concurrent.futures import TimeoutError as NotInTime

from fuzz.targets import parts, text
from rethinker.rewards.pool import VerifierPool
from rethinker.types import Outcome, Problem

SECONDS = 2.0
SEEDS = (
    b"\\frac{1}{2}\0\\boxed{0.5}",
    b"x^2+2x+1\0\\boxed{(x+1)^2}",
    b"10^{10^{10}}\0\\boxed{10^{10^{10^{10}}}}",
    b"\\begin{pmatrix}1&2\\\\3&4\\end{pmatrix}\0\\boxed{\\int_0^1 x dx}",
    b"[0,1)\0\\boxed{\\{x | 0 \\le x < 1\\}}",
    b"7\0\\boxed{__import__('os').system('id')}",
)
POOL = VerifierPool(workers=1, timeout_seconds=SECONDS, memory_bytes=1_000_000_000)
atexit.register(POOL.close)


def check(data: bytes) -> None:
    answer, response = map(text, parts(data, 2))
    if not answer.strip():
        return  # no problem is made of it
    problem = Problem(id="p", images=(), question="", answer=answer[:300], verifier="latex")
    try:
        verdict = POOL.submit(problem, response).result(timeout=300)
    except NotInTime as error:
        raise AssertionError("no verdict") from error
    assert (verdict.reward == 1.0) == (verdict.outcome is Outcome.OK)
