"""Rules that verify a response, one per kind of answer. Pure functions; time and memory limits are the pool's."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from rethinker.rewards.extract import final_answer, plain, trim
from rethinker.rewards.numeric import read_number, same_number
from rethinker.types import Outcome, Problem, Verdict

LONGEST_ANSWER = 1000
"""Characters; a longer final answer is not one, and no rule is made to read it."""

_LETTER = re.compile(r"(?:(?:option|choice|answer)\s+)?\(?\s*([A-Za-z])\s*(?:\)|[.:](?!\d)|$)", re.IGNORECASE)
_LIST_SEPARATOR = re.compile(r",?\s+and\s+", re.IGNORECASE)
_BRACKETS = {"(": ")", "[": "]", "{": "}"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """How answers of one kind are read and compared.

    Attributes:
        read: An answer's text and its problem → what it means, None when it is not of this kind.
        same: Whether the wanted and the given meaning agree.
    """

    read: Callable[[str, Problem], Any]
    same: Callable[[Any, Any], bool]


def verify(problem: Problem, response: str) -> Verdict:
    """Score a response by the rule of its problem's kind of answer. Never raises, whatever the response.

    Returns:
        ok or wrong; unparsed when there is no final answer or it is not of that kind; error when the problem itself
        cannot be verified (unknown kind, stored answer not of its kind) or the comparison fails.
    """
    extracted = final_answer(response)
    try:
        outcome, detail = _compare(problem, extracted)
    except MemoryError:  # the worker's to report: what comes after it cannot be trusted
        raise
    except Exception as error:  # noqa: BLE001 (a response that breaks a rule is an outcome, not a crash)
        outcome, detail = Outcome.ERROR, f"comparing failed: {type(error).__name__}: {error!s:.500}"
    return Verdict(
        outcome=outcome,
        reward=1.0 if outcome is Outcome.OK else 0.0,
        extracted=extracted and extracted[:LONGEST_ANSWER],
        detail=detail,
    )


def _compare(problem: Problem, extracted: str | None) -> tuple[Outcome, str]:
    kind = KINDS.get(problem.verifier)
    if kind is None:
        return Outcome.ERROR, f"unknown verifier {problem.verifier!r}; the kinds are {', '.join(KINDS)}"
    if extracted is None:
        return Outcome.UNPARSED, "no final answer: no closed \\boxed{…}, <answer>…</answer> or 'Answer:' line"
    if len(extracted) > LONGEST_ANSWER:
        return Outcome.UNPARSED, f"the final answer has {len(extracted)} characters, over {LONGEST_ANSWER}"
    wanted = kind.read(trim(problem.answer), problem)
    if wanted is None:
        return Outcome.ERROR, f"the stored answer {problem.answer!r} is not of kind {problem.verifier!r}"
    given = kind.read(extracted, problem)
    if given is None:
        return Outcome.UNPARSED, f"{extracted!r} is not of kind {problem.verifier!r}"
    return (Outcome.OK if kind.same(wanted, given) else Outcome.WRONG), ""


def _read_number(text: str, problem: Problem) -> Any:  # noqa: ARG001 (every kind reads a text and its problem)
    return read_number(plain(text))


def _read_latex(text: str, problem: Problem) -> Any:  # noqa: ARG001
    from rethinker.rewards.latex import read_latex  # imported by the first LaTeX answer: it is slow and large

    return read_latex(text)


def _same_latex(wanted: Any, given: Any) -> bool:
    from rethinker.rewards.latex import same_latex

    return same_latex(wanted, given)


def _read_text(text: str, problem: Problem) -> str | None:  # noqa: ARG001
    return normalised(text) or None


def normalised(text: str) -> str:
    """Case, white space and punctuation evened out; a minus sign before a digit is kept."""
    text = unicodedata.normalize("NFKC", plain(text)).casefold()
    kept = [
        " " if unicodedata.category(sign).startswith("P") and not _is_minus(text, at) else sign
        for at, sign in enumerate(text)
    ]
    return " ".join("".join(kept).split())


def _is_minus(text: str, at: int) -> bool:
    return text[at] == "-" and text[at + 1 : at + 2].isdigit() and not text[max(at - 1, 0) : at].isalnum()


def _read_choice(text: str, problem: Problem) -> int | None:
    """Index of the option meant, by its letter or by its text."""
    text = plain(text)
    letter = _LETTER.match(text)
    index = ord(letter[1].upper()) - ord("A") if letter else None
    if index is not None and (not problem.choices or index < len(problem.choices)):
        return index
    matching = [i for i, choice in enumerate(problem.choices) if _same_element(choice, text)]
    return matching[0] if len(matching) == 1 else None


@dataclass(frozen=True, slots=True, kw_only=True)
class _List:
    elements: tuple[str, ...]
    ordered: bool


def _read_list(text: str, problem: Problem) -> _List | None:  # noqa: ARG001
    text = plain(text.replace("\\{", "{").replace("\\}", "}"))
    ordered = not text.startswith("{")
    if _is_enclosed(text):
        text = text[1:-1]
    elements = tuple(element.strip() for element in _split(text))
    return _List(elements=elements, ordered=ordered) if all(elements) else None


def _is_enclosed(text: str) -> bool:
    """Whether the first bracket closes at the last character, and not before."""
    if text[:1] not in _BRACKETS or not text.endswith(_BRACKETS[text[:1]]):
        return False
    depth = 0
    for at, sign in enumerate(text):
        depth += (sign in "([{") - (sign in ")]}")
        if depth == 0:
            return at == len(text) - 1
    return False


def _split(text: str) -> list[str]:
    """Split at commas and "and" outside brackets; at semicolons instead where there are any."""
    separator = ";" if ";" in text else ","
    text = _LIST_SEPARATOR.sub(f"{separator} ", text)
    parts, depth = [""], 0
    for sign in text:
        depth += (sign in "([{") - (sign in ")]}")
        if sign == separator and depth <= 0:
            parts.append("")
        else:
            parts[-1] += sign
    return parts


def _same_list(wanted: _List, given: _List) -> bool:
    """Element by element; in any order when the wanted list is a set."""
    if len(wanted.elements) != len(given.elements):
        return False
    if wanted.ordered:
        return all(_same_element(w, g) for w, g in zip(wanted.elements, given.elements, strict=True))
    left = list(given.elements)
    for element in wanted.elements:
        match = next((other for other in left if _same_element(element, other)), None)
        if match is None:
            return False
        left.remove(match)
    return True


def _same_element(wanted: str, given: str) -> bool:
    """As numbers where the wanted one is a number, as text otherwise."""
    wanted, given = plain(trim(wanted)), plain(trim(given))
    number = read_number(wanted)
    if number is not None:
        other = read_number(given)
        return other is not None and same_number(number, other)
    return normalised(wanted) == normalised(given)


KINDS: dict[str, Kind] = {
    "number": Kind(read=_read_number, same=same_number),
    "choice": Kind(read=_read_choice, same=lambda wanted, given: bool(wanted == given)),
    "latex": Kind(read=_read_latex, same=_same_latex),
    "text": Kind(read=_read_text, same=lambda wanted, given: bool(wanted == given)),
    "list": Kind(read=_read_list, same=_same_list),
}
"""Every kind of answer a rule can verify, by the name problems use."""
