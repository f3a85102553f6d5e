"""From a row's raw fields to a `Problem`: image marks, boxed answers, options, and the kind of answer.

Shared by the readers. It knows no file format.
"""

from __future__ import annotations

import re
import string
from collections.abc import Sequence

from rethinker.errors import DataError
from rethinker.types import IMAGE_MARK, Image, Problem

NUMBER = re.compile(r"[-+−]?(\d{1,3}(,\d{3})+|\d+|(?=\.\d))(\.\d*)?([eE][-+]?\d+)?%?")
LATEX = re.compile(r"[\\^_{}$]|\d\s*/\s*\d")
OPTION = re.compile(r"\(([A-Z])\)")
OPTION_LINE = re.compile(r"^\s*\(?([A-Z])[.):]", re.MULTILINE)


def make_problem(
    *,
    id: str,  # noqa: A002 (the field's name)
    images: tuple[Image, ...],
    question: str,
    answer: str,
    verifier: str = "",
    choices: tuple[str, ...] = (),
    category: str = "",
    source: str = "",
) -> Problem:
    """Build a problem: repair the marks, unwrap the answer, infer verifier and options where they are not given.

    Raises:
        DataError: there is no question or no answer, or marks and images disagree.
    """
    if not question.strip():
        raise DataError(f"problem {id} has no question")
    answer = unbox(answer)
    verifier = verifier or infer_verifier(answer, question=question, choices=choices)
    if verifier == "choice" and not choices:
        listed = options_in(question)
        choices = listed if answer in string.ascii_uppercase[: len(listed)] else ()
    return Problem(
        id=id,
        images=images,
        question=mark_images(question, len(images)),
        answer=answer,
        verifier=verifier,
        choices=choices,
        category=category,
        source=source,
    )


def mark_images(question: str, images: int) -> str:
    """Put one `<image>` mark per image first where the question has none."""
    return question if IMAGE_MARK in question else IMAGE_MARK * images + question


def list_options(choices: Sequence[str]) -> str:
    """The options as lines "(A) …", each after a line break."""
    return "".join(f"\n({letter}) {choice}" for letter, choice in zip(string.ascii_uppercase, choices))


def option_letter(answer: str, choices: Sequence[str]) -> str:
    """The letter of the right option, from its letter ("B", "(b)", "B.") or its text.

    Raises:
        DataError: more than 26 options, or the answer is not exactly one of them.
    """
    letters = string.ascii_uppercase
    if len(choices) > len(letters):
        raise DataError(f"{len(choices)} choices, but only {len(letters)} letters to name them")
    named = answer.strip().strip("().:").upper()
    matches = {letter for letter in letters[: len(choices)] if letter == named}
    matches |= {letter for letter, choice in zip(letters, choices) if choice.strip() == answer.strip()}
    if len(matches) != 1:
        raise DataError(
            f"answer {answer!r} fits {len(matches)} of the choices {list(choices)}; it must fit exactly one"
        )
    return matches.pop()


def unbox(answer: str) -> str:
    """Strip blanks and a `\\boxed{}` that holds the whole answer."""
    text = answer.strip()
    inner = text.strip("$").strip()
    if not (inner.startswith("\\boxed{") and inner.endswith("}")):
        return text
    depth = 0
    for position, character in enumerate(inner):
        depth += (character == "{") - (character == "}")
        if character == "}" and depth == 0 and position < len(inner) - 1:
            return text  # several boxes: none of them is the whole answer
    return inner[len("\\boxed{") : -1].strip()


def infer_verifier(answer: str, *, question: str, choices: Sequence[str] = ()) -> str:
    """The kind of an answer, from how it is written.

    An answer of one letter counts as a choice where the question itself lists options, as ViRL39K's do.
    """
    if choices or answer in OPTION.findall(question) or answer in OPTION_LINE.findall(question):
        return "choice"
    if NUMBER.fullmatch(answer):
        return "number"
    return "latex" if LATEX.search(answer) else "text"


def options_in(question: str) -> tuple[str, ...]:
    """The options' texts that a question lists last as "(A) … (B) …"; empty when they stand only in the picture."""
    marks = list(OPTION.finditer(question))
    starts = [index for index, mark in enumerate(marks) if mark[1] == "A"]
    listed = marks[starts[-1] :] if starts else []
    if len(listed) < 2 or [mark[1] for mark in listed] != list(string.ascii_uppercase[: len(listed)]):
        return ()
    ends = [mark.start() for mark in listed[1:]] + [len(question)]
    return tuple(question[mark.end() : end].lstrip().rstrip(" \n\t,.;") for mark, end in zip(listed, ends))
