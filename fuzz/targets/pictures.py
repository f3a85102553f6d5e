"""Pictures: damaged, odd, too large."""

import io

import numpy as np
from PIL import Image as Pillow

from rethinker.data.encoded import ImageBytes
from rethinker.data.images import image_size, load_image
from rethinker.errors import ImageError

MOST = 250_000


def _file(kind: str, mode: str, **options: object) -> bytes:
    written = io.BytesIO()
    Pillow.fromarray(np.arange(300, dtype=np.uint8).reshape(10, 10, 3)).convert(mode).save(written, kind, **options)
    return written.getvalue()


SEEDS = (
    *(_file("PNG", mode) for mode in ("RGB", "P", "L", "1", "RGBA", "LA")),
    _file("JPEG", "RGB", quality=20),
    _file("JPEG", "CMYK", quality=20),
    *(_file(kind, "RGB") for kind in ("WEBP", "GIF", "BMP", "TIFF")),
    _file("TIFF", "RGB", compression="tiff_lzw"),
    b"<svg xmlns='http://www.w3.org/2000/svg'/>",
    b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n",
)


def check(data: bytes) -> None:
    encoded = ImageBytes(data, column="image")
    try:
        size = image_size(encoded, max_pixels=MOST)
        pixels = load_image(encoded, max_pixels=MOST).pixels
    except ImageError:
        return
    assert pixels.shape == (*size, 3)
    assert pixels.dtype == np.uint8
