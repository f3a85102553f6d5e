"""The protocol between pool and workers: what goes in comes out, and nonsense is noticed."""

import io

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rethinker.rewards.wire import (
    GarbledError,
    Inbox,
    decode_verdict,
    encode_verdict,
    pack,
    pack_batch,
    read_frame,
    unpack_batch,
)
from rethinker.types import Image, Outcome, Problem, Verdict

IMAGES = tuple(Image(pixels=np.arange(size, dtype=np.uint8).reshape(-1, 2, 3)) for size in (12, 30))
SEEN = Problem(
    id="seen", images=IMAGES, question="<image> or <image>?", answer="A", verifier="choice", choices=("1", "2")
)
TOLD = Problem(id="told", images=(), question="2+2?", answer="4", verifier="number", category="sums", source="us")


def travel(*batch: tuple[Problem, str], whole: bool) -> list[tuple[Problem, str]]:
    frame = read_frame(io.BytesIO(pack_batch(batch, whole=whole)))
    assert frame is not None
    return unpack_batch(*frame)


def test_a_whole_problem_comes_back_and_siblings_share_it() -> None:
    (first, one), (told, two), (again, three) = travel((SEEN, "a"), (TOLD, "b\ud800"), (SEEN, "c"), whole=True)
    assert (one, two, three) == ("a", "b\ud800", "c")
    assert first is again
    assert told == TOLD
    assert [image.id for image in first.images] == [image.id for image in IMAGES]
    assert (first.question, first.answer, first.choices) == (SEEN.question, SEEN.answer, SEEN.choices)


def test_rules_get_the_answer_but_neither_question_nor_images() -> None:
    [(received, _)] = travel((SEEN, "a"), whole=False)
    assert (received.question, received.images) == ("", ())
    assert (received.answer, received.verifier, received.choices) == (SEEN.answer, SEEN.verifier, SEEN.choices)
    assert len(pack_batch([(SEEN, "a")] * 8, whole=False)) < 500


@given(st.integers(1, 40))
def test_messages_are_cut_wherever_the_pipe_cuts(chunk: int) -> None:
    sent = [
        encode_verdict(Verdict(outcome=Outcome.OK, reward=1 / 3, extracted=text, detail="")) for text in ("a", "é", "")
    ]
    stream = b"".join(pack(message) for message in sent)
    inbox, received = Inbox(), []
    for start in range(0, len(stream), chunk):
        received += list(inbox.feed(stream[start : start + chunk]))
    assert received == sent
    assert decode_verdict(received[1]).extracted == "é"


@given(st.binary(max_size=100))
def test_nonsense_is_garbled_or_unfinished_but_never_a_crash(noise: bytes) -> None:
    try:
        messages = list(Inbox().feed(noise))
    except GarbledError:
        return
    assert all(isinstance(message, dict) for message in messages)


@pytest.mark.parametrize("record", [{}, {"outcome": "fine", "reward": 1, "extracted": None, "detail": ""}])
def test_what_is_no_verdict_is_garbled(record: dict[str, object]) -> None:
    with pytest.raises(GarbledError):
        decode_verdict(record)
