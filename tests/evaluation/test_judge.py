from pathlib import Path

import pytest
from stub_judge import Reply, Stub, said, stub_judge

from rethinker.errors import ConfigError, JudgeError
from rethinker.evaluation.chat import ChatEndpoint
from rethinker.evaluation.judge import KEY_VARIABLE, Judge, JudgeCounts, open_judge


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("no_proxy", "127.0.0.1")


def judge(stub: Stub, *, cache: Path | None = None, attempts: int = 3, timeout_s: float = 5.0, key: str = "") -> Judge:
    endpoint = ChatEndpoint(stub.url, key=key, timeout_s=timeout_s)
    return Judge(endpoint, "gpt-3.5-turbo", cache=cache, attempts=attempts, sleep=lambda _: None)


def one_or_zero(answer: str) -> str | None:
    return answer.strip() if answer.strip() in ("0", "1") else None


def test_a_request_is_greedy_and_carries_the_key(tmp_path: Path):
    with stub_judge(said(" 1 ")) as stub:
        assert judge(stub, key="secret").ask("Is it so?", one_or_zero, max_tokens=256) == "1"
    assert stub.asked == [
        {
            "model": "gpt-3.5-turbo",
            "messages": [{"role": "user", "content": "Is it so?"}],
            "temperature": 0,
            "max_tokens": 256,
        }
    ]
    assert stub.paths == ["/v1/chat/completions"]
    assert stub.headers[0]["Authorization"] == "Bearer secret"


def test_what_was_answered_is_not_asked_again_even_by_another_process(tmp_path: Path):
    with stub_judge(said("1"), said("0")) as stub:
        first = judge(stub, cache=tmp_path)
        assert [first.ask("a", one_or_zero, max_tokens=8) for _ in range(3)] == ["1", "1", "1"]
        second = judge(stub, cache=tmp_path, key="another")
        assert second.ask("a", one_or_zero, max_tokens=8) == "1"
        assert second.ask("b", one_or_zero, max_tokens=8) == "0"
    assert first.counts == JudgeCounts(asked=1, cached=2)
    assert second.counts == JudgeCounts(asked=1, cached=1)
    assert "another" not in "".join(file.read_text() for file in tmp_path.iterdir())


@pytest.mark.parametrize(
    "bad",
    [
        Reply(status=500, body=b"oops"),
        Reply(status=429),
        Reply(body=b"<html>"),
        Reply(body=b'{"choices": []}'),
        Reply(body=b'["choices"]'),
        Reply(body=b"[" * 100_000),
        said(None),
        Reply(body=b"x" * 2_000_000),
    ],
)
def test_a_failure_that_may_pass_is_asked_again(bad: Reply):
    with stub_judge(bad, said("1")) as stub:
        asker = judge(stub)
        assert asker.ask("a", one_or_zero, max_tokens=8) == "1"
    assert asker.counts == JudgeCounts(asked=2, retried=1)


def test_nonsense_is_counted_not_kept_and_named(tmp_path: Path):
    with stub_judge(said("maybe"), said("0 or 1"), said("The answers agree.")) as stub:
        asker = judge(stub, cache=tmp_path)
        with pytest.raises(JudgeError, match=r"answered 'The answers agree\.', which is not of the form"):
            asker.ask("a", one_or_zero, max_tokens=8)
    assert asker.counts == JudgeCounts(asked=3, retried=2, unusable=3, failed=1)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("status", [400, 401, 403, 404, 302])
def test_what_will_never_be_answered_is_asked_once(status: int):
    reply = Reply(status=status, body=b"no such key", headers={"Location": "http://127.0.0.1:9/"})
    with stub_judge(reply) as stub:
        asker = judge(stub)
        with pytest.raises(JudgeError, match=rf"status {status}: no such key"):
            asker.ask("a", one_or_zero, max_tokens=8)
    assert asker.counts == JudgeCounts(asked=1, failed=1)


