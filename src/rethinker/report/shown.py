"""The responses that a page holds, as it reads them: text cut into tokens, the second look marked, images scaled."""

from __future__ import annotations

import base64
import io
import json
from collections.abc import Iterable, Mapping, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image

from rethinker.report.digest import GroupDigest, Row, family_of, first_right, known_verdicts, lines_of, unasked

Shown = dict[str, Any]
"""A JSON object of the page."""

MAX_SIDE = 480
"""Pixels of the longer side of an image on a page."""

SMALL_FILE = 12_000
"""Bytes below which an image file goes in as it is, if its sides are short enough."""


def shown_groups(folder: Path, groups: Sequence[GroupDigest]) -> list[Shown]:
    """The groups of a run's `rollouts/`, read again; a step that was removed meanwhile is left out."""
    shown = []
    for step, wanted in groupby(groups, key=lambda group: group.step):
        shown += _of_step(folder / f"{step:06d}.jsonl.gz", list(wanted))
    return shown


def _of_step(path: Path, groups: Sequence[GroupDigest]) -> list[Shown]:
    wanted = {line for group in groups for line in range(group.first_line, group.first_line + group.size)}
    try:
        rows = {number: json.loads(line) for number, line in enumerate(lines_of(path)) if number in wanted}
    except FileNotFoundError:
        return []
    return [
        _group(group, [rows[line] for line in range(group.first_line, group.first_line + group.size)])
        for group in groups
    ]


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
    """Name → data URL of each image of `rollouts/images/` that is there, scaled down where it is large."""
    return {name: url for name in names if (url := _data_url(folder / f"{name}.png")) is not None}


def image_bytes(folder: Path, name: str) -> int:
    """About what an image takes on a page."""
    try:
        size = (folder / f"{name}.png").stat().st_size
    except FileNotFoundError:
        return 0
    return min(size, 24_000) * 4 // 3


def _data_url(path: Path) -> str | None:
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        return None
    kind = "png"
    with PIL.Image.open(io.BytesIO(content)) as image:
        if max(image.size) > MAX_SIDE or len(content) > SMALL_FILE:
            small = image.convert("RGB")
            small.thumbnail((MAX_SIDE, MAX_SIDE))
            buffer = io.BytesIO()
            small.save(buffer, format="WEBP", quality=80)
            content, kind = buffer.getvalue(), "webp"
    return f"data:image/{kind};base64,{base64.b64encode(content).decode()}"
