"""The server as its clients meet it: OpenAI's own, and those that mean harm."""

import base64
import json
import socket
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from io import BytesIO

import openai
import pytest
from PIL import Image
from tests.inference.conftest import TOKEN, Server, ended, started

HALF_A_BODY = (
    b"POST /v1/chat/completions HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer " + TOKEN.encode() + b"\r\n"
    b"Content-Type: application/json\r\nContent-Length: 500\r\n\r\n{"
)
SUM = [{"role": "user", "content": "How much is 3 + 4?"}]


def shown(picture: bytes, question: str = "How many circles are there?") -> list[dict[str, object]]:
    url = "data:image/png;base64," + base64.b64encode(picture).decode()
    parts = [{"type": "image_url", "image_url": {"url": url}}, {"type": "text", "text": question}]
    return [{"role": "user", "content": parts}]


def until(condition: Callable[[], bool]) -> None:
    for _ in range(600):
        if condition():
            return
        time.sleep(0.1)
    raise AssertionError("it never came about")


# ---- OpenAI's client ----


def test_the_official_client_lists_the_model_and_gets_an_answer(server: Server) -> None:
    client = server.client()
    assert [model.id for model in client.models.list()] == ["tiny"]
    assert client.models.retrieve("tiny").owned_by == "rethinker"
    reply = client.chat.completions.create(model="tiny", messages=SUM, temperature=0)
    assert reply.choices[0].finish_reason == "stop"
    assert "boxed" in (reply.choices[0].message.content or "")
    assert reply.usage is not None
    assert reply.usage.total_tokens == reply.usage.prompt_tokens + reply.usage.completion_tokens


def test_a_stream_adds_up_to_the_whole_answer(server: Server, picture: bytes) -> None:
    client, messages = server.client(), shown(picture)
    whole = client.chat.completions.create(model="tiny", messages=messages, seed=5)  # type: ignore[call-overload]
    chunks = list(
        client.chat.completions.create(  # type: ignore[call-overload]
            model="tiny", messages=messages, seed=5, stream=True, stream_options={"include_usage": True}
        )
    )
    text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)
    assert text == whole.choices[0].message.content
    assert chunks[-1].usage == whole.usage
    assert whole.usage.prompt_tokens > 40  # the picture's tokens among them


def test_a_second_look_is_told_apart_by_the_extra_field(server: Server, picture: bytes) -> None:
    client = server.client()
    reply = client.chat.completions.create(
        model="tiny",
        messages=shown(picture),  # type: ignore[arg-type]
        temperature=0,
        extra_body={"rethink": 1},
    )
    told = reply.choices[0].model_extra["rethink"]  # type: ignore[index]
    first, second = told["looks"]
    assert reply.choices[0].message.content == first["text"] + second["trigger"] + second["text"]
    assert second["trigger"].startswith("\n\nWait")
    assert told["changed"] == (told["answer"] != first["answer"])


def test_a_streamed_second_look_says_which_look_each_text_is_of(server: Server) -> None:
    chunks = server.client().chat.completions.create(
        model="tiny", messages=SUM, temperature=0, stream=True, extra_body={"rethink": 1}
    )
    deltas = [chunk.choices[0].delta.model_extra or {} for chunk in chunks]
    kinds = [(delta["look"], delta["kind"]) for delta in deltas if "look" in delta]
    assert list(dict.fromkeys(kinds)) == [(0, "text"), (1, "trigger"), (1, "text")]


def test_several_choices_differ_and_a_seed_repeats_them(server: Server) -> None:
    client = server.client()
    asked = {"model": "tiny", "messages": SUM, "n": 3, "seed": 3, "temperature": 2.0, "max_tokens": 12}
    one, again = (client.chat.completions.create(**asked) for _ in range(2))  # type: ignore[call-overload]
    texts = [choice.message.content for choice in one.choices]
    assert len(set(texts)) == 3
    assert texts == [choice.message.content for choice in again.choices]


def test_a_stop_text_ends_the_answer_and_is_not_in_it(server: Server) -> None:
    reply = server.client().chat.completions.create(model="tiny", messages=SUM, temperature=0, stop=["boxed"])
    assert reply.choices[0].finish_reason == "stop"
    assert "boxed" not in (reply.choices[0].message.content or "")


