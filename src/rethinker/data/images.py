"""Encoded images to RGB pixels, upright and safe; and their sizes from the header alone.

Both go through the same checks, so that a size can be trusted to be that of the pixels. Resizing to what a model wants
is left out: that belongs to its processor. Only what no processor can take is mended or refused here.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
from jaxtyping import UInt8
from PIL import ExifTags, UnidentifiedImageError
from PIL import Image as Pillow
from PIL.TiffImagePlugin import BITSPERSAMPLE, SAMPLEFORMAT, TiffImageFile

from rethinker.data.encoded import EncodedImage
from rethinker.errors import ImageError, OutOfMemoryError, RethinkerError
from rethinker.types import Image

FORMATS = ("PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF")
"""What is decoded; Pillow knows others, some of which start programs or are decoded by code little looked after."""

MIN_SIDE = 28
"""Images with a shorter side are enlarged by a whole factor: processors take an array of height 1 or 3 for one with its
channels first, and Qwen's round a side below half a patch to nothing."""

MAX_ASPECT = 200
"""Qwen's processors raise above this ratio of the sides (transformers, `smart_resize`)."""

BY_TEXTS = "MAX_TEXT"
"""Pillow's bounds on what a PNG carries beside its pixels, 1 MB each and 64 MB in all, as its errors name them."""

NO_MEMORY = "out of memory"
"""How Pillow's decoders say it, in an error of reading."""

TURNS = {
    2: Pillow.Transpose.FLIP_LEFT_RIGHT,
    3: Pillow.Transpose.ROTATE_180,
    4: Pillow.Transpose.FLIP_TOP_BOTTOM,
    5: Pillow.Transpose.TRANSPOSE,
    6: Pillow.Transpose.ROTATE_270,
    7: Pillow.Transpose.TRANSVERSE,
    8: Pillow.Transpose.ROTATE_90,
}
"""How an image of each EXIF orientation is set upright; from 5 on height and width change places."""

Pillow.MAX_IMAGE_PIXELS = None  # ours takes its place, and is judged from the header too


def load_image(encoded: EncodedImage, *, max_pixels: int) -> Image:
    """Decode an image: RGB, upright, transparency on white, the first frame of several, 8 bits a channel.

    Args:
        max_pixels: Largest width times height; a larger image is refused from its header alone.

    Raises:
        DataError: the image is missing, in no format read here, damaged, truncated, too large or too narrow.
        OutOfMemoryError: there is no memory for its pixels, which is no fault of the image.
    """
    with _opened(encoded, max_pixels) as picture:
        turn = TURNS.get(_orientation(picture))
        pixels: UInt8[np.ndarray, "height width 3"] = np.asarray(
            _rgb(picture if turn is None else picture.transpose(turn))
        )
        times = _enlargement(picture.size)
        return Image(pixels=pixels.repeat(times, axis=0).repeat(times, axis=1) if times > 1 else pixels)


def image_size(encoded: EncodedImage, *, max_pixels: int) -> tuple[int, int]:
    """(height, width) in pixels that `load_image` will give, read from the header.

    Raises:
        DataError: as `load_image`, as far as a header shows it.
    """
    with _opened(encoded, max_pixels) as picture:
        width, height = picture.size if _orientation(picture) < 5 else picture.size[::-1]
        times = _enlargement(picture.size)
        return height * times, width * times


@contextmanager
def _opened(encoded: EncodedImage, max_pixels: int) -> Iterator[Pillow.Image]:
    """The picture with its header read and judged; what goes wrong with it inside is the row's fault.

    Want of memory is not: the row would be set aside as damaged, and the run go on without good rows.
    """
    try:
        with encoded.open() as file, Pillow.open(file, formats=FORMATS) as picture:
            _judge(picture, max_pixels, encoded)
            yield picture
    except RethinkerError:
        raise
    except UnidentifiedImageError as error:
        raise ImageError(
            f"{encoded.name} is in no format that is read ({', '.join(FORMATS)}){_hint(encoded)}", encoded.column
        ) from error
    except Exception as error:
        if isinstance(error, MemoryError) or NO_MEMORY in str(error):
            raise OutOfMemoryError(
                f"memory ran out while {encoded.name} was read; give the process more, or let it hold and read less at "
                "a time: data.image_bytes and data.threads of a run, --workers of a command, and the largest picture "
                "allowed (data.max_image_pixels)"
            ) from error
        # Damaged bytes make Pillow's many decoders raise nearly anything; whatever else it is, the row is at fault.
        fault = (
            "has texts or a colour profile too large to unpack" if BY_TEXTS in str(error) else "is damaged or truncated"
        )
        raise ImageError(f"{encoded.name} {fault}: {error}", encoded.column) from error


def _judge(picture: Pillow.Image, max_pixels: int, encoded: EncodedImage) -> None:
    width, height = picture.size
    if width * height > max_pixels:
        fault = f"more than the {max_pixels} allowed; shrink it or raise data.max_image_pixels"
    elif max(picture.size) > MAX_ASPECT * min(picture.size):
        fault = f"sides that differ more than {MAX_ASPECT}-fold, which is more than processors take: crop it"
    elif picture.mode == "F" or (picture.mode.startswith("I") and not _of_16_bits(picture)):
        fault = f"of a range that nothing tells (mode {picture.mode}); save it with 8 bits a channel"
    else:
        return
    raise ImageError(f"{encoded.name} has {width} x {height} pixels, {fault}", encoded.column)


def _of_16_bits(picture: Pillow.Image) -> bool:
    """Whether integers are 0 to 65535: in PNG they are; TIFF knows 12 bits, 32 and signed ones too."""
    if not isinstance(picture, TiffImageFile):
        return True
    tags = picture.tag_v2
    return tags.get(BITSPERSAMPLE) == (16,) and tags.get(SAMPLEFORMAT, (1,)) == (1,)


def _hint(encoded: EncodedImage) -> str:
    with encoded.open() as file:
        start = file.read(64).lstrip(b"\xef\xbb\xbf \t\r\n")
    return "; it begins as SVG or HTML does: draw it to a PNG" if start.startswith(b"<") else ""


def _orientation(picture: Pillow.Image) -> int:
    """The EXIF orientation as the header has it, 1 where there is none.

    Asked of the base class, as the one for PNG would decode the pixels to look behind them. TIFF is turned by Pillow.
    """
    found = None if picture.format == "TIFF" else Pillow.Image.getexif(picture).get(ExifTags.Base.Orientation)
    return found if isinstance(found, int) and found in TURNS else 1


def _enlargement(size: tuple[int, int]) -> int:
    return -(-MIN_SIDE // min(size))


def _rgb(picture: Pillow.Image) -> Pillow.Image:
    """Convert any mode to RGB."""
    if picture.mode.startswith("I"):  # 16 bits per pixel, which Pillow would clip at 255
        return Pillow.fromarray((np.asarray(picture).clip(0, 65535) >> 8).astype(np.uint8)).convert("RGB")
    if not picture.has_transparency_data:
        return picture.convert("RGB")
    pasted = picture.convert("RGBA")
    white = Pillow.new("RGBA", pasted.size, "white")
    return Pillow.alpha_composite(white, pasted).convert("RGB")
