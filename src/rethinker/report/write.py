"""Reports as files: one page, or a folder with every response."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from rethinker.errors import RunFolderError
from rethinker.report.digest import GroupDigest
from rethinker.report.document import PAGE_BYTES, ROLLOUT_BYTES, ablation_in, document, sample_of
from rethinker.report.page import page
from rethinker.report.reading import RunReader
from rethinker.report.sample import page_bytes
from rethinker.report.shown import image_bytes
from rethinker.runs.files import new_folder, write_atomically

PART_BYTES = 12_000_000
"""About what the responses on one page of a folder take."""


def write_report(folder: Path) -> Path:
    """Write `<folder>/report.html`, the page of one run.

    Raises:
        RunFolderError: a file of the run is damaged, or the page cannot be written.
    """
    path = folder / "report.html"
    write_page([folder], path)
    return path


def write_page(folders: Sequence[Path], path: Path) -> None:
    """Write one page of runs side by side.

    Args:
        folders: Of runs, or of an ablation, which stands for its runs.

    Raises:
        RunFolderError: one holds no run or a damaged file, or the page cannot be written.
    """
    write_atomically(path, _page(*_opened(folders)), flush=False)


def write_folder(folders: Sequence[Path], to: Path) -> None:
    """Write the page as `index.html` of a new folder, and beside it pages that hold every response.

    Raises:
        RunFolderError: as `write_page`, or the folder is not empty.
    """
    runs, ablation = _opened(folders)
    with new_folder(to, parents=True) as aside:
        parts = []
        for number, run in enumerate(runs, start=1):
            for part, groups in enumerate(_parts(run), start=1):
                name = f"run-{number}-part-{part}.html"
                title = f"{run.name}: steps {groups[0].step} to {groups[-1].step}"
                shown = {"name": run.name, "config": run.config, "rollouts": sample_of(run, groups, run.groups)}
                text = page({"runs": [shown], "ablation": None, "index": "index.html"}, title=title, charts=False)
                (aside / name).write_text(text, encoding="utf-8")
                parts.append({"file": name, "title": title, "responses": sum(group.size for group in groups)})
        (aside / "index.html").write_text(_page(runs, ablation, parts), encoding="utf-8")


def _opened(folders: Sequence[Path]) -> tuple[list[RunReader], dict[str, object] | None]:
    runs: list[RunReader] = []
    ablation = None
    for folder in folders:
        if not folder.is_dir():
            raise RunFolderError(f"there is no run folder {folder}; give the folder that `rethinker train` printed")
        found = ablation_in(folder)
        if found:
            ablation = found[0]
        runs += [RunReader(each) for each in (found[1] if found else [folder])]
    if not runs:
        raise RunFolderError(f"{folders[0]} holds an ablation, but none of its runs; give the runs too")
    for run in runs:
        run.refresh()
    return runs, ablation


def _page(runs: Sequence[RunReader], ablation: dict[str, object] | None, parts: Sequence[object] = ()) -> str:
    """The page, with fewer responses than usual where it would grow too large."""
    title = runs[0].name if len(runs) == 1 else f"{len(runs)} runs"
    budget = ROLLOUT_BYTES
    while True:
        content = document(runs, ablation=ablation, rollout_bytes=budget) | {"parts": list(parts)}
        text = page(content, title=title)
        if len(text.encode()) < PAGE_BYTES or budget < 100_000:
            return text
        budget //= 2


def _parts(run: RunReader) -> Iterator[list[GroupDigest]]:
    """All groups, cut where a page would grow too large."""
    images = run.folder / "rollouts" / "images"
    part: list[GroupDigest] = []
    seen: set[str] = set()
    size = 0
    for group in run.groups:
        fresh = set(group.image_ids) - seen
        cost = page_bytes(group) + sum(image_bytes(images, each) for each in fresh)
        if part and size + cost > PART_BYTES:
            yield part
            part, seen, size = [], set(), 0
        part.append(group)
        seen |= set(group.image_ids)
        size += cost
    if part:
        yield part
