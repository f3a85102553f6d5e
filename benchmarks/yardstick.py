"""A yardstick for absolute figures on a CPU: how fast this machine is, now, at two fixed pieces of work.

    python benchmarks/yardstick.py [--threads N] [--json OUT]

One is the product of two 512 × 512 float32 matrices in torch, the other a loop in plain Python. Shared machines differ
several-fold from hour to hour; seconds measured beside a yardstick can be compared once both are divided by it.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

import torch

import machine

SIZE = 512
PRODUCTS = 20
LOOP = 200_000
REPEATS = 15
MOMENT = 3
"""Products of a moment, which take about as long as its loop."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Yardstick:
    """Median seconds of one matrix product and of one run of the loop."""

    matmul_s: float
    python_s: float

    @property
    def gflops(self) -> float:
        """Rate of the matrix product."""
        return 2 * SIZE**3 / self.matmul_s / 1e9


def measure(*, threads: int | None = None, repeats: int = REPEATS) -> Yardstick:
    """Time both, after one run each that is not counted.

    Args:
        threads: Threads of torch while measuring; None leaves them as they are.
    """
    before = torch.get_num_threads()
    torch.set_num_threads(threads or before)
    matrix = torch.linspace(-1, 1, SIZE * SIZE).view(SIZE, SIZE)

    def products() -> None:
        for _ in range(PRODUCTS):
            torch.mm(matrix, matrix)

    try:
        return Yardstick(matmul_s=_median(products, repeats) / PRODUCTS, python_s=_median(_loop, repeats))
    finally:
        torch.set_num_threads(before)


def moment() -> float:
    """Processor seconds of this thread, now, for the loop and a few products together: some 15 ms of work."""
    matrix = torch.linspace(-1, 1, SIZE * SIZE).view(SIZE, SIZE)
    began = time.thread_time()
    _loop()
    for _ in range(MOMENT):
        torch.mm(matrix, matrix)
    return time.thread_time() - began


def matrix_rate(
    shapes: Sequence[tuple[int, int, int]], *, device: str = "cpu", dtype: torch.dtype = torch.float32, repeats: int = 5
) -> float:
    """Operations a second of matrix products, those of each shape in proportion to their work.

    Args:
        shapes: (rows, inner, columns) of each product.
    """
    seconds = operations = 0.0
    for rows, inner, columns in shapes:
        left = torch.ones(rows, inner, device=device, dtype=dtype)
        right = torch.ones(inner, columns, device=device, dtype=dtype)
        seconds += _median(partial(_product, left, right), repeats)
        operations += 2 * rows * inner * columns
    return operations / seconds


def _product(left: torch.Tensor, right: torch.Tensor) -> None:
    torch.mm(left, right)
    if left.is_cuda:
        torch.cuda.synchronize()


def _loop() -> int:
    total = 0
    for number in range(LOOP):
        total = (total * 31 + number) % 1_000_003
    return total


def _median(work: Callable[[], object], repeats: int) -> float:
    seconds = []
    for _ in range(repeats + 1):
        start = time.perf_counter()
        work()
        seconds.append(time.perf_counter() - start)
    return statistics.median(seconds[1:])


def main() -> None:
    """Measure, print, and write if asked."""
    parser = argparse.ArgumentParser(description="Measure how fast this machine is at two fixed pieces of work.")
    parser.add_argument("--threads", type=int)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    found = measure(threads=arguments.threads)
    print(
        f"matrix product {1e3 * found.matmul_s:.2f} ms ({found.gflops:.0f} GFLOP/s), loop {1e3 * found.python_s:.2f} ms"
    )
    if arguments.json:
        report = {"machine": machine.record(), "yardstick": asdict(found)}
        arguments.json.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
