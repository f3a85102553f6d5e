import contextlib
import io
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as some
from PIL import Image as Pillow
from PIL.PngImagePlugin import PngInfo
from PIL.TiffImagePlugin import SAMPLEFORMAT

from rethinker.data.encoded import EncodedImage, ImageBytes, ImageFile
from rethinker.data.images import FORMATS, MIN_SIDE, image_size, load_image
from rethinker.errors import DataError
from rethinker.types import Image

LIMIT = 50_000_000
FIXTURES = Path(__file__).parents[3] / "shared" / "assets" / "image_fixtures"
ORIENTATION = 0x0112


def saved(picture: Pillow.Image, kind: str = "PNG", **options: object) -> ImageBytes:
    buffer = io.BytesIO()
    picture.save(buffer, format=kind, **options)
    return ImageBytes(buffer.getvalue(), "image")


def noise(height: int, width: int) -> Pillow.Image:
    return Pillow.fromarray(np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8))


def load(encoded: EncodedImage, *, max_pixels: int = LIMIT) -> Image:
    """Load, and check that the header alone told the size."""
    size = image_size(encoded, max_pixels=max_pixels)
    image = load_image(encoded, max_pixels=max_pixels)
    assert image.pixels.shape == (*size, 3)
    assert image.pixels.dtype == np.uint8
    return image


def refused(encoded: EncodedImage, message: str, *, max_pixels: int = LIMIT, by_header: bool = True) -> None:
    with pytest.raises(DataError, match=message):
        load_image(encoded, max_pixels=max_pixels)
    if by_header:
        with pytest.raises(DataError, match=message):
            image_size(encoded, max_pixels=max_pixels)


def huge_png(side: int) -> bytes:
    """A whole one-bit PNG of side x side pixels; its rows are compressed one by one and never held together."""
    packer = zlib.compressobj(9)
    row = bytes(1 + side // 8)
    pixels = b"".join(packer.compress(row) for _ in range(side)) + packer.flush()
    header = struct.pack(">IIBBBBB", side, side, 1, 0, 0, 0, 0)
    return png_of((b"IHDR", header), (b"IDAT", pixels))


def png_of(*chunks: tuple[bytes, bytes]) -> bytes:
    """A PNG file of these chunks, and its end."""
    packed = [
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        for kind, data in (*chunks, (b"IEND", b""))
    ]
    return b"".join([b"\x89PNG\r\n\x1a\n", *packed])


# ---- modes -------------------------------------------------------------------------------------------------------


def test_pixels_of_an_rgb_file_are_unchanged(tmp_path: Path) -> None:
    picture = noise(35, 47)
    picture.save(tmp_path / "a.png")
    assert np.array_equal(load(ImageFile(tmp_path / "a.png", "image")).pixels, np.asarray(picture))


def test_transparency_is_composited_on_white() -> None:
    picture = Pillow.new("RGBA", (40, 30))
    picture.putpixel((0, 0), (255, 0, 0, 0))
    picture.putpixel((1, 0), (0, 0, 0, 128))
    pixels = load(saved(picture)).pixels
    assert pixels[0, 0].tolist() == [255, 255, 255]
    assert abs(int(pixels[0, 1, 0]) - 127) <= 1


def test_a_transparent_palette_entry_becomes_white() -> None:
    picture = Pillow.new("P", (30, 30), 0)
    picture.putpalette([10, 20, 30] + [0] * 765)
    assert load(saved(picture, transparency=0)).pixels[0, 0].tolist() == [255] * 3
    assert load(saved(picture)).pixels[0, 0].tolist() == [10, 20, 30]


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA"])
def test_every_png_mode_becomes_rgb(mode: str) -> None:
    assert load(saved(Pillow.new(mode, (30, 40)))).pixels.shape == (40, 30, 3)


@pytest.mark.parametrize("kind", FORMATS)
def test_every_format_is_read(kind: str) -> None:
    assert load(saved(noise(30, 40), kind)).pixels.shape == (30, 40, 3)


def test_cmyk_becomes_rgb() -> None:
    assert load(saved(Pillow.new("CMYK", (32, 32), (0, 0, 0, 0)), "JPEG")).pixels.min() > 250
    ink = load(saved(Pillow.new("CMYK", (32, 32), (255, 0, 0, 0)), "JPEG")).pixels[0, 0]
    assert ink[0] < 60 < ink[2]


def test_sixteen_bit_gray_keeps_its_shades() -> None:
    shades = np.repeat(np.array([[0, 128 * 256, 65535]], dtype=np.uint16), 10, axis=1).repeat(30, axis=0)
    for kind in ("PNG", "TIFF"):
        assert load(saved(Pillow.fromarray(shades), kind)).pixels[0, ::10, 0].tolist() == [0, 128, 255]


def test_sixteen_bit_colour_keeps_its_shades() -> None:
    shades = np.random.default_rng(0).integers(0, 65536, (40, 30, 3), dtype=np.uint16)
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in shades)
    header = struct.pack(">IIBBBBB", 30, 40, 16, 2, 0, 0, 0)
    encoded = ImageBytes(png_of((b"IHDR", header), (b"IDAT", zlib.compress(rows))), "image")
    assert np.array_equal(load(encoded).pixels, shades >> 8)


