"""Properties of what reads model output and data, over structured inputs that a fuzzer of bytes comes to slowly."""

import json
import re

from hypothesis import given
from hypothesis import strategies as st

from rethinker.inference.chat_request import Bounds, parsed
from rethinker.inference.refused import Refused
from rethinker.report.page import page
from rethinker.report.strict_json import strict
from rethinker.rewards.extract import final_answer, trim
from rethinker.rewards.verifiers import KINDS, verify
from rethinker.types import Outcome, Problem

BOUNDS = Bounds(tokens=100, choices=4, images=3, looks=2, turns=8)
TEXTS = st.text(st.characters(codec="utf-8"), max_size=60)
ANSWERS = st.text("0123456789.,/%-+eE \\{}()[]frac$xABab和", min_size=1, max_size=40)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | TEXTS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXTS, inner, max_size=4),
    max_leaves=12,
)
FIELDS = st.sampled_from(
    [
        "model",
        "messages",
        "max_tokens",
        "temperature",
        "top_p",
        "seed",
        "stop",
        "n",
        "stream",
        "rethink",
        "tools",
        "user",
    ]
)


@given(TEXTS, st.text("0123456789xyz +-", min_size=1).filter(lambda text: trim(text) and text.strip()))
def test_the_last_box_is_the_answer_whatever_stands_before_it(before: str, answer: str) -> None:
    assert final_answer(before.replace("\\", "") + f"\\boxed{{{answer}}}") == trim(answer)


@given(
    st.sampled_from([kind for kind in KINDS if kind != "latex"]), ANSWERS, st.lists(TEXTS, max_size=5), TEXTS | ANSWERS
)
def test_every_response_gets_a_verdict(kind: str, answer: str, choices: list[str], response: str) -> None:
    if not answer.strip():
        return
    problem = Problem(id="p", images=(), question="", answer=answer, verifier=kind, choices=tuple(choices))
    for given_response in (response, f"\\boxed{{{response}}}", f"<answer>{response}</answer>"):
        verdict = verify(problem, given_response)
        assert (verdict.reward == 1.0) == (verdict.outcome is Outcome.OK)
        assert "comparing failed" not in verdict.detail


@given(st.dictionaries(FIELDS | TEXTS, JSON, max_size=6))
def test_a_request_of_any_json_is_taken_or_refused(fields: dict[str, object]) -> None:
    try:
        parsed(json.dumps(fields).encode(), model="m", bounds=BOUNDS)
    except Refused as refused:
        assert 400 <= refused.status < 500  # noqa: PT017
        json.dumps(refused.body, allow_nan=False)


@given(st.dictionaries(TEXTS, JSON, max_size=4), TEXTS)
def test_a_page_holds_what_it_was_given_and_nothing_else(document: dict[str, object], title: str) -> None:
    text = page({"runs": strict(document)}, title=title, charts=False)
    empty = page({}, title="", charts=False)
    assert text.count("<script") == text.count("</script") == empty.count("<script")
    told = re.search(r'id="data">(.*?)</script>', text, re.DOTALL)
    assert told is not None
    assert json.loads(told[1]) == {"runs": strict(document)}
