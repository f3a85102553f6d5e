"""The responses that a page holds, as it reads them: text cut into tokens, the second look marked, images scaled."""

from __future__ import annotations

import base64
import io
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image

from rethinker.errors import RunFolderError
from rethinker.report.digest import DAMAGED, GroupDigest, Row, family_of, first_right, known_verdicts, lines_of, unasked
from rethinker.report.strict_json import strict

Shown = dict[str, Any]
"""A JSON object of the page."""

MAX_SIDE = 480
"""Pixels of the longer side of an image on a page."""

MOST_PIXELS = 200_000_000
"""Of an image of a run; a few bytes can claim to be more."""

_HASH = re.compile("[0-9a-f]{64}")

SMALL_FILE = 12_000
"""Bytes below which an image file goes in as it is, if its sides are short enough."""


def shown_groups(folder: Path, groups: Sequence[GroupDigest]) -> list[Shown]:
    """The groups of a run's `rollouts/`, read again; a step that was removed meanwhile is left out.

    Raises:
        RunFolderError: a response is not as a run writes it.
    """
    shown = []
    for step, wanted in groupby(groups, key=lambda group: group.step):
        shown += _of_step(folder / f"{step:06d}.jsonl.gz", list(wanted))
    return shown


def _of_step(path: Path, groups: Sequence[GroupDigest]) -> list[Shown]:
    wanted = {line for group in groups for line in range(group.first_line, group.first_line + group.size)}
    try:
        rows = {number: json.loads(line) for number, line in enumerate(lines_of(path)) if number in wanted}
        shown = [
            _group(group, [rows[line] for line in range(group.first_line, group.first_line + group.size)])
            for group in groups
        ]
    except FileNotFoundError:
        return []
    except DAMAGED as error:
        raise RunFolderError(f"{path} is damaged ({error}); remove it") from error
    return strict(shown)


def _group(group: GroupDigest, rows: Sequence[Row]) -> Shown:
    head = rows[0]
    family, level = family_of(head)
    verdicts = known_verdicts(rows)
    return {
        "step": group.step,
        "problem": group.problem_id,
        "question": head.get("question") or head["prompt"],
        "answer": head.get("answer"),
        "family": family,
        "level": level,
        "images": list(group.image_ids),
        "rollouts": [_response(row, verdicts) for row in rows],
    }


def _response(row: Row, verdicts: Mapping[str, bool]) -> Shown:
    lengths = row.get("token_lengths")
    start = None if row["trigger"] is None else len(unasked(row))
    return {
        "sample": row["sample"],
        "text": row["response"],
        "lengths": lengths,
        "surprise": _tenths(row["logprobs"]) if lengths else None,
        "reward": row["reward"],
        "advantage": round(row["advantage"], 4),
        "outcome": row["outcome"],
        "extracted": row["extracted"],
        "detail": row["detail"],
        "first": row["first_answer"],
        "firstRight": first_right(row, verdicts),
        "trigger": None if start is None else [start, start + len(row["trigger"])],
        "finish": row["finish_reason"],
        "policy": row["policy_version"],
    }


def _tenths(logprobs: Sequence[float | None]) -> list[int]:
    """−ln p in tenths of a nat, up to 99; of what is not finite 99."""
    nats = np.array(logprobs, dtype=np.float64)  # None becomes NaN
    tenths: list[int] = np.where(np.isfinite(nats), np.clip(np.rint(-10 * nats), 0, 99), 99).astype(int).tolist()
    return tenths


def shown_images(folder: Path, names: Iterable[str]) -> dict[str, str]:
    """Name → data URL of each image of `rollouts/images/` that is there, scaled down where it is large.

    Raises:
        RunFolderError: one is damaged, or larger than a run's can be.
    """
    return {name: url for name in names if (url := _data_url(_file(folder, name))) is not None}


def _file(folder: Path, name: str) -> Path:
    """The file of an image, which bears its hash: no other file is read, wherever a name or a link would lead.

    Raises:
        RunFolderError: the name is no hash.
    """
    if not _HASH.fullmatch(name):
        raise RunFolderError(f"{folder.parent} names the image {name[:80]!r}, which is no SHA-256; it is no run's own")
    return folder / f"{name}.png"


def image_bytes(folder: Path, name: str) -> int:
    """About what an image takes on a page."""
    try:
        size = _file(folder, name).stat().st_size
    except FileNotFoundError:
        return 0
    return min(size, 24_000) * 4 // 3


def _data_url(path: Path) -> str | None:
    if path.is_symlink() or not path.is_file():
        return None
    try:
        content, kind = path.read_bytes(), "png"
        with PIL.Image.open(io.BytesIO(content), formats=("PNG",)) as image:
            if image.width * image.height > MOST_PIXELS:
                raise ValueError(f"{image.width} x {image.height} pixels")
            if max(image.size) > MAX_SIDE or len(content) > SMALL_FILE:
                content, kind = _scaled(image), "webp"
    except FileNotFoundError:
        return None
    except Exception as error:
        raise RunFolderError(f"{path} is damaged ({error!s:.200}); remove it") from error
    return f"data:image/{kind};base64,{base64.b64encode(content).decode()}"


def _scaled(image: PIL.Image.Image) -> bytes:
    """As WebP, no longer than a page shows it."""
    small = image.convert("RGB")
    small.thumbnail((MAX_SIDE, MAX_SIDE))
    buffer = io.BytesIO()
    small.save(buffer, format="WEBP", quality=80)
    return buffer.getvalue()