@pytest.mark.parametrize("slow", [Reply(body=said("1").body, wait_s=0.6), Reply(body=said("1").body, drip=True)])
def test_a_slow_judge_is_named(slow: Reply):
    with stub_judge(slow) as stub:
        asker = judge(stub, attempts=2, timeout_s=0.2)
        with pytest.raises(JudgeError, match=r"took longer than 0\.2 s"):
            asker.ask("a", one_or_zero, max_tokens=8)
    assert asker.counts == JudgeCounts(asked=2, retried=1, failed=1)


def test_a_judge_that_is_down_is_given_up_after_three_questions():
    with stub_judge(said("1")) as stub:
        pass
    asker = judge(stub, attempts=2)
    reasons = []
    for number in range(5):
        with pytest.raises(JudgeError) as caught:
            asker.ask(f"{number}", one_or_zero, max_tokens=8)
        reasons.append(str(caught.value))
    assert all("cannot be reached" in reason for reason in reasons[:3])
    assert all("was given up after 3 questions without an answer" in reason for reason in reasons[3:])
    assert asker.counts == JudgeCounts(asked=6, retried=3, failed=5)


def test_an_answer_in_between_keeps_a_judge_from_being_given_up():
    with stub_judge(*[Reply(status=503)] * 2, said("1"), *[Reply(status=503)] * 2, said("0")) as stub:
        asker = judge(stub, attempts=1)
        for expected in (None, None, "1", None, None, "0"):
            if expected is None:
                with pytest.raises(JudgeError, match="status 503"):
                    asker.ask("a", one_or_zero, max_tokens=8)
            else:
                assert asker.ask("a", one_or_zero, max_tokens=8) == expected


def test_a_damaged_file_of_the_cache_is_asked_again(tmp_path: Path):
    with stub_judge(said("1")) as stub:
        judge(stub, cache=tmp_path).ask("a", one_or_zero, max_tokens=8)
        (file,) = tmp_path.iterdir()
        for damage in (b"", b'{"answer": 1}', b"\xff"):
            file.write_bytes(damage)
            asker = judge(stub, cache=tmp_path)
            assert asker.ask("a", one_or_zero, max_tokens=8) == "1"
            assert asker.counts == JudgeCounts(asked=1)


def test_waits_double():
    waits: list[float] = []
    with stub_judge(Reply(status=500)) as stub:
        asker = Judge(ChatEndpoint(stub.url), "m", attempts=4, wait_s=0.5, sleep=waits.append)
        with pytest.raises(JudgeError):
            asker.ask("a", one_or_zero, max_tokens=8)
    assert waits == [0.5, 1.0, 2.0]


@pytest.mark.parametrize(
    "url",
    ["", "localhost:8000", "ftp://host/v1", "file:///etc/passwd", "http://", "http://[", "http://h:x", "http://a:b@h"],
)
def test_an_address_that_is_none_is_refused(url: str):
    with pytest.raises(ConfigError, match="no http or https address"):
        ChatEndpoint(url)


def test_the_address_may_be_the_whole_one():
    assert ChatEndpoint("http://host/v1/chat/completions").url == ChatEndpoint("http://host/v1/").url


def test_the_key_is_the_environments(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    with stub_judge(said("1")) as stub:
        monkeypatch.setenv(KEY_VARIABLE, "secret")
        assert open_judge(stub.url, "m", cache=tmp_path / "kept").ask("a", one_or_zero, max_tokens=8) == "1"
        monkeypatch.delenv(KEY_VARIABLE)
        assert open_judge(stub.url, "m", cache=None).ask("a", one_or_zero, max_tokens=8) == "1"
    assert [headers.get("Authorization") for headers in stub.headers] == ["Bearer secret", None]
    monkeypatch.setenv(KEY_VARIABLE, "sec\nret")
    with pytest.raises(ConfigError, match="line break") as caught:
        open_judge(stub.url, "m", cache=None)
    assert "sec" not in str(caught.value)


def test_a_cache_that_cannot_be_made_is_named(tmp_path: Path):
    (tmp_path / "file").touch()
    with pytest.raises(ConfigError, match=r"cache .*file cannot be made"):
        open_judge("http://127.0.0.1:9/v1", "m", cache=tmp_path / "file")
