"""Where a question's images are: a file beside the questions, or a column of a parquet row. Decoded when asked for."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from rethinker.errors import ImageError

if TYPE_CHECKING:  # rules run in workers that never look at an image
    from rethinker.data.row_groups import RowGroups
    from rethinker.types import Image

GROUP_BYTES = 256_000_000
"""Most bytes of row groups held per file."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageRef:
    """One image.

    Attributes:
        file: The image's own file, or the parquet file that holds it.
        column: Where the row holds or names it.
        row: Its row in the parquet file; None for a file of its own.
        place: Its place in the column, when that is a list.
    """

    file: Path
    column: str
    row: int | None = None
    place: int = 0

    def decode(self, *, max_pixels: int = 50_000_000) -> Image:
        """The image itself.

        Raises:
            ImageError: it is missing, damaged, too large, or in no format read here.
        """
        from rethinker.data.encoded import ImageFile, encoded_images
        from rethinker.data.images import load_image

        if self.row is None:
            return load_image(ImageFile(self.file, self.column), max_pixels=max_pixels)
        value = _groups(self.file, self.column).fields(self.row)[self.column]
        stored = encoded_images(value, folder=self.file.parent, column=self.column)
        if self.place >= len(stored):
            raise ImageError(f"{self.file}, row {self.row} has no image {self.place}", self.column)
        return load_image(stored[self.place], max_pixels=max_pixels)


@lru_cache(maxsize=16)
def _groups(file: Path, column: str) -> RowGroups:
    """One column of a file; neighbouring rows share a row group."""
    from rethinker.data.row_groups import RowGroups

    return RowGroups([file], [column], memory_bytes=GROUP_BYTES)
