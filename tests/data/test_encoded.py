import base64
import io
import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image as Pillow

from rethinker.data.encoded import ImageBytes, ImageFile, encoded_images, image_file
from rethinker.errors import DataError


def encode(kind: str) -> bytes:
    buffer = io.BytesIO()
    Pillow.fromarray(np.random.default_rng(0).integers(0, 256, (30, 30, 3), dtype=np.uint8)).save(buffer, format=kind)
    return buffer.getvalue()


def read(value: object, folder: Path = Path("images")) -> tuple[ImageFile | ImageBytes, ...]:
    return encoded_images(value, folder=folder, column="image")


# ---- paths -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["../a.png", "/etc/passwd", "a/../../b.png", "..\\a.png", "", "a\0.png", "..", "a/.."])
def test_paths_that_leave_the_folder_are_refused(name: str) -> None:
    with pytest.raises(DataError, match=r"does not lie in|outside"):
        image_file(Path("images"), name, column="image")


def test_a_path_that_stays_inside_is_resolved() -> None:
    assert image_file(Path("images"), "a/../b.png", column="image") == ImageFile(Path("images/b.png"), "image")
    assert image_file(Path("images"), "with: colon..png", column="image") == ImageFile(
        Path("images/with: colon..png"), "image"
    )


@pytest.mark.parametrize("name", ["http://a/b.png", "HTTPS://a/b.png", "s3://a/b.png", "file:///a.png", "file:a.png"])
def test_a_url_is_refused_and_the_message_says_that_nothing_is_fetched(name: str) -> None:
    with pytest.raises(DataError, match="is a URL; nothing is fetched: download it into images"):
        image_file(Path("images"), name, column="image")


def test_links_are_followed_only_inside_the_folder(tmp_path: Path) -> None:
    images, outside = tmp_path / "images", tmp_path / "images-private"
    for folder in (images, outside):
        folder.mkdir()
        (folder / "a.png").write_bytes(b"")
    (images / "inside.png").symlink_to("a.png")
    (images / "file.png").symlink_to(outside / "a.png")
    (images / "folder").symlink_to(outside)
    (images / "up").symlink_to("..")
    (images / "loop").symlink_to("loop")
    assert image_file(images, "inside.png", column="image") == ImageFile(images / "inside.png", "image")
    for name in ("file.png", "folder/a.png", "up/images-private/a.png"):
        with pytest.raises(DataError, match=r"is a link to .*images-private/a\.png, outside"):
            image_file(images, name, column="image")
    with pytest.raises(DataError, match="cannot be opened"):
        image_file(images, "loop", column="image").open()


def test_the_folder_itself_may_be_a_link(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "images").symlink_to(tmp_path / "real")
    assert image_file(tmp_path / "images", "a.png", column="image").path == tmp_path / "images" / "a.png"


def test_a_pipe_is_refused_and_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "a.png")
    with pytest.raises(DataError, match="cannot be opened: it is not a file"):
        ImageFile(tmp_path / "a.png", "image").open()


def test_a_folder_in_an_images_place_is_said_to_be_no_file(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="cannot be opened: it is not a file"):
        ImageFile(tmp_path, "image").open()
    with pytest.raises(DataError, match="cannot be opened: there is no such file"):
        ImageFile(tmp_path / "none.png", "image").open()


# ---- what a row holds --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("value", [None, "", [], [None], ["", None]])
def test_nothing_is_no_image(value: object) -> None:
    assert read(value) == ()


def test_paths_and_bytes_come_alone_in_lists_and_as_hugging_face_stores_them() -> None:
    path, data = ImageFile(Path("images/a.png"), "image"), encode("PNG")
    assert read("a.png") == read({"bytes": None, "path": "a.png"}) == (path,)
    assert read(["a.png"]) == (ImageFile(path.path, "image[0]"),)
    for value in (data, {"bytes": data, "path": "elsewhere/b.png"}, {"bytes": data}):
        (found,) = read(value)
        assert isinstance(found, ImageBytes)
        assert found.data == data
    assert [type(each) for each in read(["a.png", data])] == [ImageFile, ImageBytes]


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "GIF", "WEBP", "BMP", "TIFF"])
def test_base64_is_told_from_a_path_by_how_the_formats_begin(kind: str) -> None:
    data = encode(kind)
    plain = base64.b64encode(data).decode()
    wrapped = base64.encodebytes(data).decode()
    for text in (plain, wrapped, f"data:image/{kind.lower()};base64,{plain}", f"data:image/x;charset=y;base64,{plain}"):
        assert read(text) == (ImageBytes(data, "image"),)


def test_a_long_path_of_base64_signs_is_a_path() -> None:
    name = "images/" + "0123456789abcdef" * 4
    assert read(name) == (ImageFile(Path("images") / name, "image"),)
    assert read("UklGR/" + "a" * 80 + ".webp") == (ImageFile(Path("images/UklGR") / ("a" * 80 + ".webp"), "image"),)


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (3, r"column 'image': expected an image \(a path, base64, bytes or \{bytes, path\}\), got int"),
        (["a.png", {"url": "x"}], r"column 'image\[1\]': expected an image .*, got dict"),
        ({"bytes": None, "path": None}, "column 'image': expected an image .*, got NoneType"),
        (
            "data:image/png;base64,%%%",
            "column 'image': 'data:image/png;base64,%%%' of 25 characters is not valid base64",
        ),
        ("data:text/html,<p>", "is a URL"),
        (
            "iVBORw0KGgo" + "a" * 98,
            "column 'image': 'iVBORw0KGgoa{98}' of 109 characters is not valid base64",
        ),
        ("iVBORw0KGgo" + "a" * 90_000, "column 'image': 'iVBORw.{90,}…a{100}' of 90011 characters is not valid"),
        (["a.png", "é" * 90_000], "column 'image.1.': 'é{100}…é{100}' of 90000 characters is not valid base64"),
        ("../" + "a/" * 300 + "b.png", "column 'image': image path '../.{97}….{100}' does not lie in images;"),
    ],
)
def test_anything_else_names_the_column_and_what_was_expected(value: object, message: str) -> None:
    with pytest.raises(DataError, match=message) as error:
        read(value)
    assert len(str(error.value)) < 500
