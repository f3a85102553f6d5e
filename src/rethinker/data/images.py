"""Image files to RGB pixels, with a bound on the area that is checked before anything is decoded.

Resizing is left out: that belongs to the model's own processor.
"""

from __future__ import annotations

import io
import posixpath
import warnings
from pathlib import Path
from typing import BinaryIO

import numpy as np
from PIL import Image as Pillow
from PIL import ImageOps, UnidentifiedImageError

from rethinker.errors import DataError
from rethinker.types import Image

WHITE = (255, 255, 255)


def load_image(path: Path, *, max_pixels: int) -> Image:
    """Read one image file as RGB, upright, transparency on white.

    Args:
        path: The file.
        max_pixels: Largest width times height; a larger image is refused from its header alone.

    Raises:
        DataError: the file is missing, unreadable, truncated or too large.
    """
    try:
        with path.open("rb") as file:
            return _decode(file, max_pixels=max_pixels, name=str(path))
    except OSError as error:
        raise DataError(f"image {path} cannot be opened: {error.strerror or error}") from error


def decode_image(data: bytes, *, max_pixels: int, name: str) -> Image:
    """Decode the bytes of one image file, as `load_image` does; errors call it `name`.

    Raises:
        DataError: the bytes are no image, or are truncated, or the image is too large.
    """
    return _decode(io.BytesIO(data), max_pixels=max_pixels, name=name)


def image_path(folder: Path, name: str) -> Path:
    """The file that a row names, which must lie in the data set's folder.

    Raises:
        DataError: `name` is empty or absolute, or climbs out of `folder`.
    """
    normal = posixpath.normpath(name.replace("\\", "/")) if name else ""
    if not normal or "\0" in normal or Path(normal).is_absolute() or normal.split("/")[0] == "..":
        raise DataError(f"image path {name!r} does not lie in {folder}; name a file inside it, relative to it")
    return folder / normal


def _decode(file: BinaryIO, *, max_pixels: int, name: str) -> Image:
    try:
        with warnings.catch_warnings():
            # Pillow's own bound is replaced by ours, which is lower or chosen by the user.
            warnings.simplefilter("ignore", Pillow.DecompressionBombWarning)
            picture = Pillow.open(file)
        width, height = picture.size
        if width * height > max_pixels:
            raise DataError(
                f"image {name} has {width} x {height} pixels, more than the {max_pixels} allowed; "
                "shrink it or raise data.max_image_pixels"
            )
        return Image(pixels=np.asarray(_rgb(ImageOps.exif_transpose(picture))))
    except DataError:
        raise
    except Pillow.DecompressionBombError as error:
        raise DataError(f"image {name} is too large to decode: {error}") from error
    except UnidentifiedImageError as error:
        raise DataError(f"image {name} is in no known image format") from error
    except Exception as error:
        # Damaged bytes make Pillow's many decoders raise nearly anything; whatever it is, the row is at fault.
        raise DataError(f"image {name} is damaged or truncated: {error}") from error


def _rgb(picture: Pillow.Image) -> Pillow.Image:
    """Convert any mode to RGB."""
    if picture.mode.startswith("I"):  # 16 bits per pixel, which Pillow would clip at 255
        return Pillow.fromarray((np.asarray(picture).clip(0, 65535) >> 8).astype(np.uint8)).convert("RGB")
    if not picture.has_transparency_data:
        return picture.convert("RGB")
    pasted = picture.convert("RGBA")
    white = Pillow.new("RGBA", pasted.size, (*WHITE, 255))
    return Pillow.alpha_composite(white, pasted).convert("RGB")