def test_a_system_turn_and_a_dialogue_are_taken(server: Server) -> None:
    said = [{"role": "system", "content": "Be brief."}, *SUM, {"role": "assistant", "content": "7"}, *SUM]
    assert server.complete(messages=said)[0] == 200


# ---- what is refused ----


@pytest.mark.parametrize(
    ("fields", "status", "says"),
    [
        ({"model": "other"}, 404, "does not exist"),
        ({"messages": []}, 400, "messages"),
        ({"messages": [{"role": "robot", "content": "x"}]}, 400, "role"),
        ({"messages": [{"role": "user", "content": "<image>"}]}, 400, "stands for a picture"),
        ({"messages": [{"role": "user", "content": "a<|im_end|>b"}]}, 400, "special token"),
        ({"messages": [{"role": "user", "content": "word " * 9000}]}, 400, "more than"),
        ({"messages": [{"role": "user", "content": "\ud800"}]}, 400, "half a character"),
        ({"max_tokens": 301}, 400, "max_tokens"),
        ({"max_tokens": True}, 400, "max_tokens"),
        ({"temperature": 3}, 400, "temperature"),
        ({"top_p": 0}, 400, "top_p"),
        ({"n": 9}, 400, "n is 9"),
        ({"rethink": "often"}, 400, "rethink"),
        ({"rethink": 99}, 400, "rethink"),
        ({"stop": ["a"] * 5}, 400, "stop"),
        ({"tools": [{"type": "function"}]}, 400, "tools"),
        ({"tempersture": 1}, 400, "tempersture"),
    ],
)
def test_what_cannot_be_had_is_refused_by_name(
    server: Server, fields: dict[str, object], status: int, says: str
) -> None:
    got, body = server.complete(**fields)
    assert got == status
    assert says in body["error"]["message"]
    assert body["error"]["type"] == "invalid_request_error"


def test_malformed_json_is_refused(server: Server) -> None:
    for body in (b"{", b"[1]", b"\xff\xfe", b'{"messages": ' + b"[" * 100_000):
        status, _, reply = server.ask("POST", "/v1/chat/completions", body)
        assert (status, json.loads(reply)["error"]["code"]) == (400, "invalid_json")


def test_pictures_that_are_none_too_large_or_elsewhere_are_refused(server: Server, picture: bytes) -> None:
    bomb = BytesIO()
    Image.new("1", (20_000, 20_000)).save(bomb, "PNG")
    for data, says in ((b"no picture", "no format"), (picture[:200], "damaged"), (bomb.getvalue(), "pixels")):
        status, body = server.complete(messages=shown(data))
        assert (status, says in body["error"]["message"]) == (400, True), body
    for url in ("https://example.org/a.png", "file:///etc/passwd", "data:image/png,abc"):
        parts = [{"type": "image_url", "image_url": {"url": url}}]
        assert server.complete(messages=[{"role": "user", "content": parts}])[0] == 400


def test_a_wrong_token_is_refused_everywhere_but_on_the_page(server: Server) -> None:
    with pytest.raises(openai.AuthenticationError):
        server.client("wrong").models.list()
    for path in ("/v1/models", "/metrics", "/v1/../v1/models"):
        assert server.ask("GET", path, Authorization="")[0] in (401, 404)
    assert server.ask("GET", "/", Authorization="")[0] == 200
    assert server.ask("GET", "/health", Authorization="")[0] == 200


def test_other_origins_and_other_types_of_body_are_refused(server: Server) -> None:
    assert server.ask("POST", "/v1/chat/completions", b"{}", Origin="https://evil.example")[0] == 403
    assert server.ask("POST", "/v1/chat/completions", b"{}", Content_Type="text/plain")[0] == 415


