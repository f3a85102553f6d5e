"""The page in a real browser: an image dropped, a question asked, both looks watched."""

import base64
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.inference.conftest import TOKEN, Server

CHROMIUM = Path("/usr/bin/chromium")
FLAGS = [
    *("--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update"),
    *("--disable-sync", "--no-first-run"),
]

DROP = """([target, data]) => {
  const bytes = Uint8Array.from(atob(data), (sign) => sign.charCodeAt(0));
  const held = new DataTransfer();
  held.items.add(new File([bytes], "picture.png", { type: "image/png" }));
  target.dispatchEvent(new DragEvent("drop", { dataTransfer: held, bubbles: true, cancelable: true }));
}"""


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    if not CHROMIUM.exists():
        pytest.skip(f"there is no {CHROMIUM}: apt-get install chromium")
    sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed: pip install playwright")
    with sync_api.sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=str(CHROMIUM), args=FLAGS)
        yield opened
        opened.close()


def test_a_person_drops_an_image_asks_and_sees_both_looks(browser: Any, server: Server, picture: bytes) -> None:
    page = browser.new_page(viewport={"width": 390, "height": 800})
    said, asked = [], []
    page.on("console", lambda message: said.append(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: said.append(str(error)))
    page.on("request", lambda request: asked.append(request.url))
    page.goto(server.url)
    page.evaluate(DROP, [page.query_selector("#drop"), base64.b64encode(picture).decode()])
    page.wait_for_selector("#shown:visible")
    page.fill("#question", "How many circles are there?")

    page.click("#ask")  # without the token
    page.wait_for_selector("#token:visible")
    refused, said[:] = list(said), []
    assert all("401" in each for each in refused)  # the browser's own note of the status

    page.fill("#token", TOKEN)
    page.click("#ask")
    page.wait_for_selector("#verdict:visible", timeout=120_000)
    assert page.locator(".look").count() == 2
    assert page.locator(".look.again .trigger").inner_text().startswith("Wait")
    assert all(text.strip() for text in page.locator(".look .text").all_inner_texts())
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    assert said == []
    assert all(url.startswith((server.url, "blob:" + server.url)) for url in asked)
    page.close()


def test_what_a_model_wrote_shows_as_text(browser: Any, server: Server) -> None:
    page = browser.new_page()
    wrote = "<img src=x onerror=alert(1)><script>alert(2)</script>"
    look = {"choices": [{"delta": {"content": wrote, "look": 0, "kind": "text"}, "finish_reason": None}]}
    page.goto(server.url)
    page.evaluate("(chunk) => follow(chunk)", look)
    assert page.locator(".look .text").inner_text() == wrote
    assert page.locator(".look img, .look script").count() == 0
    page.close()