@pytest.mark.parametrize("kind", [np.int32, np.int16])
def test_integers_of_unknown_range_are_refused(kind: type[np.integer]) -> None:
    picture = Pillow.fromarray(np.full((40, 40), 200, dtype=np.int32))
    options = {} if kind is np.int32 else {"tiffinfo": {SAMPLEFORMAT: 2}}
    picture = picture if kind is np.int32 else Pillow.fromarray(np.full((40, 40), 200, dtype=np.uint16))
    refused(saved(picture, "TIFF", **options), "of a range that nothing tells .mode I")


def test_floating_point_pixels_are_refused() -> None:
    refused(
        saved(Pillow.new("F", (30, 30), 0.5), "TIFF"),
        "column 'image': the image has 30 x 30 pixels, of a range that nothing tells .mode F.; save it with 8 bits",
    )


@pytest.mark.parametrize("kind", ["GIF", "PNG", "WEBP"])
def test_the_first_frame_stands_for_an_animation(kind: str) -> None:
    frames = [Pillow.new("RGB", (40, 30), colour) for colour in ("red", "blue", "green")]
    lossless = {"lossless": True} if kind == "WEBP" else {}
    encoded = saved(frames[0], kind, save_all=True, append_images=frames[1:], **lossless)
    assert Pillow.open(encoded.open()).n_frames == 3
    assert load(encoded).pixels[15, 20].tolist() == [255, 0, 0]


# ---- upright -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", ["PNG", "TIFF", "WEBP", "JPEG"])
def test_the_header_tells_the_upright_size_and_the_pixels_are_upright(kind: str, orientation: int) -> None:
    picture = Pillow.new("RGB", (64, 32), "blue")
    picture.paste("red", (0, 0, 16, 16))
    exif = picture.getexif()
    exif[ORIENTATION] = orientation
    pixels = load(saved(picture, kind, exif=exif)).pixels
    assert pixels.shape == ((32, 64, 3) if orientation < 5 else (64, 32, 3))
    bottom, right = orientation in (3, 4, 7, 8), orientation in (2, 3, 6, 7)
    corner = pixels[-4 if bottom else 3, -4 if right else 3]
    assert corner[0] > 150 > corner[2]


@pytest.mark.parametrize("orientation", [0, 9, 65535])
def test_an_orientation_that_does_not_exist_is_passed_over(orientation: int) -> None:
    picture = noise(32, 64)
    exif = picture.getexif()
    exif[ORIENTATION] = orientation
    assert load(saved(picture, exif=exif)).pixels.shape == (32, 64, 3)


# ---- sizes -------------------------------------------------------------------------------------------------------


def test_an_image_of_20000_by_20000_pixels_is_refused_undecoded(tmp_path: Path) -> None:
    (tmp_path / "huge.png").write_bytes(huge_png(20_000))
    refused(ImageFile(tmp_path / "huge.png", "image"), r"huge\.png has 20000 x 20000 pixels, more than")


def test_a_bound_above_pillows_own_holds() -> None:
    assert image_size(ImageBytes(huge_png(14_000), "a"), max_pixels=200_000_000) == (14_000, 14_000)


def test_an_image_above_our_bound_but_below_pillows_is_refused() -> None:
    encoded = ImageBytes(huge_png(64), "a")
    refused(encoded, "column 'a': the image has 64 x 64 pixels, more than the 4095 allowed", max_pixels=64 * 64 - 1)
    assert load(encoded, max_pixels=64 * 64).pixels.shape == (64, 64, 3)


