"""A response's final answer."""

from fuzz.targets import text
from rethinker.rewards.extract import final_answer, plain, trim

SEEDS = (
    rb"So \boxed{\frac{1}{2}}.",
    rb"\boxed{} and \boxed {a\}b{c}} \boxed{never closed",
    b"<think>x</think><answer>42</answer> <answer>",
    b"**Answer:** $7$ cm.\nmore",
    rb"\(\text{\mathbf{A}}\) 1\,000 \left( 3 \right) \%",
)


def check(data: bytes) -> None:
    response = text(data)
    answer = final_answer(response)
    if answer is not None:
        assert answer
        assert answer in response
        assert trim(answer) or answer.startswith("\\")
    assert len(plain(response[:1000])) <= 1000
