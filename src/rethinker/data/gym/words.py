"""Word problems without a picture: the few rows of text among the visual ones."""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from rethinker.data.gym.draws import pick, whole
from rethinker.data.gym.options import Options, near, options
from rethinker.data.gym.scene import Family, Scene, Sketch

_PEOPLE = ("Ann", "Ben", "Eve", "Ida", "Max", "Tom")
_THINGS = ("apples", "cards", "coins", "nuts", "pens", "shells")

_Row = tuple[str, str, str, int]
"""Question, what is known, working, answer."""


class Words(Family):
    """Level 1: one sum or difference; 2: a product, then a sum or difference; 3: change or shares (multiple choice)."""

    name: ClassVar[str] = "words"
    category: ClassVar[str] = "text"
    levels: ClassVar[int] = 3

    def sketch(self, rng: np.random.Generator, level: int) -> Sketch:
        """Draw a story and its numbers."""
        who, things = pick(rng, _PEOPLE), pick(rng, _THINGS)
        stories = ((_gets, _gives), (_packs, _eats), (_pays, _shares))[level - 1]
        question, look, work, answer = pick(rng, stories)(rng, who, things)
        listed = options(rng, str(answer), near(answer)) if level == 3 else None
        return _sketch(question, look, work, answer, listed)


def _sketch(question: str, look: str, work: str, answer: int, listed: Options | None) -> Sketch:
    asked = f"{question} {listed.listed}" if listed else question

    def paint() -> Scene:
        return Scene(
            images=(),
            question=asked,
            answer=listed.letter if listed else str(answer),
            verifier="choice" if listed else "number",
            choices=listed.texts if listed else (),
            look=look,
            work=f"{work} {listed.named}" if listed else work,
        )

    return Sketch(key=asked, paint=paint)


def _gets(rng: np.random.Generator, who: str, things: str) -> _Row:
    a, b = whole(rng, 2, 30), whole(rng, 2, 20)
    question = f"{who} has {a} {things} and gets {b} more. How many {things} has {who} now?"
    return question, f"Has {a}, gets {b}.", f"{a}+{b}={a + b}.", a + b


def _gives(rng: np.random.Generator, who: str, things: str) -> _Row:
    b = whole(rng, 2, 20)
    a = b + whole(rng, 0, 20)
    question = f"{who} has {a} {things} and gives {b} away. How many {things} are left?"
    return question, f"Has {a}, gives {b}.", f"{a}-{b}={a - b}.", a - b


def _packs(rng: np.random.Generator, who: str, things: str) -> _Row:
    a, b, c = whole(rng, 2, 9), whole(rng, 2, 9), whole(rng, 1, 9)
    question = f"{who} buys {a} packs of {b} {things} and finds {c} more. How many {things} has {who} now?"
    return question, f"{a} packs of {b}, {c} more.", f"{a}*{b}={a * b}. {a * b}+{c}={a * b + c}.", a * b + c


def _eats(rng: np.random.Generator, who: str, things: str) -> _Row:
    a, b = whole(rng, 2, 9), whole(rng, 2, 9)
    c = whole(rng, 1, a * b - 1)
    question = f"{who} fills {a} boxes with {b} {things} each and then loses {c}. How many {things} are left?"
    return question, f"{a} boxes of {b}, {c} lost.", f"{a}*{b}={a * b}. {a * b}-{c}={a * b - c}.", a * b - c


def _pays(rng: np.random.Generator, who: str, things: str) -> _Row:
    a, b = whole(rng, 2, 9), whole(rng, 2, 9)
    paid = -(-(a * b + 1) // 10) * 10
    question = f"{who} buys {a} {things} at {b} cents each and pays with {paid} cents. How many cents come back?"
    back = paid - a * b
    return question, f"{a} at {b}, paid {paid}.", f"{a}*{b}={a * b}. {paid}-{a * b}={back}.", back


def _shares(rng: np.random.Generator, who: str, things: str) -> _Row:
    children, each, more = whole(rng, 2, 9), whole(rng, 2, 9), whole(rng, 1, 9)
    total = children * each
    question = (
        f"{total} {things} are shared equally by {children} children, {who} among them. "
        f"Then {who} gets {more} more. How many {things} has {who}?"
    )
    look = f"{total} shared by {children}, {more} more."
    return question, look, f"{total}/{children}={each}. {each}+{more}={each + more}.", each + more
