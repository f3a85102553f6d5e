"""Pages in a real browser that remember what they said and asked for, and are checked for who cannot see or point."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

AXE = Path(__file__).parent / "axe" / "axe.min.js"


@dataclass
class Visit:
    """A page in the browser, and what came of it."""

    page: Any
    said: list[str] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)

    def serious(self) -> list[str]:
        """What axe calls serious or critical."""
        self.page.evaluate(AXE.read_text())  # not a script element, which the page's policy forbids
        found = self.page.evaluate("axe.run(document, {resultTypes: ['violations']})")
        return [
            f"{each['id']}: {each['help']}: {json.dumps([node['target'] for node in each['nodes']][:3])}"
            for each in found["violations"]
            if each["impact"] in ("serious", "critical")
        ]

    @property
    def width(self) -> int:
        """Pixels that the page takes, which is more than the window's where it scrolls sideways."""
        wide: int = self.page.evaluate("document.documentElement.scrollWidth")
        return wide


class Open(Protocol):
    """Opens an address, and waits for what `until` selects."""

    def __call__(
        self, url: str, *, until: str = "body", width: int = 1280, height: int = 900, scheme: str = "light"
    ) -> Visit: ...


@contextmanager
def visiting(browser: Any) -> Iterator[Open]:
    """What opens pages, each in a profile of its own, until the block ends."""
    contexts = []

    def opened(url: str, *, until: str = "body", width: int = 1280, height: int = 900, scheme: str = "light") -> Visit:
        context = browser.new_context(
            viewport={"width": width, "height": height}, color_scheme=scheme, reduced_motion="reduce"
        )
        contexts.append(context)
        made = Visit(context.new_page())
        made.page.on("console", lambda message: made.said.append(message.text))
        made.page.on("pageerror", lambda error: made.said.append(str(error)))
        made.page.on("request", lambda asked: asked.url.startswith(("data:", "file:")) or made.asked.append(asked.url))
        made.page.goto(url)
        made.page.wait_for_selector(until)
        return made

    yield opened
    for context in contexts:
        context.close()
