"""The verifiers that are rules: kind, stored answer, options, response."""

from fuzz.targets import parts, text
from rethinker.rewards.verifiers import KINDS, LONGEST_ANSWER, verify
from rethinker.types import Outcome, Problem

KIND = {"n": "number", "c": "choice", "t": "text", "l": "list"}
"""LaTeX runs in a worker alone: the target `pool` has it."""

SEEDS = (
    b"n\x001,000.5\0\0\\boxed{\\frac{2001}{2}}",
    b"n\x0045%\0\0Answer: 0.45",
    b"n\x003 million\0\0<answer>3 \\times 10^{6} cm^2</answer>",
    b"c\0B\0red\nblue\0\\boxed{(b) blue}",
    b"t\0New York\0\0\\boxed{\\text{new  york}}",
    b"l\0{1, 2; (3, 4)}\0\0\\boxed{[(3,4), 1 and 2]}",
)


def check(data: bytes) -> None:
    kind, answer, options, response = map(text, parts(data, 4))
    if not answer.strip():
        return  # no problem is made of it
    problem = Problem(
        id="p",
        images=(),
        question="",
        answer=answer[:LONGEST_ANSWER],
        verifier=KIND.get(kind[:1], "number"),
        choices=tuple(options.split("\n")[:26]) if options else (),
    )
    verdict = verify(problem, response)
    assert (verdict.reward == 1.0) == (verdict.outcome is Outcome.OK)
    assert verdict.reward in (0.0, 1.0)
    assert not verdict.detail.startswith("comparing failed"), verdict.detail
    assert verdict.extracted is None or len(verdict.extracted) <= LONGEST_ANSWER
    wanted = KINDS[problem.verifier].read(answer[:100], problem)
    assert wanted is None or KINDS[problem.verifier].same(wanted, wanted)
