"""Every row of a data set looked at before a run meets it: can it be a problem, and can its answer be verified?

Rows go the way that training goes: the row is read, its marks counted, its images decoded, its stored answer scored as
a response, its prompt measured. The first step that fails is the row's finding, and no later one is tried.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from dataclasses import asdict, dataclass, replace
from enum import StrEnum
from functools import partial

from rethinker.data.parallel import in_order
from rethinker.data.rows import Row, RowSource
from rethinker.errors import ColumnError, DataError, ImageError, MarksError
from rethinker.interfaces import Scorer
from rethinker.types import Outline, Problem, Verdict

UNVERIFIED = 256
"""Answers that may wait for their verdict: so many keep the verifiers busy while images are decoded."""


class Reason(StrEnum):
    """Why a row cannot be trained on, in the order the steps are taken."""

    ROW = "row"
    """A column is missing, empty or of the wrong kind, or the id is taken."""
    MARKS = "marks"
    """`<image>` marks and images differ in number."""
    IMAGE = "image"
    """An image is missing, damaged, or of a kind that is refused."""
    ANSWER = "answer"
    """The stored answer, given as a response, is not verified as right."""
    PROMPT = "prompt"
    """The prompt is too long, or cannot be made."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One row that cannot be trained on.

    Attributes:
        row: Its index in the source.
        where: File and row, as messages name them.
        column: The column of the file that is at fault, with its place in a list ("images[1]"); empty where none is.
        detail: What was found and expected.
    """

    row: int
    where: str
    id: str
    column: str
    reason: Reason
    detail: str

    def as_json(self) -> dict[str, str | int]:
        """JSON values by field."""
        return asdict(self)


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """What a check found.

    Attributes:
        rows: Rows looked at.
        images: Images decoded in the good ones.
        longest_prompt: Tokens; 0 where no lengths were measured.
        findings: The bad rows, in order.
    """

    rows: int
    images: int
    longest_prompt: int
    findings: tuple[Finding, ...]

    @property
    def counts(self) -> dict[Reason, int]:
        """Bad rows by reason; every reason is there."""
        found = Counter(finding.reason for finding in self.findings)
        return {reason: found[reason] for reason in Reason}


@dataclass(frozen=True, slots=True, kw_only=True)
class _Readable:
    """A row whose images could be decoded; they are gone again."""

    index: int
    row: Row
    problem: Problem
    outline: Outline


def check(
    source: RowSource,
    *,
    workers: int,
    scorer: Scorer | None = None,
    length: Callable[[Outline], int] | None = None,
    max_tokens: int = 0,
    advance: Callable[[], object] = lambda: None,
) -> Report:
    """Look at every row.

    Memory is bounded by the rows that are decoded at once and the answers that wait, whatever the number of rows.

    Args:
        workers: Threads that read and decode.
        scorer: Verifies the answers; None leaves them unverified.
        length: Tokens of a problem's prompt, or a `DataError`; None leaves prompts unmeasured.
        max_tokens: Longer prompts are findings.
        advance: Called after each row.
    """
    findings: list[Finding] = []
    images = longest = 0
    for row in _verified(source, workers, scorer):
        finding = row if isinstance(row, Finding) else None
        if isinstance(row, _Readable):
            images += len(row.outline.image_sizes)
            if length is not None:
                tokens, finding = _measured(source, row, length, max_tokens)
                longest = max(longest, tokens)
        if finding is not None:
            findings.append(finding)
        advance()
    return Report(rows=len(source), images=images, longest_prompt=longest, findings=tuple(findings))


def _verified(source: RowSource, workers: int, scorer: Scorer | None) -> Iterator[Finding | _Readable]:
    """Rows in order, their answers verified while later rows are decoded."""
    waiting: deque[tuple[Finding | _Readable, Future[Verdict] | None]] = deque()
    for row in in_order(partial(_read, source), range(len(source)), workers=workers):
        verdict = None
        if scorer is not None and isinstance(row, _Readable):
            verdict = scorer.submit(row.problem, f"\\boxed{{{row.problem.answer}}}")
        waiting.append((row, verdict))
        if len(waiting) > UNVERIFIED:
            yield _with_verdict(source, *waiting.popleft())
    while waiting:
        yield _with_verdict(source, *waiting.popleft())


def _read(source: RowSource, index: int) -> Finding | _Readable:
    """Read a row and decode its images; only what the later steps need is kept."""
    try:
        row = source.row(index)
        problem = row.problem(max_pixels=source.max_pixels)
    except DataError as error:
        column = error.column if isinstance(error, ColumnError) else ""
        return _finding(source, index, _reason(error), column, str(error))
    sizes = tuple((image.pixels.shape[0], image.pixels.shape[1]) for image in problem.images)
    unread = Problem(
        id=problem.id, images=(), question="", answer=problem.answer, verifier=problem.verifier, choices=problem.choices
    )
    return _Readable(
        index=index,
        row=replace(row, images=()),
        problem=unread,
        outline=Outline(id=problem.id, question=problem.question, image_sizes=sizes),
    )


def _reason(error: DataError) -> Reason:
    match error:
        case MarksError():
            return Reason.MARKS
        case ImageError():
            return Reason.IMAGE
    return Reason.ROW


def _with_verdict(source: RowSource, row: Finding | _Readable, verdict: Future[Verdict] | None) -> Finding | _Readable:
    if isinstance(row, Finding) or verdict is None or verdict.result().correct:
        return row
    given, problem = verdict.result(), row.problem
    return _finding(
        source,
        row.index,
        Reason.ANSWER,
        row.row.answer_column,
        f"{problem.answer!r} of kind {problem.verifier!r}, given as a response, is scored {given.outcome.value}"
        f"{f': {given.detail}' if given.detail else ''}",
    )


def _measured(
    source: RowSource, row: _Readable, length: Callable[[Outline], int], max_tokens: int
) -> tuple[int, Finding | None]:
    """The prompt's length in tokens, 0 where it cannot be made; and why it will not do, if so."""
    try:
        tokens = length(row.outline)
    except DataError as error:
        return 0, _finding(source, row.index, Reason.PROMPT, row.row.question_column, str(error))
    if tokens <= max_tokens:
        return tokens, None
    detail = f"its prompt has {tokens} tokens, more than the {max_tokens} allowed"
    return tokens, _finding(source, row.index, Reason.PROMPT, row.row.question_column, detail)


def _finding(source: RowSource, index: int, reason: Reason, column: str, detail: str) -> Finding:
    return Finding(
        row=index, where=source.where(index), id=source.id(index), column=column, reason=reason, detail=detail
    )
