"""A data set as one HTML page to look through: pictures, questions, options and answers as training sees them.

The page stands alone: thumbnails are in it, nothing is loaded from anywhere, and every text of the data is escaped.
A content-security policy says the same to the browser.
"""

from __future__ import annotations

import base64
import html
import io
import string
from collections.abc import Callable, Sequence
from functools import partial

from PIL import Image as Pillow

from rethinker.data.parallel import in_order
from rethinker.data.preview_style import STYLE
from rethinker.data.rows import RowSource
from rethinker.errors import DataError
from rethinker.types import IMAGE_MARK, Image, Problem

THUMBNAIL = (560, 420)
"""Largest width and height in pixels; cards are about half as wide, for screens with two pixels to the point."""


def spread(total: int, most: int) -> list[int]:
    """At most so many row indices, evenly over the data set, the first row among them."""
    count = min(total, most)
    return [place * total // count for place in range(count)]


def page(
    source: RowSource, rows: Sequence[int], *, title: str, workers: int, advance: Callable[[], object] = lambda: None
) -> str:
    """The page.

    Args:
        rows: Which rows to show, bad ones included: they show their reason.
        title: The heading.
        workers: Threads that decode and shrink.
        advance: Called after each row.
    """
    cards = []
    for card in in_order(partial(_card, source), rows, workers=workers):
        cards.append(card)
        advance()
    shown = f"{len(rows):,} of {len(source):,} rows" if len(rows) < len(source) else f"all {len(source):,} rows"
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        '<meta http-equiv="Content-Security-Policy" content="default-src \'none\'; img-src data:; '
        "style-src 'unsafe-inline'\">\n"
        f"<title>{html.escape(title)}</title>\n<style>{STYLE}</style>\n</head>\n<body>\n"
        f"<header><h1>{html.escape(title)}</h1><p>{shown}</p></header>\n<main>\n{''.join(cards)}</main>\n"
        "</body>\n</html>\n"
    )


def _card(source: RowSource, index: int) -> str:
    try:
        problem = source[index]
    except DataError as error:
        return (
            f'<article class="bad">{_heading(source.id(index), "cannot be used")}'
            f'<p class="question">{html.escape(str(error))}</p></article>\n'
        )
    about = [text for text in (problem.category, problem.source, problem.verifier) if text]
    pictures = "".join(_picture(image, problem.id) for image in problem.images)
    return (
        f"<article>{_heading(problem.id, ' · '.join(about))}"
        f"{f'<div class=pictures>{pictures}</div>' if pictures else ''}"
        f'<p class="question">{_question(problem)}</p>{_options(problem)}'
        f'<p class="answer"><span>Answer</span> {html.escape(_answer(problem))}</p></article>\n'
    )


def _heading(name: str, about: str) -> str:
    return f"<h2>{html.escape(name)}<small>{html.escape(about)}</small></h2>"


def _picture(image: Image, name: str) -> str:
    height, width = image.pixels.shape[:2]
    small = Pillow.fromarray(image.pixels)
    small.thumbnail(THUMBNAIL, Pillow.Resampling.LANCZOS)
    encoded = io.BytesIO()
    small.save(encoded, "WEBP", quality=82)
    data = base64.b64encode(encoded.getvalue()).decode("ascii")
    return (
        f'<img src="data:image/webp;base64,{data}" width="{small.width}" height="{small.height}" '
        f'alt="picture of {html.escape(name)}" title="{width} × {height} pixels">'
    )


def _question(problem: Problem) -> str:
    """The question without the options that are listed apart; a mark becomes the number of its picture."""
    text = problem.question
    if problem.choices and "(A)" in text:
        text = text[: text.rindex("(A)")]
    if len(problem.images) == 1:
        return html.escape(text.replace(IMAGE_MARK, "").strip())
    parts = [html.escape(part) for part in text.strip().split(IMAGE_MARK)]
    marks = [f"<mark>picture {number}</mark>" for number in range(1, len(parts))]
    return parts[0] + "".join(mark + part for mark, part in zip(marks, parts[1:]))


def _options(problem: Problem) -> str:
    if not problem.choices:
        return ""
    lines = "".join(
        f"<li{' class=right' if letter == problem.answer else ''}><b>{letter}</b>{html.escape(choice)}</li>"
        for letter, choice in zip(string.ascii_uppercase, problem.choices)
    )
    return f"<ol>{lines}</ol>"


def _answer(problem: Problem) -> str:
    """The stored answer, an option's text beside its letter."""
    options = dict(zip(string.ascii_uppercase, problem.choices))
    return f"{problem.answer}  {options[problem.answer]}" if problem.answer in options else problem.answer
