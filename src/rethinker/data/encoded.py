"""An image before it is decoded: a file in the data folder, or bytes that came with the row.

What a row says about its images is checked here: nothing outside the data folder is opened, and nothing is fetched.
"""

from __future__ import annotations

import base64
import binascii
import io
import os
import posixpath
import re
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import BinaryIO

from rethinker.errors import ColumnError, ImageError

URL = re.compile(r"[a-z][a-z0-9+.-]*://|(data|file):", re.IGNORECASE)
DATA_URI = re.compile(r"data:image/[\w.+-]+(;[^,;]*)*;base64,", re.IGNORECASE)
BASE64_STARTS = ("iVBORw0KGgo", "/9j/", "R0lGOD", "UklGR", "Qk0", "Qk1", "Qk2", "Qk3", "SUkq", "TU0A")
"""How PNG, JPEG, GIF, WebP, BMP and TIFF begin in base64."""
BASE64_LEAST = 64
"""No image file is shorter in base64; a shorter text is a path."""


HALF_PAIR = re.compile("[\ud800-\udfff]")
"""JSON can escape one; UTF-8, and so every file name and tokenizer behind it, has no place for it."""


@dataclass(frozen=True, slots=True)
class ImageFile:
    """A file, opened when needed."""

    path: Path

    @property
    def name(self) -> str:
        """For messages."""
        return str(self.path)

    def open(self) -> BinaryIO:
        """The file's bytes.

        Raises:
            ImageError: there is no such file, or it cannot be read.
        """
        try:
            if not os.path.isfile(self.path):  # a pipe or device would block or never end
                raise ImageError(f"image {self.path} cannot be opened: there is no such file")
            return self.path.open("rb")
        except OSError as error:
            raise ImageError(f"image {self.path} cannot be opened: {error.strerror or error}") from error


@dataclass(frozen=True, slots=True)
class ImageBytes:
    """The bytes of an image file, from the row itself.

    Attributes:
        name: For messages.
    """

    data: bytes
    name: str

    def open(self) -> BinaryIO:
        """The bytes."""
        return io.BytesIO(self.data)


EncodedImage = ImageFile | ImageBytes


def encoded_images(value: object, *, folder: Path, column: str) -> tuple[EncodedImage, ...]:
    """What a row holds for its images: one, a list, or nothing; null and empty text stand for no image.

    One image is a path relative to `folder`, base64 (plain, or a `data:` URI), the file's bytes, or
    `{"bytes": …, "path": …}` as Hugging Face's image feature stores it.

    Raises:
        DataError: it is none of these, or a path that names a URL or leaves `folder`.
    """
    if not isinstance(value, list):
        return () if value is None or value == "" else (_encoded_image(value, folder, column),)
    named = ((f"{column}[{place}]", each) for place, each in enumerate(value) if each is not None and each != "")
    return tuple(_encoded_image(each, folder, name) for name, each in named)


def _encoded_image(value: object, folder: Path, name: str) -> EncodedImage:
    if isinstance(value, dict) and {"bytes", "path"} >= set(value):
        value = value.get("bytes") or value.get("path")
    if isinstance(value, bytes):
        return ImageBytes(value, f"in column {name!r}")
    if not isinstance(value, str):
        raise ColumnError(
            f"expected an image (a path, base64, bytes or {{bytes, path}}), got {type(value).__name__}", name
        )
    if (data := _from_base64(value, name)) is not None:
        return ImageBytes(data, f"in column {name!r}")
    return ImageFile(image_path(folder, value))


def _from_base64(text: str, name: str) -> bytes | None:
    """The bytes of base64 text, None where the text is a path."""
    uri = DATA_URI.match(text)
    if not uri and not (len(text) >= BASE64_LEAST and text.startswith(BASE64_STARTS)):
        return None
    try:
        return base64.b64decode("".join(text[uri.end() if uri else 0 :].split()), validate=True)
    except binascii.Error as error:
        if uri:
            raise ColumnError(f"the data: URI is not valid base64: {error}", name) from error
        return None


def image_path(folder: Path, name: str) -> Path:
    """The file that a row names, which must lie in the data set's folder, links followed.

    Raises:
        ImageError: `name` is empty, absolute or a URL, or climbs out of `folder`, by itself or by a link.
    """
    if URL.match(name):
        raise ImageError(
            f"image {name[:200]!r} is a URL; nothing is fetched: download it into {folder} and name the file"
        )
    normal = posixpath.normpath(name.replace("\\", "/"))
    if (
        normal == "."
        or "\0" in normal
        or HALF_PAIR.search(normal)
        or normal.startswith("/")
        or normal.split("/")[0] == ".."
    ):
        raise ImageError(f"image path {name[:200]!r} does not lie in {folder}; name a file inside it, relative to it")
    path = os.path.join(folder, normal)
    parent, base = os.path.split(path)
    real = os.path.realpath(path) if os.path.islink(path) else os.path.join(_real(parent), base)
    if not real.startswith(os.path.join(_real(str(folder)), "")):
        raise ImageError(f"image path {name!r} is a link to {real}, outside {folder}; put the file itself there")
    return Path(path)


@lru_cache(maxsize=1024)
def _real(folder: str) -> str:
    """A folder with its links followed; a data set has few folders and many files."""
    return os.path.realpath(folder)
