"""How fast rows become problems, in how much memory, and what preprocessing once per problem saves.

    python benchmarks/data_speed.py [--json OUT] [--rows 39000]

Synthetic rows in ViRL39K's schema are written to a temporary folder: a parquet file beside JPEGs 600 pixels wide. The
rows differ, the image files do not: `IMAGE_FILES` of them serve all rows in turn, so they come from the system's file
cache, and nothing of ours remembers them. Three measurements, each in a process of its own:

- lengths: the prompt's length of every row from its image's header, with the embedded model's Qwen2.5-VL processor;
- check: what `rethinker data check` does: decode every image, verify every answer against itself;
- preprocessing: pixels and ids made once per problem and used by G rollouts, against made once per rollout.

The first two go over all rows `EPOCHS` times; memory is the whole process tree's, the peak of each epoch. Targets are
the issue's: 3,000 and 300 rows a second on two cores, 1 GB and flat, 6 times less time.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch
from PIL import Image

import machine
import yardstick
from rethinker.data.checking import check
from rethinker.data.parquet import ParquetSource
from rethinker.interfaces import ProblemSource
from rethinker.models.loading import load
from rethinker.rewards.pool import VerifierPool
from rethinker.runs.memory import PeakMemory
from rethinker.types import Problem

IMAGE_FILES = 300
EPOCHS = 5
GROUP = 8
PREPROCESSED = 200
"""Problems of the third measurement."""
CHUNK = 50
"""Rows whose headers are read before their prompts are measured: taking turns row by row costs a quarter more."""
WORKERS = 2
"""Threads of the check."""
TARGETS = {"lengths_rows_per_s": 3000.0, "check_rows_per_s": 300.0, "memory_bytes": 1e9, "preprocessing_ratio": 6.0}


@dataclass(frozen=True, slots=True, kw_only=True)
class Epoch:
    """One pass over all rows.

    Attributes:
        processor_s: Seconds of processor time of this process, which a busy machine disturbs less.
        peak_bytes: Most memory of the process tree while it lasted.
    """

    rows_per_s: float
    processor_s: float
    peak_bytes: int


def write_rows(folder: Path, rows: int) -> Path:
    """A parquet file in ViRL39K's schema and its images."""
    rng = np.random.default_rng(0)
    (folder / "images").mkdir()
    for number in range(IMAGE_FILES):
        shapes = rng.integers(0, 256, (int(rng.integers(20, 50)), 40, 3), dtype=np.uint8)
        height = int(rng.integers(300, 601))
        picture = Image.fromarray(shapes).resize((600, height), Image.Resampling.BICUBIC)
        picture.save(folder / "images" / f"{number}.jpg", quality=90)
    columns: dict[str, list[object]] = {
        "qid": [f"made-{row}" for row in range(rows)],
        "question": [
            f"<image>\nIn the figure, the side AB is {row} long and the angle at A is 30 degrees. How long is AC?"
            for row in range(rows)
        ],
        "answer": [f"\\boxed{{{row}}}" for row in range(rows)],
        "PassRate_32BTrained": [row % 9 / 8 for row in range(rows)],
        "PassRate_7BBase": [row % 8 / 8 for row in range(rows)],
        "category": ["(GradeSchool) Geometric"] * rows,
        "source": ["made"] * rows,
        "image": [[f"images/{row % IMAGE_FILES}.jpg"] for row in range(rows)],
    }
    pq.write_table(pa.table(columns), folder / "rows.parquet", row_group_size=5000)
    return folder / "rows.parquet"


def soak(work: Callable[[], object], rows: int) -> list[Epoch]:
    """Do the work over and over."""
    epochs = []
    for _ in range(EPOCHS):
        with PeakMemory(interval=0.1) as memory:
            began, used = time.perf_counter(), time.process_time()
            work()
            seconds, processor = time.perf_counter() - began, time.process_time() - used
        epochs.append(Epoch(rows_per_s=rows / seconds, processor_s=processor, peak_bytes=memory.peak_bytes))
    return epochs


