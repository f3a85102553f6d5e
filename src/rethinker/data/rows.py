"""From a row's raw values to a `Row`, a problem before its images are decoded: boxed answers, options, verifier.

Shared by the readers. It knows no file format.
"""

from __future__ import annotations

import re
import string
from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from rethinker.data.encoded import EncodedImage
from rethinker.data.images import image_size, load_image
from rethinker.data.marks import place_images
from rethinker.data.unchanged import fingerprint
from rethinker.errors import DataError
from rethinker.interfaces import ProblemSource
from rethinker.types import Outline, Problem

NUMBER = re.compile(r"[-+−]?(\d{1,3}(,\d{3})+|\d+|(?=\.\d))(\.\d*)?([eE][-+]?\d+)?%?")
LATEX = re.compile(r"[\\^_{}$]|\d\s*/\s*\d")
OPTION = re.compile(r"\(([A-Z])\)")
OPTION_LINE = re.compile(r"^\s*\(?([A-Z])[.):]", re.MULTILINE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """A problem whose images are still encoded; attributes as in `Problem`, but for marks as the file has them.

    Attributes:
        question_column: Where the file has the question.
        answer_column: Where it has the answer.
    """

    id: str
    images: tuple[EncodedImage, ...]
    question: str
    answer: str
    verifier: str
    choices: tuple[str, ...] = ()
    category: str = ""
    source: str = ""
    question_column: str = "question"
    answer_column: str = "answer"

    def outline(self, *, max_pixels: int) -> Outline:
        """Read the images' headers.

        Raises:
            DataError: an image cannot be used, as far as its header shows it, or marks and images disagree.
        """
        question, images = place_images(self.question, self.images, column=self.question_column)
        sizes = tuple(image_size(image, max_pixels=max_pixels) for image in images)
        return Outline(id=self.id, question=question, image_sizes=sizes)

    def problem(self, *, max_pixels: int) -> Problem:
        """Decode the images.

        Raises:
            DataError: an image cannot be used, or marks and images disagree.
        """
        question, images = place_images(self.question, self.images, column=self.question_column)
        return Problem(
            id=self.id,
            images=tuple(load_image(image, max_pixels=max_pixels) for image in images),
            question=question,
            answer=self.answer,
            verifier=self.verifier,
            choices=self.choices,
            category=self.category,
            source=self.source,
        )


class RowSource(ProblemSource):
    """Base of the readers: what one row says is theirs, what becomes of it is here.

    Attributes:
        max_pixels: Largest image area.
    """

    def __init__(self, *, max_pixels: int) -> None:
        self.max_pixels = max_pixels

    @property
    @abstractmethod
    def files(self) -> tuple[Path, ...]:
        """Where the rows stand; images in files of their own are not among them."""

    @property
    def fingerprint(self) -> str:
        """Of the files."""
        return fingerprint(self.files)

    @property
    @abstractmethod
    def reads(self) -> frozenset[str]:
        """The columns that it looks at."""

    @abstractmethod
    def where(self, index: int) -> str:
        """File and row, as every message about the row begins."""

    @abstractmethod
    def row(self, index: int) -> Row:
        """Read one row, its images still encoded.

        Raises:
            DataError: the row cannot become a problem, as far as that shows without opening an image.
        """

    def __getitem__(self, index: int) -> Problem:
        """Read one row and decode its images.

        Raises:
            DataError: the row cannot become a problem.
        """
        try:
            return self.row(index).problem(max_pixels=self.max_pixels)
        except DataError as error:
            raise DataError(f"{self.where(index)}: {error}") from error

    def outline(self, index: int) -> Outline:
        """Read one row and the headers of its images.

        Raises:
            DataError: the row cannot become a problem, as far as that shows without pixels.
        """
        try:
            return self.row(index).outline(max_pixels=self.max_pixels)
        except DataError as error:
            raise DataError(f"{self.where(index)}: {error}") from error


def make_row(
    *,
    id: str,  # noqa: A002 (the field's name)
    images: tuple[EncodedImage, ...],
    question: str,
    answer: str,
    verifier: str = "",
    choices: tuple[str, ...] = (),
    category: str = "",
    source: str = "",
    question_column: str = "question",
    answer_column: str = "answer",
) -> Row:
    """Unwrap the answer, infer verifier and options where they are not given."""
    answer = unbox(answer)
    verifier = verifier or infer_verifier(answer, question=question, choices=choices)
    if verifier == "choice" and not choices:
        listed = options_in(question)
        choices = listed if answer in string.ascii_uppercase[: len(listed)] else ()
    return Row(
        id=id,
        images=images,
        question=question,
        answer=answer,
        verifier=verifier,
        choices=choices,
        category=category,
        source=source,
        question_column=question_column,
        answer_column=answer_column,
    )


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
