"""A model's answers to one benchmark, one JSON object a line, appended as they are finished.

A run that was killed goes on from them. Nothing but what was asked and answered stands here: verdicts are made again.
"""

from __future__ import annotations

import fcntl
import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from rethinker.data.tables import json_bytes
from rethinker.errors import DatasetError
from rethinker.runs.files import write_atomically
from rethinker.types import FinishReason

Key = tuple[str, int]
"""A question's id and which of its samples."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """One response to one question.

    Attributes:
        id: The question's, as published.
        prompt: What was asked, `<image>` where an image stood; the model's chat template is around it.
        response: All of it: the first response, the trigger and the second look where one was forced.
        tokens: Generated, those of both looks together; a trigger is not generated.
        first: The response before a forced trigger; None where none was forced. Likewise `first_tokens`.
    """

    id: str
    sample: int
    prompt: str
    response: str
    tokens: int
    first: str | None
    first_tokens: int | None
    finish: FinishReason

    @property
    def key(self) -> Key:
        """Whose answer it is."""
        return self.id, self.sample


class AnswerFile:
    """An append-only file of answers, held by one process at a time. A context manager.

    Attributes:
        dropped: Lines that a kill had cut off, 0 or 1; what they answered is asked again.

    Raises:
        DatasetError: it cannot be written, is in use, or is damaged.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.dropped = 0
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._file = path.open("a+b")
        except OSError as error:
            raise DatasetError(f"{path} cannot be written: {error.strerror or error}; choose another --to") from error
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            self._answers = self._read()
        except BlockingIOError as error:
            self._file.close()
            raise DatasetError(f"{path} is in use by another process; wait until it ends, or stop it") from error
        except DatasetError:
            self._file.close()
            raise

    @property
    def answers(self) -> dict[Key, Answer]:
        """What is answered."""
        return self._answers

    def append(self, answer: Answer) -> None:
        """Add an answer; when this returns, a kill does not take it."""
        self._answers[answer.key] = answer
        try:
            self._file.write(_line(answer))
            self._file.flush()
        except OSError as error:
            raise DatasetError(f"{self.path} cannot be written: {error.strerror or error}") from error

    def put_in_order(self, keys: Iterable[Key]) -> None:
        """Write it anew in this order, what is not named behind: in which order answers ended is chance."""
        ordered = {key: self._answers[key] for key in keys if key in self._answers} | self._answers
        if list(ordered) != list(self._answers) or self.dropped:
            write_atomically(self.path, b"".join(map(_line, ordered.values())))

    def __enter__(self) -> AnswerFile:
        """The file itself."""
        return self

    def __exit__(self, *ended: object) -> None:
        """Let go of it."""
        self._file.close()

    def _read(self) -> dict[Key, Answer]:
        self._file.seek(0)
        lines = self._file.read().splitlines(keepends=True)
        if lines and not lines[-1].endswith(b"\n"):
            self._file.truncate(sum(map(len, lines[:-1])))
            self.dropped = len([lines.pop()])
        try:
            answers = [Answer(**json.loads(line)) for line in lines]
        except (ValueError, TypeError) as error:
            raise DatasetError(f"{self.path} is damaged: {error!r}; remove it to ask everything again") from error
        return {answer.key: answer for answer in answers}


def refuse_other_prompts(path: Path, answers: Sequence[Answer], prompts: dict[str, str]) -> None:
    """See that answers are to the questions that are asked now.

    Raises:
        DatasetError: one is to another prompt.
    """
    for answer in answers:
        if answer.id in prompts and answer.prompt != prompts[answer.id]:
            raise DatasetError(
                f"{path} holds an answer to question {answer.id!r} under another prompt: {answer.prompt[:80]!r}, and "
                f"now it is {prompts[answer.id][:80]!r}. The benchmark's files have changed; choose another --to"
            )


def _line(answer: Answer) -> bytes:
    return json_bytes(asdict(answer)) + b"\n"
