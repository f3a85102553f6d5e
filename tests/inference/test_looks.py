"""Responses look by look, their text as it comes, and what may be fetched."""

import json
import sys
from io import BytesIO, TextIOWrapper
from pathlib import Path

import pytest

from rethinker.cli import main
from rethinker.inference.looks import UNSURE, Look, Response
from rethinker.inference.refused import Refused
from rethinker.inference.remote_images import public_address
from rethinker.inference.text_stream import TextStream


def letters(ids: object) -> str:
    """Token i is the byte i."""
    return bytes(ids).decode("utf-8", "replace")  # type: ignore[call-overload]


def look(answer: str | None, *, number: int = 0, logprob: float | None = 0.0) -> Look:
    return Look(
        number=number, trigger="", text="", answer=answer, tokens=1, finish="stop", logprob=logprob
    )  # fmt: skip


def test_a_character_of_several_tokens_comes_whole() -> None:
    stream = TextStream(letters)
    assert [stream.push([each]) for each in "a€b".encode()] == ["a", "", "", "€", "b"]


def test_a_text_that_may_begin_a_stop_is_held_back() -> None:
    stream = TextStream(letters, ["END"])
    assert [stream.push([each]) for each in b"aENxEND!"] == ["a", "", "", "ENx", "", "", "", ""]
    assert (stream.text, stream.stopped) == ("aENx", True)


def test_what_was_held_back_comes_with_the_last_token() -> None:
    stream = TextStream(letters, ["END"])
    assert stream.push(b"aEN") == "a"
    assert stream.push(b"", last=True) == "EN"


def test_auto_looks_again_without_an_answer_or_at_an_unlikely_one() -> None:
    assert look(None).unsure
    assert look("7", logprob=UNSURE - 0.01).unsure
    assert not look("7", logprob=UNSURE + 0.01).unsure


def test_a_second_look_without_an_answer_leaves_the_first() -> None:
    response = Response(looks=(look("7"), look(None, number=1)), tokens=2)
    assert (response.answer, response.changed) == ("7", False)
    assert Response(looks=(look("7"), look("8", number=1)), tokens=2).changed


@pytest.mark.parametrize(
    "host", ["127.0.0.1", "10.0.0.1", "169.254.169.254", "::1", "::ffff:10.0.0.1", "64:ff9b::a00:1", "0.0.0.0"]
)
def test_addresses_that_are_not_public_are_not_fetched(host: str) -> None:
    with pytest.raises(Refused, match="not public"):
        public_address(host, 443)


def test_ask_reads_an_image_from_standard_input_and_tells_machines(
    picture: bytes, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "stdin", TextIOWrapper(BytesIO(picture)))
    with pytest.raises(SystemExit) as stop:
        main(["ask", "tiny", "-", "How many circles are there?", "--rethink", "2", "--json"])
    assert stop.value.code == 0
    told = json.loads(capsys.readouterr().out)
    assert len(told["looks"]) == 3
    assert told["text"] == "".join(each["trigger"] + each["text"] for each in told["looks"])


def test_ask_marks_each_look_and_says_whether_the_answer_changed(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["ask", "tiny", "How much is 3 + 4?", "--rethink", "1"])
    shown = capsys.readouterr().out
    assert shown.index("second look 1") < shown.index("Wait") < shown.index("answer:")
    assert "changed" in shown


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["tiny", "no.png", "What?"], "there is no such file"),
        (["tiny", __file__, "What?"], "in no format that is read"),
        (["tiny", __file__], "no question follows it"),
        (["tiny", " "], "the question is empty"),
        (["tiny", "What?", "--rethink", "often"], "--rethink is 'often'"),
        (["tiny", "-", "-", "What?"], "standard input"),
        (["no/such/folder", "What?"], "there is no folder"),
        ([str(Path(__file__).parent), "What?"], "neither a model"),
    ],
)
def test_ask_says_what_is_wrong(arguments: list[str], says: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        main(["ask", *arguments])
    assert stop.value.code == 1
    assert says in " ".join(capsys.readouterr().err.split())
