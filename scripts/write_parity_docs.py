"""Write docs/parity.md: our verdicts beside the official ones, on every file of real predictions at hand.

`python -m scripts.write_parity_docs`, where the given predictions lie; `tests/evaluation/test_parity.py` compares.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import groupby
from pathlib import Path

from scripts.parity import Comparison, GivenFile, compare, megabench
from scripts.parity.catalogue import GIVEN

from rethinker.cores import usable_cores
from rethinker.evaluation.scoring import RowScorer

PAGE = Path(__file__).parents[1] / "docs" / "parity.md"

HEAD = """# Parity with the official scorers

Real predictions, scored here and by the benchmarks' own code. A row is equal when the verdict is, and the answer found
in it too wherever the official code says which it found. Cells are the official breakdowns; *published* is the total
that the authors report. Written by `scripts/write_parity_docs.py`; `tests/evaluation/test_parity.py` checks every row.
"""

TABLE = """
| predictions | rows | equal | correct | cells equal | published correct | published cells equal |
|---|--:|--:|--:|--:|--:|--:|
"""


MEGABENCH = """
## megabench

The authors publish no responses to the tasks that rules score, only what came of them: the vectors' official results
were made with their code, from answers right, wrong and odd. Not in them, and in no score here: the 18
`constrained_generation` tasks where NLTK's corpora are not installed, and without `--run-code` the 8 programming tasks.

| compared | of them | equal |
|---|--:|--:|
"""


def main() -> None:
    """Compare every file and write the page."""
    sections = [*map(section, GIVEN), MEGABENCH, *map(megabench.line, megabench.parts())]
    PAGE.write_text("".join([HEAD, *sections]), encoding="utf-8")


def section(benchmark: str) -> str:
    """One benchmark's table and its departures."""
    files = GIVEN[benchmark]()
    rows = [row(file, found) for file, found in compared(files)]
    left_out = [line for file in files for line in departures(file)]
    notes = [
        "\nRows whose published verdict is not the official code's, put in before published cells are compared:\n\n"
    ]
    return "".join([f"\n## {benchmark}\n", TABLE, *rows, *(notes + left_out if left_out else [])])


def compared(files: list[GivenFile]) -> Iterator[tuple[GivenFile, Comparison]]:
    """Files and comparisons, with one set of workers for a rule."""
    for rule, group in groupby(files, key=lambda file: file.rule):
        with RowScorer(rule, workers=usable_cores()) as scorer:
            yield from ((file, compare(file, scorer)) for file in group)


def row(file: GivenFile, found: Comparison) -> str:
    """One file's line of the table."""
    published = "–" if found.published is None else f"{found.published:,}"
    published_cells = f"{found.published_cells - len(found.differing_published):,} of {found.published_cells:,}"
    cells = f"{found.cells - len(found.differing_cells):,} of {found.cells:,}"
    return (
        f"| {file.name} | {found.rows:,} | {found.rows - len(found.differing):,} | {found.correct:,} | {cells} "
        f"| {published} | {published_cells if found.published_cells else '–'} |\n"
    )


def departures(file: GivenFile) -> list[str]:
    """One line per reason."""
    reasons: dict[str, list[str]] = {}
    for name, (_, reason) in file.departures.items():
        reasons.setdefault(reason, []).append(name)
    return [f"- {file.name}, {', '.join(names)}: {reason}.\n" for reason, names in reasons.items()]


if __name__ == "__main__":
    main()
