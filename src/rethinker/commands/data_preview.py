"""`rethinker data preview`: a page of problems to look through."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from rethinker.commands.data_files import check_writable, files_of, named, opened, threads, written
from rethinker.commands.row_progress import RowProgress
from rethinker.data.preview import page, spread
from rethinker.errors import ConfigError


def preview_file(
    file: str, *, to: Path, images: Path | None, columns: Sequence[str], rows: int, workers: int | None
) -> None:
    """Write the page.

    Raises:
        DatasetError: the file cannot be read, or the page not written.
    """
    if rows < 1:
        raise ConfigError(f"--rows={rows} shows nothing; give 1 or more")
    check_writable(to, reads=files_of(file))
    source = opened(file, images=images, columns=named(columns, file))
    chosen = spread(len(source), rows)
    title = "/".join(Path(file).resolve().parts[-2:])
    with RowProgress("drawing rows", len(chosen)) as progress:
        text = page(source, chosen, title=title, workers=threads(workers), advance=progress.advance)
    with written(to) as out:
        out.write(text.encode("utf-8", "xmlcharrefreplace"))  # a bad row may hold half a surrogate pair
    Console().print(f"wrote {to}", highlight=False, soft_wrap=True, markup=False)
