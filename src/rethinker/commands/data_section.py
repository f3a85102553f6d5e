"""A data file opened as the `data` section of a command's settings says, where that section is about this file."""

from __future__ import annotations

from collections.abc import Sequence
from os.path import expanduser
from pathlib import Path

from rich.console import Console

from rethinker.commands.data_files import named, opened
from rethinker.data.columns import USUAL
from rethinker.data.rows import RowSource
from rethinker.data_config import (
    DataConfig,
    GymDataConfig,
    JsonlDataConfig,
    LogicVistaDataConfig,
    MixtureDataConfig,
    ParquetDataConfig,
)


def opened_by(data: DataConfig, file: str, *, images: Path | None, columns: Sequence[str]) -> RowSource:
    """The problems of a data file; options come before the section's images, columns and largest image.

    A section about another file is not used, which is said: a recipe may be given for the sake of its prompt.

    Raises:
        RethinkerError: as `opened` and `named`.
    """
    sections = [part.data for part in data.parts] if isinstance(data, MixtureDataConfig) else [data]
    files = [section for section in sections if not isinstance(section, GymDataConfig)]
    own = next((section for section in files if _path(section.path).resolve() == Path(file).resolve()), None)
    if own is None:
        if files:
            others = ", ".join(section.path for section in files)
            note = f"the data section of --config is about {others}, not {file}, and is not used"
            Console(stderr=True).print(note, highlight=False, soft_wrap=True, markup=False)
        return opened(file, images=images, columns=named(columns, file))
    usual = USUAL.named(**own.columns.model_dump()) if isinstance(own, JsonlDataConfig | ParquetDataConfig) else USUAL
    folder = "" if isinstance(own, LogicVistaDataConfig) else own.images
    return opened(
        file,
        images=images or (_path(folder) if folder else None),
        columns=named(columns, file, usual=usual),
        max_pixels=own.max_image_pixels,
    )


def _path(written: str) -> Path:
    return Path(expanduser(written))
