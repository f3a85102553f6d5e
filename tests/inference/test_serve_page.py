"""The page in a real browser: an image dropped, a question asked, both looks watched."""

import base64

import pytest
from tests.inference.conftest import TOKEN, Server
from tests.pages import Open, Visit

DROP = """([target, data]) => {
  const bytes = Uint8Array.from(atob(data), (sign) => sign.charCodeAt(0));
  const held = new DataTransfer();
  held.items.add(new File([bytes], "picture.png", { type: "image/png" }));
  target.dispatchEvent(new DragEvent("drop", { dataTransfer: held, bubbles: true, cancelable: true }));
}"""


def drop(seen: Visit, picture: bytes) -> None:
    seen.page.evaluate(DROP, [seen.page.query_selector("#drop"), base64.b64encode(picture).decode()])
    seen.page.wait_for_selector("#shown:visible")


def ask(seen: Visit) -> None:
    seen.page.fill("#token", TOKEN)
    seen.page.click("#ask")
    seen.page.wait_for_selector("#verdict:visible", timeout=120_000)


def test_a_person_drops_an_image_asks_and_sees_both_looks(visit: Open, server: Server, picture: bytes) -> None:
    seen = visit(server.url, width=390, height=800)
    page = seen.page
    drop(seen, picture)
    page.fill("#question", "How many circles are there?")

    page.click("#ask")  # without the token
    page.wait_for_selector("#token:visible")
    refused, seen.said[:] = list(seen.said), []
    assert all("401" in each for each in refused)  # the browser's own note of the status

    ask(seen)
    assert page.locator(".look").count() == 2
    assert page.locator(".look.again .trigger").inner_text().startswith("Wait")
    assert all(text.strip() for text in page.locator(".look .text").all_inner_texts())
    assert seen.width == 390
    assert seen.said == []
    assert all(url.startswith((server.url, "blob:" + server.url)) for url in seen.asked)


def test_what_a_model_wrote_shows_as_text(visit: Open, server: Server) -> None:
    page = visit(server.url).page
    wrote = "<img src=x onerror=alert(1)><script>alert(2)</script>"
    look = {"choices": [{"delta": {"content": wrote, "look": 0, "kind": "text"}, "finish_reason": None}]}
    page.evaluate("(chunk) => follow(chunk)", look)
    assert page.locator(".look .text").inner_text() == wrote
    assert page.locator(".look img, .look script").count() == 0


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_serious_before_and_after_an_answer(
    visit: Open, server: Server, picture: bytes, scheme: str
) -> None:
    seen = visit(server.url, scheme=scheme)
    assert seen.serious() == []
    drop(seen, picture)
    seen.page.fill("#question", "How many circles are there?")
    seen.page.click("#ask")  # without the token, which is then asked for
    seen.page.wait_for_selector("#token:visible")
    assert seen.serious() == []
    ask(seen)
    assert seen.serious() == []