def lengths(source: ProblemSource) -> dict[str, object]:
    """Measure every row's prompt, no pixel decoded; in one thread, as headers and templates keep Python's lock."""
    vlm = load("tiny", device="cpu")

    def epoch() -> None:
        for start in range(0, len(source), CHUNK):
            outlines = [source.outline(row) for row in range(start, min(start + CHUNK, len(source)))]
            assert min(vlm.prompt_length(outline, "plain") for outline in outlines) > 0

    return {"epochs": [asdict(each) for each in soak(epoch, len(source))]}


def checked(source: ParquetSource) -> dict[str, object]:
    """Check every row."""
    # A worker that a busy machine starves for seconds is no bad row.
    with VerifierPool(workers=1, timeout_seconds=60.0, memory_bytes=1_000_000_000) as scorer:

        def epoch() -> None:
            report = check(source, workers=WORKERS, scorer=scorer)
            assert not report.findings, report.findings[:3]

        return {"epochs": [asdict(each) for each in soak(epoch, len(source))]}


def preprocessing(source: ProblemSource) -> dict[str, object]:
    """Processor seconds to prepare G rollouts of some problems, both ways in turns; decoding is not counted.

    Pixels are asked for twice, as the engine does to read a prompt and the learner for its forward.
    """
    torch.set_num_threads(1)
    vlm = load("tiny", device="cpu")

    def prepare(problem: Problem) -> float:
        began = time.process_time()
        prompt = vlm.encode(problem, "plain")
        vlm.vision([prompt])
        vlm.vision([prompt])
        return time.process_time() - began

    problems = [source[row] for row in range(min(PREPROCESSED, len(source)))]
    prepare(problems[0])
    once = each = 0.0
    for problem in problems:
        once += prepare(problem)
        each += sum(prepare(problem) for _ in range(GROUP))
    return {"once_per_problem_s": once, "once_per_rollout_s": each, "ratio": each / once, "group": GROUP}


ARMS: dict[str, Callable[[ParquetSource], dict[str, object]]] = {
    "lengths": lengths,
    "check": checked,
    "preprocessing": preprocessing,
}


def in_a_process(arm: str, file: Path) -> dict[str, object]:
    """Run one measurement by itself."""
    done = subprocess.run(
        [sys.executable, __file__, "--arm", arm, "--file", str(file)], stdout=subprocess.PIPE, text=True, check=True
    )
    found: dict[str, object] = json.loads(done.stdout.splitlines()[-1])
    return found


def measure(rows: int) -> dict[str, object]:
    """All three, with what they were measured on."""
    with tempfile.TemporaryDirectory() as folder:
        file = write_rows(Path(folder), rows)
        found = {arm: in_a_process(arm, file) for arm in ARMS}
    rates = {
        arm: statistics.median(epoch["rows_per_s"] for epoch in found[arm]["epochs"]) for arm in ("lengths", "check")
    }
    peaks = [epoch["peak_bytes"] for arm in ("lengths", "check") for epoch in found[arm]["epochs"]]
    reached = {
        "lengths_rows_per_s": round(rates["lengths"]),
        "check_rows_per_s": round(rates["check"]),
        "memory_bytes": max(peaks),
        "preprocessing_ratio": round(found["preprocessing"]["ratio"], 2),
    }
    return {
        "rows": rows,
        "image_files": IMAGE_FILES,
        "note": f"rows are distinct, images are not: {IMAGE_FILES} JPEG files serve all rows",
        "targets": TARGETS,
        "reached": reached,
        **found,
        "yardstick": asdict(yardstick.measure()),
        "machine": machine.record(),
    }


def main() -> None:
    """Measure, print, and write JSON where asked."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", type=Path, metavar="OUT", help="also write the figures there")
    parser.add_argument("--rows", type=int, default=39_000, help="rows of the data set")
    parser.add_argument("--arm", choices=tuple(ARMS), help=argparse.SUPPRESS)
    parser.add_argument("--file", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.arm:
        print(json.dumps(ARMS[arguments.arm](ParquetSource([arguments.file]))))
        return
    figures = json.dumps(measure(arguments.rows), indent=2)
    print(figures)
    if arguments.json:
        arguments.json.write_text(figures + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
