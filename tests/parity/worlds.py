"""Random groups for the reference, and the same groups as the package's types."""

from __future__ import annotations

import numpy as np
from hypothesis import strategies as st
from reference.vl_rethinker import Response, splice

from rethinker.types import Group, Outcome, Problem, Prompt, Rethought, Rollout, Verdict

PROBLEM = Problem(id="p1", images=(), question="How many?", answer="3", verifier="number")
PROMPT = Prompt(problem_id="p1", token_ids=np.arange(5), images=(), text="How many?")

logprobs = st.floats(-4, -0.01)
rewards = st.one_of(
    st.lists(st.sampled_from([0.0, 1.0]), min_size=1, max_size=9),
    st.lists(st.floats(0, 1, width=32), min_size=1, max_size=9),
    st.tuples(st.floats(0, 1, width=32), st.integers(1, 9)).map(lambda equal: [equal[0]] * equal[1]),
)


@st.composite
def responses(draw, sample: int, *, least: int = 1) -> Response:
    length, correct = draw(st.integers(least, 5)), draw(st.booleans())
    return Response(
        sample=sample,
        tokens=draw(st.lists(st.integers(3, 90), min_size=length, max_size=length)),
        behaviour=draw(st.lists(logprobs, min_size=length, max_size=length)),
        forced=[False] * length,
        ended=draw(st.booleans()),
        reward=float(correct),
        correct=correct,
    )


@st.composite
def groups(draw, *, largest: int = 5) -> tuple[list[Response], list[Response]]:
    """First responses and some second looks at them, not yet chosen from, in any order."""
    firsts = [draw(responses(sample)) for sample in range(draw(st.integers(1, largest)))]
    looks = [
        splice(
            first, draw(st.lists(st.integers(3, 90), min_size=1, max_size=3)), draw(responses(first.sample, least=0))
        )
        for first in firsts
        if draw(st.booleans())
    ]
    return firsts, draw(st.permutations(looks))


def as_rollout(response: Response, firsts: list[Response]) -> Rollout:
    common = {
        "prompt": PROMPT,
        "sample": response.sample,
        "token_ids": np.array(response.tokens, dtype=np.int64),
        "logprobs": np.array(response.behaviour, dtype=np.float32),
        "forced": np.array(response.forced, dtype=bool),
        "text": "",
        "finish_reason": "stop" if response.ended else "length",
        "policy_version": 0,
        "verdict": Verdict(
            outcome=Outcome.OK if response.correct else Outcome.WRONG, reward=response.reward, extracted="3"
        ),
    }
    if response.trigger_at is None:
        return Rollout(**common)
    first = next(first for first in firsts if first.sample == response.sample)
    span = (response.trigger_at, response.trigger_at + sum(response.forced))
    return Rethought(**common, first=as_rollout(first, firsts), trigger="Wait", trigger_span=span)


def as_group(final: list[Response], firsts: list[Response]) -> Group:
    return Group(problem=PROBLEM, rollouts=tuple(as_rollout(response, firsts) for response in final))
