"""A run's folder as a page shows it; read again, only what changed is read. Reads alone, whoever writes meanwhile."""

from __future__ import annotations

import json
import os
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from rethinker.errors import RunFolderError
from rethinker.plain_yaml import plain_yaml
from rethinker.report.digest import DAMAGED, Digester, GroupDigest, Share, StepDigest, step_files
from rethinker.report.strict_json import strict
from rethinker.runs.format import check_run_format

Json = dict[str, Any]

_SETTLED_NS = 2_000_000_000
"""A folder that changed longer ago than this has a time of its own for its next change."""


class RunReader:
    """One run; `refresh` brings it up to date.

    Raises:
        RunFolderError: the folder holds no run, or a file of it is damaged.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.name = folder.resolve().name
        config = folder / "config.yaml"
        if not config.is_file() and not (folder / "metrics.jsonl").is_file():
            raise RunFolderError(f"{folder} holds no run: it has no config.yaml; give a folder of `rethinker train`")
        check_run_format(folder)
        self.config = _yaml(config)
        evaluation = self.config.get("evaluation")
        marker = evaluation.get("marker") if isinstance(evaluation, dict) else None
        self.marker = marker if isinstance(marker, str) else "wait"
        self._digester = Digester(self.marker)
        self._steps: dict[Path, tuple[tuple[int, int], StepDigest]] = {}
        self._changed = -1
        self._tail = MetricsTail(folder / "metrics.jsonl")

    def refresh(self) -> None:
        """Read what is new or other than before.

        Raises:
            RunFolderError: a file is damaged.
        """
        self._tail.refresh()
        rollouts = self.folder / "rollouts"
        changed = rollouts.stat().st_mtime_ns if rollouts.is_dir() else 0
        if changed == self._changed and time.time_ns() - changed > _SETTLED_NS:
            return
        self._changed = changed
        steps: dict[Path, tuple[tuple[int, int], StepDigest]] = {}
        for path in step_files(rollouts):
            try:
                stat = path.stat()
                state = (stat.st_mtime_ns, stat.st_ino)
                known = self._steps.get(path)
                steps[path] = known if known and known[0] == state else (state, self._digester.read(path))
            except FileNotFoundError:  # removed for want of room, or cut back by a resume
                continue
            except DAMAGED as error:
                raise RunFolderError(f"{path} is damaged ({error}); remove it") from error
        self._steps = steps

    @property
    def rows(self) -> Sequence[Mapping[str, Any]]:
        """Lines of the metrics."""
        return self._tail.rows

    @property
    def digests(self) -> list[StepDigest]:
        """Of every step whose responses are kept."""
        return [digest for _, digest in self._steps.values()]

    @property
    def groups(self) -> list[GroupDigest]:
        """Of all those steps."""
        return [group for digest in self.digests for group in digest.groups]

    def summary(self) -> Json | None:
        """What the run achieved; None until it ends.

        Raises:
            RunFolderError: `summary.json` is no JSON object.
        """
        path = self.folder / "summary.json"
        try:
            summary = json.loads(path.read_bytes())
        except FileNotFoundError:
            return None
        except (ValueError, RecursionError) as error:
            raise RunFolderError(f"{path} is no JSON: {error}; remove it and write the report again") from error
        return strict(summary) if isinstance(summary, dict) else None

    def metrics(self, after: int = 0) -> Json:
        """Metrics by name, a column each, of the steps after `after`; numbers to five digits."""
        rows = [row for row in self.rows if row["step"] > after]
        names = sorted({name for row in rows for name in row})
        return {name: [_short(row.get(name)) for row in rows] for name in names}

    def thinking(self) -> Json:
        """Second looks by family and level, words over time, and problems that were met at several steps."""
        return {
            "marker": self.marker,
            "families": _families(self.digests),
            "words": _words(self.digests),
            "again": _met_again(self.groups),
        }


class MetricsTail:
    """A growing `metrics.jsonl`; read from where the last reading ended, or whole after it was written anew."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._inode = -1
        self._end = 0
        self.rows: list[Json] = []

    def refresh(self) -> None:
        """Take in new lines; a last one that is not ended yet waits.

        Raises:
            RunFolderError: a line is no line of metrics.
        """
        try:
            file = self._path.open("rb")
        except FileNotFoundError:
            self._inode, self._end, self.rows = -1, 0, []
            return
        with file:
            stat = os.fstat(file.fileno())
            if stat.st_ino != self._inode or stat.st_size < self._end:
                self._inode, self._end, self.rows = stat.st_ino, 0, []
            file.seek(self._end)
            whole, newline, _ = file.read().rpartition(b"\n")
        try:
            rows = [json.loads(line) for line in whole.split(b"\n")] if newline else []
            self.rows += [{**strict(row), "step": int(row["step"])} for row in rows]
        except DAMAGED as error:
            raise RunFolderError(f"{self._path} holds a line that is no line of metrics; remove the line") from error
        self._end += len(whole) + len(newline)


def _yaml(path: Path) -> Json:
    try:
        config = plain_yaml(path.read_text(encoding="utf-8")) if path.is_file() else {}
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise RunFolderError(f"{path} is no YAML: {error}; put the run's own configuration back") from error
    return strict(config) if isinstance(config, dict) else {}


def _short(value: Any) -> Any:
    return float(f"{value:.5g}") if isinstance(value, float) else value


def _families(digests: Sequence[StepDigest]) -> list[Json]:
    sums: dict[tuple[str, str], tuple[Share, Share]] = {}
    for digest in digests:
        for key, shares in digest.looks.items():
            for total, share in zip(sums.setdefault(key, (Share(), Share())), shares):
                total.right += share.right
                total.count += share.count
    return [
        {"family": family, "level": level, "with": [w.right, w.count], "without": [o.right, o.count]}
        for (family, level), (w, o) in sorted(sums.items())
    ]


def _words(digests: Sequence[StepDigest]) -> Json:
    total: Counter[str] = Counter()
    for digest in digests:
        total.update(digest.words)
    words = [word for word, _ in total.most_common(8)]
    return {
        "steps": [digest.step for digest in digests],
        "responses": [digest.responses for digest in digests],
        "counts": {word: [digest.words.get(word, 0) for digest in digests] for word in words},
    }


def _met_again(groups: Sequence[GroupDigest]) -> Json:
    met: dict[str, list[list[int]]] = {}
    for group in groups:
        met.setdefault(group.problem_id, []).append([group.step, group.right, group.size])
    return {problem: times for problem, times in met.items() if len(times) > 1}
