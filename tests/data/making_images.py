"""Image files for tests of the readers."""

from __future__ import annotations

import io

import numpy as np
from PIL import Image as Pillow


def png(shade: int, *, height: int = 30, width: int = 40) -> bytes:
    """A PNG of one shade of grey."""
    buffer = io.BytesIO()
    Pillow.fromarray(np.full((height, width, 3), shade, dtype=np.uint8)).save(buffer, format="PNG")
    return buffer.getvalue()
