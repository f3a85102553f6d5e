"""What a page needs of all responses of a run, gathered in one pass: sums per step, and where each group lies.

The responses themselves stay on disk; `sample` chooses which of them a page holds and `shown` reads those.
"""

from __future__ import annotations

import json
import re
import zlib
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from pathlib import Path
from typing import Any

Row = Mapping[str, Any]
"""One response as recorded (docs/run-folder.md)."""

WORDS = ("wait", "check", "verify", "mistake", "actually", "again", "however", "but", "let me", "look")
"""Words by which a response shows that it considers what it said; the run's own marker is counted too."""

MOST_BYTES = 500_000_000
"""Of a step's responses, unpacked; a thousandth of that can unpack to it."""

DAMAGED = (
    OSError,
    EOFError,
    ArithmeticError,
    AttributeError,
    LookupError,
    RecursionError,
    TypeError,
    ValueError,
    zlib.error,
)
"""What reading a file raises that holds other things than a run wrote."""

_STEP = re.compile(r"\d{1,12}\.jsonl\.gz", re.ASCII)
_GYM = re.compile(r"gym/(?P<family>.+?)-(?P<level>\d+)(/|$)")


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupDigest:
    """One group of one step.

    Attributes:
        first_line: Of its lines in the step's file, from 0; there are `size` of them.
        kept: Kept second looks; `flips` the responses whose answer a second look of their own changed.
        right: Responses that are, kept second looks in their places.
        characters: Of the responses, about what they weigh on a page.
    """

    step: int
    problem_id: str
    first_line: int
    size: int
    kept: int
    flips: int
    right: int
    characters: int
    tokens: int
    image_ids: tuple[str, ...]


@dataclass(slots=True)
class Share:
    """Right answers among responses."""

    right: int = 0
    count: int = 0

    def add(self, right: bool) -> None:
        """Count one response."""
        self.right += right
        self.count += 1


@dataclass(frozen=True, slots=True, kw_only=True)
class StepDigest:
    """One step's responses.

    Attributes:
        looks: (family, level) → responses as first sampled that look twice by themselves, and the others.
        words: Word → responses that hold it, in what the model wrote unasked.
    """

    step: int
    groups: tuple[GroupDigest, ...]
    looks: Mapping[tuple[str, str], tuple[Share, Share]]
    words: Mapping[str, int]

    @property
    def responses(self) -> int:
        """How many there are."""
        return sum(group.size for group in self.groups)


@dataclass(slots=True)
class _Sums:
    looks: dict[tuple[str, str], tuple[Share, Share]] = field(default_factory=dict)
    words: Counter[str] = field(default_factory=Counter)


class Digester:
    """Reads steps' files.

    Args:
        marker: The word by which a response shows that it looks again.
    """

    def __init__(self, marker: str) -> None:
        self._marker = marker.lower()
        self._words = {word: re.compile(rf"\b{re.escape(word)}\b") for word in (*WORDS, self._marker)}

    def read(self, path: Path) -> StepDigest:
        """The digest of one `NNNNNN.jsonl.gz`."""
        step, line, sums = step_of(path), 0, _Sums()
        groups = []
        for rows in by_group(map(without_tokens, lines_of(path))):
            groups.append(self._group(step, line, rows, sums))
            line += len(rows)
        return StepDigest(step=step, groups=tuple(groups), looks=sums.looks, words=sums.words)

    def _group(self, step: int, line: int, rows: Sequence[Row], sums: _Sums) -> GroupDigest:
        verdicts = known_verdicts(rows)
        flips = 0
        for row in rows:
            own, forced = unasked(row), row["trigger"] is not None
            found = self._words_in(own.lower())
            sums.words.update(found)
            before = first_right(row, verdicts)
            right = before if forced else row["outcome"] == "ok"
            if right is not None:
                shares = sums.looks.setdefault(family_of(row), (Share(), Share()))
                shares[0 if self._marker in found else 1].add(right)
            flips += not forced and before is not None and before != right
        return GroupDigest(
            step=step,
            problem_id=rows[0]["problem_id"],
            first_line=line,
            size=len(rows),
            kept=sum(row["trigger"] is not None for row in rows),
            flips=flips,
            right=sum(row["outcome"] == "ok" for row in rows),
            characters=sum(len(row["response"]) for row in rows),
            tokens=sum(row["tokens"] for row in rows),
            image_ids=tuple(rows[0]["image_ids"]),
        )

    def _words_in(self, text: str) -> set[str]:
        """Most texts hold few of them, so looking for the letters first saves most of the time."""
        return {word for word, pattern in self._words.items() if word in text and pattern.search(text)}


