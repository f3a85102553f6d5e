"""An image before it is decoded: a file in the data folder, or bytes that came with the row.

What a row says about its images is checked here: nothing outside the data folder is opened, and nothing is fetched.
"""

from __future__ import annotations

import base64
import binascii
import errno
import io
import os
import posixpath
import re
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import BinaryIO

from rethinker.errors import ColumnError, DatasetError, ImageError

URL = re.compile(r"[a-z][a-z0-9+.-]*://|(data|file):", re.IGNORECASE)
DATA_URI = re.compile(r"data:image/[\w.+-]+(;[^,;]*)*;base64,", re.IGNORECASE)
BASE64_STARTS = ("iVBORw0KGgo", "/9j/", "R0lGOD", "UklGR", "Qk0", "Qk1", "Qk2", "Qk3", "SUkq", "TU0A")
"""How PNG, JPEG, GIF, WebP, BMP and TIFF begin in base64."""
BASE64_LEAST = 64
"""No image file is shorter in base64; a shorter text is a path."""
PATH_MOST = 4096
"""No path is longer (Linux); a longer text is base64."""
SHOWN = 200
"""Characters of a name in a message; base64 may have millions."""

HALF_PAIR = re.compile("[\ud800-\udfff]")
"""JSON can escape one; UTF-8, and so every file name and tokenizer behind it, has no place for it."""


@dataclass(frozen=True, slots=True)
class ImageFile:
    """A file, opened when needed.

    Attributes:
        column: Where the row names it, for messages.
    """

    path: Path
    column: str

    @property
    def name(self) -> str:
        """For messages."""
        return f"image {shown(str(self.path))}"

    def open(self) -> BinaryIO:
        """The file's bytes.

        Raises:
            ImageError: there is no such file, it is none (a folder, a pipe), or it cannot be read.
            DatasetError: the process has as many files open as it may, which is no fault of the row.
        """
        try:
            if not os.path.isfile(self.path):  # a pipe or device would block or never end
                reason = "it is not a file" if os.path.exists(self.path) else "there is no such file"
                raise ImageError(f"{self.name} cannot be opened: {reason}", self.column)
            return self.path.open("rb")
        except OSError as error:
            if error.errno in (errno.EMFILE, errno.ENFILE):
                raise DatasetError(
                    f"{self.name} cannot be opened: {error.strerror}; allow more (ulimit -n) or lower data.threads"
                ) from error
            raise ImageError(f"{self.name} cannot be opened: {error.strerror or error}", self.column) from error


@dataclass(frozen=True, slots=True)
class ImageBytes:
    """The bytes of an image file, from the row itself.

    Attributes:
        column: Where the row holds it, for messages.
    """

    data: bytes
    column: str

    @property
    def name(self) -> str:
        """For messages."""
        return "the image"

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
        return ImageBytes(value, name)
    if not isinstance(value, str):
        raise ColumnError(
            f"expected an image (a path, base64, bytes or {{bytes, path}}), got {type(value).__name__}", name
        )
    if (data := _from_base64(value, name)) is not None:
        return ImageBytes(data, name)
    return image_file(folder, value, column=name)


def _from_base64(text: str, name: str) -> bytes | None:
    """The bytes of base64 text, None where the text is a path."""
    uri = DATA_URI.match(text)
    if not uri and len(text) <= PATH_MOST and not (len(text) >= BASE64_LEAST and text.startswith(BASE64_STARTS)):
        return None
    try:
        return base64.b64decode("".join(text[uri.end() if uri else 0 :].split()), validate=True)
    except (binascii.Error, ValueError) as error:  # ValueError: signs beyond ASCII
        if not uri and len(text) <= PATH_MOST and "." in text:
            return None
        raise ImageError(f"{shown(text)!r} of {len(text)} characters is not valid base64: {error}", name) from error


def shown(text: str) -> str:
    """A text as messages have it: a long one without its middle."""
    return text if len(text) <= SHOWN else f"{text[: SHOWN // 2]}…{text[-SHOWN // 2 :]}"


def image_file(folder: Path, name: str, *, column: str) -> ImageFile:
    """The file that a row names, which must lie in the data set's folder, links followed.

    Raises:
        ImageError: `name` is empty, absolute or a URL, or climbs out of `folder`, by itself or by a link.
    """
    if URL.match(name):
        raise ImageError(
            f"image {shown(name)!r} is a URL; nothing is fetched: download it into {folder} and name the file", column
        )
    normal = posixpath.normpath(name.replace("\\", "/"))
    if (
        normal == "."
        or "\0" in normal
        or HALF_PAIR.search(normal)
        or normal.startswith("/")
        or normal.split("/")[0] == ".."
    ):
        raise ImageError(
            f"image path {shown(name)!r} does not lie in {folder}; name a file inside it, relative to it", column
        )
    path = os.path.join(folder, normal)
    parent, base = os.path.split(path)
    real = os.path.realpath(path) if os.path.islink(path) else os.path.join(_real(parent), base)
    if not real.startswith(os.path.join(_real(str(folder)), "")):
        raise ImageError(
            f"image path {shown(name)!r} is a link to {real}, outside {folder}; put the file itself there", column
        )
    return ImageFile(Path(path), column)


@lru_cache(maxsize=1024)
def _real(folder: str) -> str:
    """A folder with its links followed; a data set has few folders and many files."""
    return os.path.realpath(folder)
