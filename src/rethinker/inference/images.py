"""Pictures that come with a question: files and bytes of anybody's, decoded within bounds."""

from __future__ import annotations

import base64
import binascii
from dataclasses import dataclass
from pathlib import Path

from rethinker.data.encoded import ImageBytes, ImageFile
from rethinker.data.images import load_image
from rethinker.errors import DataError, ImageError, OutOfMemoryError
from rethinker.inference.refused import Refused
from rethinker.inference.remote_images import fetched
from rethinker.types import Image

_HEAD = "data:"


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageBounds:
    """The most that one picture may be.

    Attributes:
        pixels: Width times height, judged from the header.
        encoded_bytes: Of the file.
        remote: Whether pictures are fetched from http addresses.
        fetch_seconds: For one of those, in all.
    """

    pixels: int = 16_000_000
    encoded_bytes: int = 20_000_000
    remote: bool = False
    fetch_seconds: float = 10.0


def from_address(address: str, bounds: ImageBounds) -> Image:
    """The picture at a `data:` address, or at an http one where that is allowed. Blocks.

    Raises:
        Refused: it is none, too large, its address is not allowed, or there is no memory for it.
    """
    if address[:5].lower() == _HEAD:
        data = _decoded(address, bounds.encoded_bytes)
    elif not address.lower().startswith(("http://", "https://")):
        raise _refused(f"the address {address[:60]!r} is neither data: nor https:")
    elif not bounds.remote:
        raise _refused("this server fetches no images; send it as data:image/png;base64,…")
    else:
        data = fetched(address, most=bounds.encoded_bytes, seconds=bounds.fetch_seconds)
    try:
        return from_bytes(data, bounds)
    except DataError as error:
        raise _refused(str(error)) from error
    except OutOfMemoryError as error:
        raise Refused("the server has no memory for the image now", status=503, kind="server_error") from error


def from_bytes(data: bytes, bounds: ImageBounds) -> Image:
    """A picture from a file's bytes.

    Raises:
        DataError: they are none, or too large.
    """
    if len(data) > bounds.encoded_bytes:
        raise ImageError(f"it has {len(data):,} bytes, more than the {bounds.encoded_bytes:,} allowed", "image")
    return load_image(ImageBytes(data, column="image"), max_pixels=bounds.pixels)


def from_file(path: Path, bounds: ImageBounds) -> Image:
    """A picture from a file.

    Raises:
        DataError: there is no such file, it is none, or too large.
    """
    file = ImageFile(path, column="image")
    with file.open() as opened:
        data = opened.read(bounds.encoded_bytes + 1)
    if len(data) > bounds.encoded_bytes:
        raise ImageError(f"{file.name} has more than the {bounds.encoded_bytes:,} bytes allowed; shrink it", "image")
    return load_image(file, max_pixels=bounds.pixels)


def _decoded(address: str, most: int) -> bytes:
    head, comma, content = address.partition(",")
    if not comma or not head.lower().endswith(";base64"):
        raise _refused("a data: address must be data:image/TYPE;base64,…")
    if len(content) > most * 4 // 3 + 4:
        raise _refused(f"an image has more than the {most:,} bytes allowed; shrink it")
    try:
        return base64.b64decode(content, validate=True)
    except (binascii.Error, ValueError) as error:
        raise _refused(f"the image is not base64: {error}") from error


def _refused(message: str) -> Refused:
    return Refused(message, param="messages", code="invalid_image")