def step_files(folder: Path) -> list[Path]:
    """The files of a run's `rollouts/`, by step."""
    found = (path for path in folder.glob("*.jsonl.gz") if _STEP.fullmatch(path.name) and path.is_file())
    return sorted(found, key=step_of)


def step_of(path: Path) -> int:
    """The step of a `NNNNNN.jsonl.gz`."""
    return int(path.name.removesuffix(".jsonl.gz"))


def lines_of(path: Path) -> list[bytes]:
    """The lines of a step's file; at once, which takes a third of the time of one by one.

    Raises:
        ValueError: it ends too early, or unpacks to more than a step can be.
    """
    unpacker = zlib.decompressobj(wbits=31)
    text = unpacker.decompress(path.read_bytes(), MOST_BYTES)
    if not unpacker.eof:
        raise ValueError(f"it ends too early, or holds more than {MOST_BYTES:,} bytes")
    return text.splitlines()


def without_tokens(line: bytes) -> Row:
    """A response with `tokens`, their number, in place of the lists that have an entry for each: most of its bytes.

    A quotation mark inside a string is escaped, so what looks like the beginning of a list is one.
    """
    tokens = 0
    for name in (b"token_ids", b"token_lengths", b"logprobs"):
        start = line.find(b', "' + name + b'": [')
        if start < 0:
            continue
        end = line.index(b"]", start) + 1
        if name == b"token_ids":
            tokens = line.count(b",", start + 2, end) + 1
        line = line[:start] + line[end:]
    row: dict[str, Any] = json.loads(line)
    return row | {"tokens": tokens}


def by_group(rows: Iterable[Row]) -> Iterator[list[Row]]:
    """Responses that follow one another and are of one problem."""
    for _, group in groupby(rows, key=lambda row: row["problem_id"]):
        yield list(group)


def unasked(row: Row) -> str:
    """What the model wrote before anything was forced on it."""
    response: str = row["response"]
    return response if row["trigger"] is None else response.partition(row["trigger"])[0]


def family_of(row: Row) -> tuple[str, str]:
    """Family and level of a response's problem; the level is empty where its source has none."""
    gym = _GYM.match(row.get("source") or row["problem_id"])
    if gym:
        return gym["family"], gym["level"]
    return row.get("category") or row.get("source") or "", ""


def known_verdicts(rows: Sequence[Row]) -> dict[str, bool]:
    """Answers of one problem that were scored, or are the right one."""
    verdicts = {row["extracted"]: row["outcome"] == "ok" for row in rows if row["outcome"] in ("ok", "wrong")}
    answer = rows[0].get("answer")
    return {key: right for key, right in {answer: True, **verdicts}.items() if key is not None}


def first_right(row: Row, verdicts: Mapping[str, bool]) -> bool | None:
    """Whether the answer before a second look was right; None where there was none, or nothing like it was scored.

    A kept second look says so. Of a spontaneous one only the answer is recorded: what the same answer to the same
    problem got is what it got.
    """
    if row.get("first_outcome") is not None:
        return bool(row["first_outcome"] == "ok")
    first = row["first_answer"]
    return None if first is None else verdicts.get(first)
