"""Reads the authors' page of a task (`task_metric_info.json`): its one demonstration, as a question with its answer."""

from __future__ import annotations

import ast
import re
from collections.abc import Mapping
from dataclasses import dataclass

_IMAGE = r"!\[\w+\]\([^\n]*\)"
_MEDIUM = rf"(?:{_IMAGE}|\[Please watch the local video: [^\]\n]*\])"
_BETWEEN = re.compile(rf"(?:^|\n?)```\s*\n+((?:{_MEDIUM}\s*)+)```\n?")
"""Media interrupt a block of text: it is closed before them and opened behind them."""
_EXAMPLE = "Demonstration example(s) of the task"
_LAST_LINE = re.compile(r"\nAnswer the new question below.*", re.DOTALL)


@dataclass(frozen=True, slots=True, kw_only=True)
class Demonstration:
    """What the page shows.

    Attributes:
        description: The task's.
        example: The demonstration as it stands in prompts, with marks for its media; empty where there is none.
        query: The question on the page that is not the demonstration; mostly empty.
        answer: Gold of the demonstration by field; empty where the page shows none, or in another form.
    """

    description: str
    example: str
    query: str
    answer: Mapping[str, object]


def demonstration(page: str, rule: Mapping[str, object]) -> Demonstration:
    """Read a page.

    Raises:
        ValueError: it has not the sections of such a page.
    """
    head, found, rest = page.partition("## The 1-shot Example for Task Demonstration:\n")
    shown, ended, _ = rest.rpartition("\n## Additional Information:")
    if not found or not ended:
        raise ValueError("the page of a task lacks its sections")
    description = head.partition("## Task Description:\n")[2]
    query, mark, example = shown.partition(_EXAMPLE)
    query = query.replace("## Example Query:\n", "")
    if mark:
        query = query.rstrip().removesuffix("```")
    example = _text(mark + example)
    return Demonstration(
        description=_text(description), example=example, query=_text(query), answer=_answer(example, rule)
    )


def _text(section: str) -> str:
    """The blocks of a section in one, marks for media in their places."""
    section = section.strip()
    section = section.removeprefix("```\n") if section.startswith("```\n") else section
    section = section.removesuffix("```") if section.count("```") % 2 else section
    section = _BETWEEN.sub(lambda found: "\n" + found[1], "\n" + section)
    return re.sub(rf"{_MEDIUM}\s*", lambda found: _mark(found[0].strip()), section).strip("\n")


def _mark(medium: str) -> str:
    return "<image>" if medium.startswith("!") else "<video>"


def _answer(example: str, rule: Mapping[str, object]) -> Mapping[str, object]:
    fields = rule["field_score_function"]
    assert isinstance(fields, dict)
    text = _LAST_LINE.sub("", example).partition("Example Response:")[2].partition("Answer:")[2].strip()
    if not text:
        return {}
    if rule["response_parse_function"] != "json":
        return dict.fromkeys(fields, text) if len(fields) == 1 else {}
    try:
        answer = ast.literal_eval(text)
    except (ValueError, SyntaxError):
        return {}
    return {name: str(value) for name, value in answer.items()} if isinstance(answer, dict) else {}
