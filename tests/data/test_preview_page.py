from __future__ import annotations

import json
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest
from tests.data.making_images import png

from rethinker.data.opening import open_source
from rethinker.data.preview import page, spread

HOSTILE = "<script>document.title='stolen'</script><img src=x onerror=\"document.title='stolen'\"> & \"quoted\""


class Elements(HTMLParser):
    """Tags and the attributes that could load something."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.loaded: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.loaded += [value or "" for name, value in attrs if name in ("src", "href", "srcset", "style", "onerror")]


def page_of(folder: Path, *rows: dict[str, object]) -> str:
    (folder / "a.png").write_bytes(png(7, height=900, width=1200))
    (folder / "rows.jsonl").write_text("".join(json.dumps({"answer": "B"} | row) + "\n" for row in rows))
    source = open_source(folder / "rows.jsonl")
    return page(source, range(len(source)), title="rows & co", workers=2)


def hostile_page(folder: Path) -> str:
    return page_of(
        folder,
        {
            "question": HOSTILE,
            "image": "a.png",
            "choices": [HOSTILE, "B"],
            "id": HOSTILE,
            "category": HOSTILE,
        },
        {"question": "?", "image": HOSTILE},
        {"question": "?", "answer": HOSTILE},
    )


def test_whatever_the_data_say_the_page_holds_text_and_its_own_pictures(tmp_path: Path) -> None:
    text = hostile_page(tmp_path)
    found = Elements(text)
    assert "script" not in found.tags
    assert found.tags.count("img") == 1
    assert all(source.startswith("data:image/webp;base64,") for source in found.loaded)
    assert not re.search(r"https?://|url\(|@import", text)
    assert "&lt;script&gt;" in text
    assert "default-src 'none'" in text


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_browser_runs_nothing_of_it_and_axe_finds_nothing_serious(tmp_path: Path, visit: Open, scheme: str) -> None:
    (tmp_path / "page.html").write_text(hostile_page(tmp_path), encoding="utf-8")
    seen = visit((tmp_path / "page.html").as_uri(), scheme=scheme)
    assert seen.page.title() == "rows & co"
    assert (seen.said, seen.asked) == ([], [])
    assert seen.serious() == []
    assert visit((tmp_path / "page.html").as_uri(), width=390).width == 390


def test_a_card_shows_question_options_answer_and_what_it_is_about(tmp_path: Path) -> None:
    text = page_of(
        tmp_path, {"question": "Which is it?", "image": "a.png", "choices": ["a cat", "a dog"], "category": "animals"}
    )
    assert '<p class="question">Which is it?</p>' in text
    assert "<li><b>A</b>a cat</li><li class=right><b>B</b>a dog</li>" in text
    assert "animals · rows.jsonl · choice" in text
    assert 'title="1200 × 900 pixels"' in text
    assert 'width="560" height="420"' in text


def test_marks_of_several_pictures_are_numbered(tmp_path: Path) -> None:
    text = page_of(tmp_path, {"question": "Is <image> left of <image>?", "image": ["a.png", "a.png"]})
    assert "Is <mark>picture 1</mark> left of <mark>picture 2</mark>?" in text


def test_a_bad_row_shows_its_reason(tmp_path: Path) -> None:
    assert '<article class="bad">' in page_of(tmp_path, {"question": "?", "image": "b.png"})


def test_rows_are_spread_evenly_from_the_first() -> None:
    assert spread(10, 4) == [0, 2, 5, 7]
    assert spread(3, 60) == [0, 1, 2]
