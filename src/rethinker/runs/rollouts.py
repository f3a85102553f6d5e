"""The record of what the model said: `rollouts/NNNNNN.jsonl.gz` per step, and every image once.

    000021.jsonl.gz                one JSON object per response of the batch of step 21, before replay
    images/<sha256 of file>.png    named in `image_ids`

Bytes are bounded: the oldest steps go first, with the images that only they show.
"""

from __future__ import annotations

import gzip
import io
import itertools
import json
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from functools import cached_property
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
from jaxtyping import Float32

from rethinker.runs.files import atomic_file, bytes_below, remove_unfinished, unwritable, write_atomically
from rethinker.types import Experience, Image, Rethought, Rollout

_SHARED_CHARACTERS = 8
"""Most characters between two whole tokens."""


def read_rollouts(path: Path) -> Iterator[dict[str, Any]]:
    """The responses recorded in one `NNNNNN.jsonl.gz`, one by one."""
    with gzip.open(path, "rt", encoding="utf-8") as file:
        for line in file:
            yield json.loads(line)


class RolloutRecord:
    """Writes the record under a byte limit.

    Args:
        folder: `rollouts/` of the run; made at the first write.
        keep_bytes: Most bytes of files under it; a step that alone exceeds it is removed too. 0 records nothing.
        first_answer: The answer a response gave before it first looked twice, None if it gave none.
        token_text: The text of one token, special tokens being nothing.
    """

    def __init__(
        self,
        folder: Path,
        *,
        keep_bytes: int,
        first_answer: Callable[[Rollout], str | None],
        token_text: Callable[[int], str],
    ) -> None:
        self._folder = folder
        self._images = folder / "images"
        self._keep_bytes = keep_bytes
        self._first_answer = first_answer
        self._token_text = token_text
        self._file_names: dict[str, str] = {}  # Image.id -> hash of its PNG file
        self.dropped = 0
        """Steps removed for lack of room by this process."""

    @cached_property
    def _kept(self) -> _Kept:
        return _Kept(self._folder)

    def write(self, step: int, experiences: Sequence[Experience]) -> None:
        """Record the responses of the raw batch of `step`, then make room.

        Raises:
            RunFolderError: the disk is full or the folder not writable.
        """
        if self._keep_bytes == 0:
            return
        try:
            self._images.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise unwritable(self._images, error) from error
        path = self._folder / f"{step:06d}.jsonl.gz"
        image_ids = [[self._save_image(image) for image in each.rollout.prompt.images] for each in experiences]
        # No time stamp and no name in the header: the same responses are the same bytes.
        with atomic_file(path) as raw, gzip.GzipFile(filename="", mode="wb", fileobj=raw, mtime=0) as file:
            for experience, ids in zip(experiences, image_ids, strict=True):
                row = json.dumps(self._row(experience, ids), ensure_ascii=False, allow_nan=False)
                file.write(row.encode(errors="replace") + b"\n")
        self._kept.add(path, frozenset(itertools.chain(*image_ids)))
        while self._kept.bytes > self._keep_bytes and self._kept.steps:
            self._remove(next(iter(self._kept.steps)))
            self.dropped += 1

    def cut_back(self, step: int) -> None:
        """Remove what was recorded after `step`, as a resumed run will record it again."""
        for path in [path for path in self._kept.steps if _step(path) > step]:
            self._remove(path)

    def _remove(self, path: Path) -> None:
        gone = self._kept.remove(path)
        self._file_names = {image: name for image, name in self._file_names.items() if name not in gone}

    def _row(self, experience: Experience, image_ids: list[str]) -> dict[str, object]:
        rollout = experience.rollout
        rethought = rollout if isinstance(rollout, Rethought) else None
        about = experience.about
        return {
            "problem_id": rollout.prompt.problem_id,
            "question": about.question if about else None,
            "answer": about.answer if about else None,
            "category": about.category if about else None,
            "source": about.source if about else None,
            "sample": rollout.sample,
            "prompt": rollout.prompt.text,
            "response": rollout.text,
            "token_ids": rollout.token_ids.tolist(),
            "token_lengths": token_lengths([self._token_text(int(each)) for each in rollout.token_ids], rollout.text),
            "logprobs": _shortest(rollout.logprobs),
            "reward": float(rollout.verdict.reward),
            "outcome": rollout.verdict.outcome.value,
            "extracted": rollout.verdict.extracted,
            "detail": rollout.verdict.detail,
            "first_answer": self._first_answer(rollout),
            "first_outcome": rethought.first.verdict.outcome.value if rethought else None,
            "length_penalty": experience.penalty,
            "advantage": float(experience.advantage),
            "forced_span": list(rethought.trigger_span) if rethought else None,
            "trigger": rethought.trigger if rethought else None,
            "finish_reason": rollout.finish_reason,
            "policy_version": rollout.policy_version,
            "image_ids": image_ids,
        }

    def _save_image(self, image: Image) -> str:
        """Write the image unless it stands there; return the hash that names its file."""
        if image.id not in self._file_names:
            buffer = io.BytesIO()
            PIL.Image.fromarray(image.pixels).save(buffer, format="PNG")
            name = sha256(buffer.getvalue()).hexdigest()
            self._kept.add_image(name, buffer.getvalue())
            self._file_names[image.id] = name
        return self._file_names[image.id]