@pytest.mark.parametrize(("height", "width"), [(1, 1), (3, 5), (1, 200), (27, 90), (28, 28), (3, 3)])
def test_small_images_are_enlarged_by_a_whole_factor(height: int, width: int) -> None:
    picture = noise(height, width)
    pixels = load(saved(picture)).pixels
    times = pixels.shape[0] // height
    assert min(pixels.shape[:2]) >= MIN_SIDE > (times - 1) * min(height, width)
    assert pixels.shape == (height * times, width * times, 3)
    assert np.array_equal(pixels[::times, ::times], np.asarray(picture))
    assert np.array_equal(pixels[times - 1 :: times, times - 1 :: times], np.asarray(picture))


def test_what_is_narrower_than_processors_take_is_refused() -> None:
    refused(saved(Pillow.new("RGB", (201, 1))), "201 x 1 pixels, sides that differ more than 200-fold")
    refused(saved(Pillow.new("RGB", (3, 700))), "3 x 700 pixels")


# ---- damage and disguise -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", FORMATS)
@pytest.mark.parametrize("share", [0.0, 0.02, 0.5, 0.9])
def test_a_truncated_image_names_its_file(tmp_path: Path, kind: str, share: float) -> None:
    whole = saved(noise(64, 64), kind).data
    (tmp_path / "cut.png").write_bytes(whole[: int(len(whole) * share)])
    refused(
        ImageFile(tmp_path / "cut.png", "image"), r"cut\.png is (in no format|damaged or truncated)", by_header=False
    )


@pytest.mark.parametrize(
    "content", [b"<svg xmlns='http://www.w3.org/2000/svg'/>", b"\xef\xbb\xbf\n<!DOCTYPE html><p>404", b"<?xml ?><svg/>"]
)
def test_svg_and_html_named_png_are_told_apart(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a.png").write_bytes(content)
    refused(
        ImageFile(tmp_path / "a.png", "image"), r"a\.png is in no format that is read .*it begins as SVG or HTML does"
    )


def test_texts_and_profiles_too_large_to_unpack_are_not_called_damage() -> None:
    texts = PngInfo()
    texts.add_text("k", "v" * 2_000_000, zip=True)
    for extra in ({"icc_profile": bytes(2_000_000)}, {"pnginfo": texts}):
        refused(saved(noise(30, 30), **extra), "the image has texts or a colour profile too large to unpack")


def test_a_format_whose_decoder_starts_a_program_is_refused() -> None:
    refused(saved(noise(30, 30), "EPS"), "in no format that is read")
    refused(ImageBytes(b"%PDF-1.4 " + bytes(500), "a.png"), "in no format that is read")


@pytest.mark.parametrize("kind", FORMATS)
def test_flipped_bytes_never_escape_as_another_error(kind: str) -> None:
    whole = saved(noise(40, 40), kind).data
    for seed in range(100):
        damaged = bytearray(whole)
        for position in np.random.default_rng(seed).integers(0, 120, 3):
            damaged[position] ^= 0xFF
        with contextlib.suppress(DataError):
            load_image(ImageBytes(bytes(damaged), "a"), max_pixels=100_000)


@given(some.binary(max_size=200))
def test_no_bytes_escape_as_another_error(data: bytes) -> None:
    with contextlib.suppress(DataError):
        image_size(ImageBytes(data, "a"), max_pixels=LIMIT)


def test_a_missing_file_a_folder_and_too_long_a_name_are_data_errors(tmp_path: Path) -> None:
    for path in (tmp_path / "none.png", tmp_path, tmp_path / ("a" * 5000)):
        refused(ImageFile(path, "image"), "cannot be opened")


# ---- real pictures -----------------------------------------------------------------------------------------------


@pytest.mark.skipif(not FIXTURES.exists(), reason="needs shared/assets/image_fixtures beside the checkout")
@pytest.mark.parametrize(("folder", "count"), [("logicvista161", 161), ("mathvision_testmini", 304)])
def test_every_real_picture_opens_at_the_size_its_header_tells(folder: str, count: int) -> None:
    paths = sorted((FIXTURES / folder / "images").iterdir())
    assert len(paths) == count
    for path in paths:
        load(ImageFile(path, "image"))
