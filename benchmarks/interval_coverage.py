"""How often 95 % intervals hold the truth, by simulation: `python -m benchmarks.interval_coverage` writes the table.

Wilson's of an accuracy, and the paired one of a difference between two models that answer the same questions: a
bootstrap, or a score interval where few questions flip.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from rethinker.evaluation.paired import difference_interval
from rethinker.runs.intervals import wilson

TARGET = Path(__file__).parents[1] / "docs" / "results" / "interval_coverage.md"


def wilson_coverage(share: float, questions: int, *, trials: int) -> float:
    """How often Wilson's interval of simulated questions holds the true share."""
    drawn = np.random.default_rng([questions, int(1000 * share)]).binomial(questions, share, trials)
    values, counts = np.unique(drawn, return_counts=True)
    held = [low <= share <= high for low, high in (wilson(int(value), questions) for value in values)]
    return float(counts @ np.array(held) / trials)


def difference_coverage(questions: int, lost: float, won: float, *, trials: int, resamples: int) -> float:
    """How often the paired interval holds the true difference.

    Args:
        lost: Chance that only the first model is right on a question; `won` that only the second is.
    """
    rng = np.random.default_rng([questions, int(1000 * lost), int(1000 * won)])
    weights = np.ones(questions)
    held = 0
    for trial in range(trials):
        differences = rng.choice([-1.0, 0.0, 1.0], questions, p=[lost, 1 - lost - won, won])
        low, high = difference_interval(differences, weights, seed=trial, key="coverage", resamples=resamples)
        held += low <= won - lost <= high
    return held / trials


def main() -> None:
    """Write both tables."""
    lines = ["# Coverage of the 95 % intervals", "", "By simulation: `python -m benchmarks.interval_coverage`.", ""]
    lines += ["## Wilson, of an accuracy", "", "| questions | true share | covers |", "|---|---|---|"]
    for questions in (100, 300, 1000, 3000):
        for share in (0.1, 0.3, 0.5, 0.75):
            lines.append(f"| {questions:,} | {share:.0%} | {wilson_coverage(share, questions, trials=20_000):.1%} |")
    lines += ["", "## Paired, of a difference", ""]
    lines += ["| questions | right → wrong | wrong → right | covers |", "|---|---|---|---|"]
    for questions in (100, 300, 1000, 3000):
        for lost, won in ((0.0, 0.02), (0.01, 0.01), (0.01, 0.03), (0.05, 0.05), (0.08, 0.12), (0.1, 0.2)):
            covered = difference_coverage(questions, lost, won, trials=4000, resamples=2000)
            lines.append(f"| {questions:,} | {lost:.0%} | {won:.0%} | {covered:.1%} |")
    TARGET.write_text("\n".join([*lines, ""]), encoding="utf-8")


if __name__ == "__main__":
    main()
