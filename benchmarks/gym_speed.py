"""How many gym problems a second one core draws, family by family.

    python benchmarks/gym_speed.py [--json OUT] [--quick]

Every level is timed in processor seconds of this process, which a busy machine disturbs less than the clock on the
wall does, in rounds taken in turn over all levels; the best round counts. A family's figure is that of its slowest
level. `target` is 500 problems a second. The yardstick stands beside them, to compare machines and hours by.
"""

from __future__ import annotations

import argparse
import json
import time
from dataclasses import asdict
from pathlib import Path

import machine
import yardstick
from rethinker.data.gym.catalogue import FAMILIES, GymId, Split, problem

TARGET = 500.0


def rate(family: str, level: int, split: Split, problems: int, start: int) -> float:
    """Problems per processor second."""
    began = time.process_time()
    for index in range(start, start + problems):
        problem(GymId(family=family, level=level, split=split, index=index))
    return problems / (time.process_time() - began)


def measure(*, rounds: int, problems: int) -> dict[str, object]:
    """Rates of every level, the slowest of each family, and what they were measured on."""
    levels = [(name, level) for name, family in FAMILIES.items() for level in range(1, family.levels + 1)]
    best = {f"{name}-{level}": 0.0 for name, level in levels}
    best_held_out = dict(best)
    for number in range(rounds):
        for name, level in levels:
            place, start = f"{name}-{level}", number * problems
            best[place] = max(best[place], rate(name, level, "train", problems, start))
            best_held_out[place] = max(best_held_out[place], rate(name, level, "test", problems // 5, start))
    slowest = {name: min(best[f"{name}-{level}"] for n, level in levels if n == name) for name in FAMILIES}
    return {
        "target": TARGET,
        "slowest_family": min(slowest, key=lambda name: slowest[name]),
        "families": {name: round(value) for name, value in slowest.items()},
        "levels": {name: round(value) for name, value in best.items()},
        "levels_held_out": {name: round(value) for name, value in best_held_out.items()},
        "yardstick": asdict(yardstick.measure(threads=1)),
        "machine": machine.record(),
    }


def main() -> None:
    """Measure, print, and write JSON where asked."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", type=Path, metavar="OUT", help="also write the figures there")
    parser.add_argument("--quick", action="store_true", help="few problems, rough figures")
    arguments = parser.parse_args()
    figures = measure(rounds=2, problems=40) if arguments.quick else measure(rounds=5, problems=150)
    print(json.dumps(figures, indent=2))
    if arguments.json:
        arguments.json.write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
