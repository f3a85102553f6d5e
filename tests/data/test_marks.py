from __future__ import annotations

import pytest

from rethinker.data.encoded import EncodedImage, ImageBytes
from rethinker.data.marks import place_images
from rethinker.errors import MarksError


def pictures(count: int) -> tuple[EncodedImage, ...]:
    return tuple(ImageBytes(b"", str(number)) for number in range(1, count + 1))


@pytest.mark.parametrize(
    ("question", "images", "placed", "order"),
    [
        ("Why?", 2, "<image><image>Why?", [1, 2]),
        ("Why?", 0, "Why?", []),
        ("See <image>.", 1, "See <image>.", [1]),
        ("<image>, <image>?", 2, "<image>, <image>?", [1, 2]),
        ("See <image1>.", 1, "See <image>.", [1]),
        ("<image 1> or <image  2>?", 2, "<image> or <image>?", [1, 2]),
        ("Left of <image1>? In <image1>?", 1, "Left of <image>? In image 1?", [1]),
        ("Is <image2> in <image1>? <image2>", 2, "Is <image> in <image>? image 1", [2, 1]),
    ],
)
def test_marks_with_and_without_numbers_are_placed(question: str, images: int, placed: str, order: list[int]) -> None:
    given = pictures(images)
    assert place_images(question, given, column="q") == (placed, tuple(given[number - 1] for number in order))


@pytest.mark.parametrize(
    ("question", "images", "message"),
    [
        ("<image><image>?", 1, "1 images but 2 <image> marks"),
        ("<image>?", 0, "0 images but 1 <image> marks"),
        ("<image1> <image2>?", 1, "1 images but the marks <image1>, <image2>; number the images"),
        ("<image1>?", 0, "0 images but the marks <image1>; "),
        ("<image2> <image3>?", 2, "2 images but the marks <image2>, <image3>; "),
        ("<image 1> <image>?", 2, "2 images but the marks <image 1>, <image>; "),
        ("<image0>?", 1, "1 images but the marks <image0>; "),
    ],
)
def test_marks_that_do_not_fit_the_images_are_refused(question: str, images: int, message: str) -> None:
    with pytest.raises(MarksError, match=f"column 'q': {message}"):
        place_images(question, pictures(images), column="q")
