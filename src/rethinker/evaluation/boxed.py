"""The `boxed` protocol: one prompt and one rule for every benchmark, as VL-Rethinker evaluates.

Comparable across benchmarks and cheap in training, and not what any benchmark's authors report: never in one table with
the official protocol.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

from rethinker.evaluation.benchmark import Benchmark, Question, RowVerdict

INSTRUCTION = "\n\nPlease reason step by step, and put your final answer within \\boxed{}."

LONGEST_ANSWER = 2000
"""Characters; a longer answer is compared as text alone."""

_BOX = "\\boxed{"
_BRACES = re.compile(r"\\boxed\{|[{}]")
_TAG = re.compile(r"<answer>(.*?)</answer>", re.DOTALL)
_FLAG = "Answer:"
_NOISE = (("dfrac", "frac"), ("\\text", ""), ("minutes", ""), ("cm", ""), ("\\varnothing", "\\emptyset"))
_LETTER = re.compile(r"\(?([A-K])\)?\.?")


class Boxed(Benchmark):
    """A benchmark's questions under the uniform prompt and rule.

    Args:
        of: The benchmark.
    """

    scoring_name = "boxed"
    styles = ("cot",)

    def __init__(self, of: Benchmark) -> None:
        self._of = of
        self.name = of.name

    def read(self, path: Path) -> list[Question]:
        """The benchmark's own questions."""
        return self._of.read(path)

    def prompt(self, question: Question, style: str) -> str:  # noqa: ARG002 (there is one)
        """Question, lettered options, instruction; images come first, and numbered marks stay as words."""
        options = "".join(f"\n({chr(ord('A') + place)}) {text}" for place, text in enumerate(question.options))
        return f"{question.text}{options}{INSTRUCTION}"

    def verdict(self, question: Question, response: str, *, extracted: bool) -> RowVerdict:
        """Compare the boxed answer: by its first letter where the gold is one, else by math-verify."""
        answer = response.strip() if extracted else boxed_answer(response)
        golds = golds_of(question)
        if not golds:
            return RowVerdict(
                extracted=answer, score=0.0, why="the gold has several fields, and a box holds one answer"
            )
        right = next((gold for gold in golds if same(gold, answer)), None)
        if right is None:
            return RowVerdict(extracted=answer or None, score=0.0, why=f"none of {', '.join(map(repr, golds))}")
        return RowVerdict(extracted=answer, score=1.0, why=f"the same as {right!r}")

    def prepare(self) -> None:
        """Import math-verify."""
        from rethinker.rewards import latex  # noqa: F401 (imported for the calls to come)


def boxed_answer(response: str) -> str:
    """The last box, else the last `<answer>`, else what follows the last "Answer:", else all of the response."""
    if (box := _last_box(response)) is not None:
        return box.strip()
    if tags := _TAG.findall(response):
        return str(tags[-1]).strip()
    return response.rpartition(_FLAG)[2].strip()


def golds_of(question: Question) -> tuple[str, ...]:
    """What counts as right: letters where there are options, whatever the authors give as the answer."""
    match question.answer:
        case tuple() as several:
            golds = tuple(str(gold) for gold in several)
        case Mapping() as fields:
            golds = tuple(str(gold) for gold in fields.values()) if len(fields) == 1 else ()
        case gold:
            golds = (str(gold),)
    letters = {text: chr(ord("A") + place) for place, text in reversed(list(enumerate(question.options)))}
    is_letter = set(letters.values())
    return tuple(gold if gold in is_letter else letters.get(gold, gold) for gold in golds)


def same(gold: str, answer: str) -> bool:
    """Whether an answer is the gold."""
    gold, answer = _normal(gold), _normal(answer)
    if letter := _LETTER.fullmatch(gold):
        return answer.lstrip("( $").startswith(letter[1])
    if gold == answer:
        return bool(gold)
    if not answer or len(answer) > LONGEST_ANSWER:
        return False
    from rethinker.rewards.latex import read_latex, same_latex  # imported by the first answer that text cannot decide

    wanted, given = read_latex(gold), read_latex(answer)
    return wanted is not None and given is not None and same_latex(wanted, given)


def _normal(answer: str) -> str:
    for what, by in _NOISE:
        answer = answer.replace(what, by)
    return answer.strip()


def _last_box(text: str) -> str | None:
    """What the last closed box holds, in one pass over the text."""
    open_braces: list[tuple[int, bool]] = []
    last = (-1, -1)
    for mark in _BRACES.finditer(text):
        if mark.group() != "}":
            open_braces.append((mark.end(), mark.group() == _BOX))
        elif open_braces:
            start, is_box = open_braces.pop()
            if is_box and start > last[0]:
                last = start, mark.start()
    return text[slice(*last)] if last[0] >= 0 else None
