"""The pages that Python writes itself: a data set's preview, a report's frame. No text becomes an element."""

from html.parser import HTMLParser
from pathlib import Path

from fuzz.targets import parts, text
from rethinker.data.preview import _card
from rethinker.data.rows import Row, RowSource
from rethinker.errors import DataError
from rethinker.report.page import page

MAY_STAND = frozenset(
    "html head meta title style body header h1 p main article h2 small div img mark ol li b span link".split()
)
SEEDS = (
    b"<script>alert(1)</script>\0\"><img src=x onerror=alert(1)>\0</style>\0' onload='x\0</title><b>",
    b"<image> which? (A) a (B) b\0B\0a\nb\0c\0t",
    b"</script><!--\0\xed\xa0\x80\0\xe2\x80\xa8\0&lt;\0]]>",
)


class _Elements(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.scripts = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert tag in MAY_STAND, tag
        self.scripts += tag == "script"
        for name, value in attrs:
            assert not name.startswith("on"), name
            assert not (value or "").lower().lstrip().startswith("javascript:"), value

    def handle_comment(self, data: str) -> None:
        raise AssertionError(f"a comment on the page: {data!r:.80}")


class _Source(RowSource):
    def __init__(self, row: Row) -> None:
        super().__init__(max_pixels=100)
        self._row = row

    def __len__(self) -> int:
        return 1

    @property
    def files(self) -> tuple[Path, ...]:
        return ()

    @property
    def reads(self) -> frozenset[str]:
        return frozenset()

    def where(self, index: int) -> str:
        return self._row.question

    def id(self, index: int) -> str:
        return self._row.id

    def row(self, index: int) -> Row:
        if self._row.answer == "":
            raise DataError(self._row.question)
        return self._row


def check(data: bytes) -> None:
    question, answer, choices, name, title = map(text, parts(data, 5))
    row = Row(
        id=name, images=(), question=question, answer=answer, verifier=answer, choices=tuple(choices.split("\n")),
        category=title, source=str(Path(name.replace("\0", ""))),
    )  # fmt: skip
    elements = _Elements()
    elements.feed(_card(_Source(row), 0))
    assert elements.scripts == 0
    made = page({"runs": [{"name": name, "text": [question, answer, choices]}]}, title=title, charts=False)
    assert made.count("</script") == made.count("<script") == SCRIPTS
    frame = _Elements()
    frame.feed(made.partition("<style>")[0])
    assert frame.scripts == 0


SCRIPTS = page({}, title="", charts=False).count("</script")
