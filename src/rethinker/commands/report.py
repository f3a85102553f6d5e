"""`rethinker report` and `rethinker watch`: a run as a page, once or live."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from rethinker.errors import ConfigError
from rethinker.report.watching import serve
from rethinker.report.write import write_folder, write_page


def report(folders: Sequence[Path], *, to: Path | None, everything: Path | None) -> None:
    """Write the page, or the folder with every response, and say where it lies.

    Raises:
        RunFolderError: a folder holds no run or a damaged file, or nothing can be written.
        ConfigError: where the page goes is not clear.
    """
    written = everything / "index.html" if everything else to or _beside(folders)
    if everything:
        write_folder(folders, everything)
    else:
        write_page(folders, written)
    Console().print(f"wrote {written}, {written.stat().st_size / 1e6:.1f} MB", highlight=False, soft_wrap=True)


def _beside(folders: Sequence[Path]) -> Path:
    if len(folders) > 1:
        raise ConfigError(f"{len(folders)} runs go on one page; say where with --to report.html")
    return folders[0] / "report.html"


def watch(folder: Path, *, host: str, port: int, token: str | None) -> None:
    """Serve a run's page until Ctrl-C.

    Raises:
        ConfigError: the address is not this machine's own and there is no token, or it cannot be had.
        RunFolderError: the folder holds no run.
    """
    console = Console()

    def ready(url: str) -> None:
        console.print(f"watching {folder} at {url}\nCtrl-C ends it; the run goes on", highlight=False, soft_wrap=True)

    serve(folder, host=host, port=port, token=token, ready=ready)