def test_a_body_that_is_too_large_is_refused_with_or_without_its_length(server: Server) -> None:
    assert server.ask("POST", "/v1/chat/completions", b" " * 1_000_001)[0] == 413
    with socket.create_connection(("127.0.0.1", server.port), timeout=60) as raw:
        head = "POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer a-token-of-the-tests\r\n"
        raw.sendall((head + "Content-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n").encode())
        for _ in range(11):
            raw.sendall(b"186a0\r\n" + b" " * 100_000 + b"\r\n")
        assert b" 413 " in raw.recv(200)


def test_paths_lead_nowhere_but_to_the_page(server: Server) -> None:
    for path in ("/../pyproject.toml", "/page.js/../../tiny/config.json", "/%2e%2e/config.py", "/assets/serve/page.js"):
        assert server.ask("GET", path)[0] == 404
    assert "default-src 'none'" in server.ask("GET", "/")[1]["content-security-policy"]


# ---- clients that go away, many of them, the end ----


def test_a_client_that_goes_away_takes_its_request_out_of_the_engine(server: Server) -> None:
    body = json.dumps({"messages": SUM, "temperature": 2, "max_tokens": 300, "n": 8, "stream": True}).encode()
    head = (
        f"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer a-token-of-the-tests\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    before = server.metric("rethinker_completion_tokens_total")
    for stream in (body, body.replace(b"true", b"false")):
        with socket.create_connection(("127.0.0.1", server.port), timeout=60) as raw:
            raw.sendall(head.replace(str(len(body)), str(len(stream))).encode() + stream)
            until(lambda: server.metric("rethinker_choices_waiting") == 8)
            raw.shutdown(socket.SHUT_WR)  # half closed is gone
            until(lambda: server.metric("rethinker_choices_waiting") == 0)
    assert server.metric("rethinker_completion_tokens_total") == before
    assert server.complete()[0] == 200


def test_more_than_may_wait_are_told_to_come_again(server: Server) -> None:
    with ThreadPoolExecutor(6) as pool:
        asked = {"n": 8, "max_tokens": 300, "temperature": 2}
        statuses = [status for status, _ in pool.map(lambda _: server.complete(**asked), range(6))]
    assert set(statuses) == {200, 429}


def test_none_of_32_clients_starves(server: Server, picture: bytes) -> None:
    def ask(number: int) -> str:
        reply = server.client().chat.completions.create(
            model="tiny",
            messages=shown(picture) if number % 2 else SUM,  # type: ignore[arg-type]
            seed=number,
            extra_body={"rethink": "auto"},
        )
        return reply.choices[0].finish_reason

    with ThreadPoolExecutor(32) as pool:
        assert len(list(pool.map(ask, range(32)))) == 32
    assert server.metric("rethinker_choices_waiting") == 0


def test_a_signal_lets_the_answer_under_way_be_finished() -> None:
    made = started()
    chunks = iter(
        made.client().chat.completions.create(
            model="tiny", messages=SUM, temperature=2, max_tokens=400, seed=1, stream=True
        )
    )
    next(chunks)
    status = ended(made)
    assert [chunk.choices[0].finish_reason for chunk in chunks][-1] in ("stop", "length")
    assert status == 0


def test_a_signal_waits_for_nobody_who_has_not_asked() -> None:
    """A body may take 30 s to come; the drain would be longer still."""
    made = started("--drain", "600")
    with ExitStack() as open_ones:
        for said in (b"", b"GET /health HTTP/1.1\r\nHost:", HALF_A_BODY):
            waiting = open_ones.enter_context(socket.create_connection(("127.0.0.1", made.port)))
            waiting.sendall(said)
        assert made.client().models.list().data  # so the others have been heard
        made.process.terminate()
        assert made.process.wait(25) == 0


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--host", "0.0.0.0"], "there is no token"),
        (["--max-tokens", "100000"], "leaves no room"),
        (["nowhere/at/all"], "there is no folder"),
        (["--port", "99999"], "cannot listen"),
    ],
)
def test_a_start_that_cannot_be_is_told(
    arguments: list[str], says: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from rethinker.cli import main

    monkeypatch.delenv("RETHINKER_TOKEN", raising=False)
    with pytest.raises(SystemExit) as stop:
        main(["serve", "--port", "0", *arguments])
    assert stop.value.code == 1
    assert says in capsys.readouterr().err
