"""The final answer of a response, and LaTeX typography taken off it. What an answer means is left to the verifiers."""

from __future__ import annotations

import re

_BOX = "\\boxed"
_BRACE = re.compile(r"\\.|[{}]", re.DOTALL)
_ANSWER_LINE = re.compile(r"\banswer[ \t*_]*:", re.IGNORECASE)
_OPEN_TAG = re.compile(r"<answer>", re.IGNORECASE)
_CLOSE_TAG = re.compile(r"</answer>", re.IGNORECASE)

_EDGES = " \t\r\n$*`"
_ENDINGS = _EDGES + ".,;:。\\"
_MATH_DELIMITERS = (("\\(", "\\)"), ("\\[", "\\]"))

_WRAPPER = re.compile(
    r"\\(?:text(?:bf|it|rm|sf|tt|normal)?|math(?:rm|bf|it|sf|tt)|mbox|operatorname|bold(?:symbol)?)\*?\s*\{([^{}]*)\}"
)
_THOUSANDS = re.compile(r"(?<=\d)(?:\\[,!;:]|\{,\}|\\ )(?=\d{3})")
_SPACING = re.compile(r"(?:\\(?:[,!;:> ]|(?:q?quad|left|right|displaystyle)(?![A-Za-z]))|[~\s])+")
_ESCAPED = re.compile(r"\\([%$&#_])")
_SIGNS = str.maketrans({"−": "-", "–": "-", "％": "%", "，": ","})


def final_answer(text: str) -> str | None:
    """The answer a response commits to.

    That is its last `\\boxed{…}`, else its last `<answer>…</answer>`, else its last "Answer:" line.

    The first of these marks that occurs at all decides, so a box that was never closed (the response ran out of tokens
    while answering) is no answer, and nothing before it is taken for one. Empty boxes are passed over: models repeat
    the instruction. Linear in the length of the text.

    Returns:
        The answer without surrounding `$`, emphasis and closing full stop; None when there is none.
    """
    if (start := _last_box(text)) is not None:
        answer = _until_brace_closes(text, start)
    elif opened := list(_OPEN_TAG.finditer(text)):
        start = opened[-1].end()
        closed = _CLOSE_TAG.search(text, start)
        answer = text[start : closed.start()] if closed else None
    elif marks := list(_ANSWER_LINE.finditer(text)):
        answer = text[marks[-1].end() :].lstrip(_EDGES).partition("\n")[0]
    else:
        answer = None
    return trim(answer) or None if answer is not None else None


def trim(answer: str) -> str:
    """Strip white space, math delimiters, emphasis and trailing punctuation from the ends of an answer."""
    answer = answer.strip(_EDGES).rstrip(_ENDINGS)
    for opening, closing in _MATH_DELIMITERS:
        if answer.startswith(opening) and answer.endswith(closing):
            answer = answer[len(opening) : -len(closing)].strip(_EDGES).rstrip(_ENDINGS)
    return answer


def plain(answer: str) -> str:
    """Take LaTeX typography off an answer: text wrappers, spacing, escapes; minus signs become `-`."""
    answer = answer.translate(_SIGNS)
    unwrapped = _WRAPPER.sub(r"\1", answer)
    while unwrapped != answer:
        answer, unwrapped = unwrapped, _WRAPPER.sub(r"\1", unwrapped)
    answer = _THOUSANDS.sub(",", answer)
    return _ESCAPED.sub(r"\1", _SPACING.sub(" ", answer)).strip()


def _last_box(text: str) -> int | None:
    """Where the content of the last box that is not empty begins; None when there is no such box."""
    end = len(text)
    while (mark := text.rfind(_BOX, 0, end)) >= 0:
        start = _after_opening_brace(text, mark + len(_BOX))
        if start is not None and not _is_empty(text, start):
            return start
        end = mark
    return None


def _after_opening_brace(text: str, position: int) -> int | None:
    while text[position : position + 1].isspace():
        position += 1
    return position + 1 if text[position : position + 1] == "{" else None


def _is_empty(text: str, start: int) -> bool:
    """Whether a box holds nothing but white space before it closes."""
    while text[start : start + 1].isspace():
        start += 1
    return text[start : start + 1] == "}"


def _until_brace_closes(text: str, start: int) -> str | None:
    """The text from `start` to the brace that closes it; escaped braces are content. None when it never closes."""
    depth = 1
    for brace in _BRACE.finditer(text, start):
        if brace.group() == "{":
            depth += 1
        elif brace.group() == "}":
            depth -= 1
            if depth == 0:
                return text[start : brace.start()]
    return None
