import contextlib
import io
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image as Pillow

from rethinker.data.images import decode_image, image_path, load_image
from rethinker.errors import DataError

LIMIT = 50_000_000


def png(picture: Pillow.Image, **options: object) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, format="PNG", **options)
    return buffer.getvalue()


def huge_png(side: int) -> bytes:
    """A whole one-bit PNG of side x side pixels; its rows are compressed one by one and never held together."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    packer = zlib.compressobj(9)
    row = bytes(1 + side // 8)
    pixels = b"".join(packer.compress(row) for _ in range(side)) + packer.flush()
    header = struct.pack(">IIBBBBB", side, side, 1, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", pixels) + chunk(b"IEND", b"")


def test_pixels_of_an_rgb_file_are_unchanged(tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (5, 7, 3), dtype=np.uint8)
    Pillow.fromarray(pixels).save(tmp_path / "a.png")
    assert np.array_equal(load_image(tmp_path / "a.png", max_pixels=LIMIT).pixels, pixels)


def test_transparency_is_composited_on_white() -> None:
    picture = Pillow.new("RGBA", (2, 1))
    picture.putpixel((0, 0), (255, 0, 0, 0))
    picture.putpixel((1, 0), (0, 0, 0, 128))
    pixels = decode_image(png(picture), max_pixels=LIMIT, name="a").pixels
    assert pixels[0, 0].tolist() == [255, 255, 255]
    assert abs(int(pixels[0, 1, 0]) - 127) <= 1


def test_a_transparent_palette_entry_becomes_white() -> None:
    picture = Pillow.new("P", (1, 1), 0)
    picture.putpalette([10, 20, 30] + [0] * 765)
    assert decode_image(png(picture, transparency=0), max_pixels=LIMIT, name="a").pixels[0, 0].tolist() == [255] * 3
    assert decode_image(png(picture), max_pixels=LIMIT, name="a").pixels[0, 0].tolist() == [10, 20, 30]


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA"])
def test_every_png_mode_becomes_rgb(mode: str) -> None:
    pixels = decode_image(png(Pillow.new(mode, (3, 2))), max_pixels=LIMIT, name="a").pixels
    assert pixels.shape == (2, 3, 3)
    assert pixels.dtype == np.uint8


def test_cmyk_becomes_rgb() -> None:
    buffer = io.BytesIO()
    Pillow.new("CMYK", (2, 2), (0, 0, 0, 0)).save(buffer, format="JPEG")
    assert decode_image(buffer.getvalue(), max_pixels=LIMIT, name="a").pixels.min() > 250


def test_sixteen_bit_gray_keeps_its_shades() -> None:
    shades = np.array([[0, 128 * 256, 65535]], dtype=np.uint16)
    pixels = decode_image(png(Pillow.fromarray(shades)), max_pixels=LIMIT, name="a").pixels
    assert pixels[0, :, 0].tolist() == [0, 128, 255]


def test_exif_orientation_is_applied() -> None:
    picture = Pillow.new("RGB", (4, 2), "white")
    exif = picture.getexif()
    exif[0x0112] = 6
    assert decode_image(png(picture, exif=exif), max_pixels=LIMIT, name="a").pixels.shape == (4, 2, 3)


def test_an_image_of_20000_by_20000_pixels_is_refused_undecoded(tmp_path: Path) -> None:
    (tmp_path / "huge.png").write_bytes(huge_png(20_000))
    with pytest.raises(DataError, match=r"huge\.png"):
        load_image(tmp_path / "huge.png", max_pixels=LIMIT)


def test_an_image_above_our_bound_but_below_pillows_is_refused() -> None:
    with pytest.raises(DataError, match="64 x 64 pixels, more than the 4095 allowed"):
        decode_image(huge_png(64), max_pixels=64 * 64 - 1, name="a")
    assert decode_image(huge_png(64), max_pixels=64 * 64, name="a").pixels.shape == (64, 64, 3)


@pytest.mark.parametrize("share", [0.02, 0.5, 0.9])
def test_a_truncated_image_names_its_file(tmp_path: Path, share: float) -> None:
    whole = png(Pillow.fromarray(np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)))
    (tmp_path / "cut.png").write_bytes(whole[: int(len(whole) * share)])
    with pytest.raises(DataError, match=r"cut\.png"):
        load_image(tmp_path / "cut.png", max_pixels=LIMIT)


def test_flipped_bytes_never_escape_as_another_error() -> None:
    whole = png(Pillow.fromarray(np.random.default_rng(0).integers(0, 256, (16, 16, 3), dtype=np.uint8)))
    for seed in range(200):
        damaged = bytearray(whole)
        for position in np.random.default_rng(seed).integers(0, 120, 3):
            damaged[position] ^= 0xFF
        with contextlib.suppress(DataError):
            decode_image(bytes(damaged), max_pixels=LIMIT, name="a")


def test_a_missing_file_and_a_folder_are_data_errors(tmp_path: Path) -> None:
    for path in (tmp_path / "none.png", tmp_path):
        with pytest.raises(DataError, match="cannot be opened"):
            load_image(path, max_pixels=LIMIT)


@pytest.mark.parametrize("name", ["../a.png", "/etc/passwd", "a/../../b.png", "..\\a.png", "", "a\0.png", ".."])
def test_paths_that_leave_the_folder_are_refused(name: str) -> None:
    with pytest.raises(DataError, match="does not lie in"):
        image_path(Path("images"), name)


def test_a_path_that_stays_inside_is_resolved() -> None:
    assert image_path(Path("images"), "a/../b.png") == Path("images/b.png")