class _Kept:
    """What the folder holds: counted once and then kept up to date, since a walk at every step grows with the run.

    What a step that was killed has left is removed: half a file, and pictures that no step shows.
    """

    def __init__(self, folder: Path) -> None:
        self._images = folder / "images"
        for each in (folder, self._images):
            remove_unfinished(each)
        paths = sorted(folder.glob("*.jsonl.gz"), key=_step)
        self.steps = {path: _images_shown(path) for path in paths}
        """Every step's file, oldest first, with the hashes of its images."""
        self._uses = Counter(itertools.chain(*self.steps.values()))
        for picture in self._images.glob("*.png"):
            if picture.stem not in self._uses:
                picture.unlink()
        self.bytes = bytes_below(folder)

    def add_image(self, name: str, content: bytes) -> None:
        path = self._images / f"{name}.png"
        if not path.exists():
            write_atomically(path, content, flush=False)  # there are so many
            self.bytes += len(content)

    def add(self, path: Path, images: frozenset[str]) -> None:
        self.steps[path] = images
        self._uses.update(images)
        self.bytes += path.stat().st_size

    def remove(self, path: Path) -> frozenset[str]:
        """Remove a step and the images that only it shows; return their hashes."""
        images = self.steps.pop(path)
        self._uses.subtract(images)
        gone = frozenset(name for name in images if not self._uses[name])
        self._unlink(path)
        for name in gone:
            del self._uses[name]
            self._unlink(self._images / f"{name}.png")
        return gone

    def _unlink(self, path: Path) -> None:
        if path.exists():  # or somebody else made room
            self.bytes -= path.stat().st_size
            path.unlink()


def _images_shown(path: Path) -> frozenset[str]:
    return frozenset(name for row in read_rollouts(path) for name in row["image_ids"])


def token_lengths(pieces: Sequence[str], text: str) -> list[int] | None:
    """How many characters of a text each token wrote; None where the pieces are not what the text is made of.

    A character that several tokens share, each a piece with U+FFFD, is the next whole token's or the last one's; so is
    a space that a tokenizer puts between tokens.
    """
    lengths, end = [], 0
    for piece in pieces:
        start = end
        if piece and "\ufffd" not in piece:
            found = text.find(piece, start, start + len(piece) + _SHARED_CHARACTERS)
            if found < 0:
                return None
            end = found + len(piece)
        lengths.append(end - start)
    if len(text) - end > _SHARED_CHARACTERS:
        return None
    if lengths:
        lengths[-1] += len(text) - end
    return lengths


def _step(path: Path) -> int:
    return int(path.name.removesuffix(".jsonl.gz"))


def _shortest(values: Float32[np.ndarray, " tokens"]) -> list[float | None]:
    """The shortest decimals that are the same float32 again; half the bytes of the widened doubles."""
    if np.isfinite(values).all():
        return values.astype(str).astype(np.float64).tolist()
    return [float(str(value)) if np.isfinite(value) else None for value in values]
