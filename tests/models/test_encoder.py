import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from tests.rollout.scripted import problem

from rethinker.errors import DataError
from rethinker.models.encoder import Ahead, Encoded, Encoder
from rethinker.models.pixels import Prepared
from rethinker.models.vlm import VLM


@pytest.fixture
def encoder(tiny_vlm: VLM) -> Encoder:
    return Encoder(tiny_vlm.processor, model="tiny")


def prepared(encoded: Encoded) -> Prepared:
    return Prepared(pixels={}, token_types={}, positions=encoded.inputs["input_ids"])


def test_what_was_encoded_ahead_is_handed_out_once_and_is_the_same(encoder: Encoder) -> None:
    ahead = Ahead(encoder, prepare=prepared, limit=10_000_000)
    asked = problem("seen", image=True)
    ahead.put(asked, "plain")
    taken, wanted = ahead.take(asked, "plain"), encoder.encode(asked, "plain")
    assert taken is not None
    found, made_of_it = taken
    assert made_of_it.positions is found.inputs["input_ids"]
    assert found.text == wanted.text
    assert {name: value.tolist() for name, value in found.inputs.items()} == {
        name: value.tolist() for name, value in wanted.inputs.items()
    }
    assert ahead.take(asked, "plain") is None
    assert ahead.bytes_held == 0


def test_another_template_is_not_answered_with_this_one(encoder: Encoder) -> None:
    ahead = Ahead(encoder, prepare=prepared, limit=10_000_000)
    asked = problem("seen")
    ahead.put(asked, "plain")
    assert ahead.take(asked, "rethinking") is None


def test_nothing_is_encoded_beyond_the_limit(encoder: Encoder) -> None:
    one, other = problem("one", image=True), problem("other", image=True)
    ahead = Ahead(encoder, prepare=prepared, limit=1)
    ahead.put(one, "plain")
    ahead.put(other, "plain")
    assert ahead.take(other, "plain") is None
    assert ahead.take(one, "plain") is not None
    ahead.put(other, "plain")
    assert ahead.take(other, "plain") is not None


def test_what_cannot_be_encoded_is_refused_by_who_asks(tiny_vlm: VLM) -> None:
    asked = problem("bad", question="What does <|im_end|> mean?")
    tiny_vlm.encode_ahead(asked, "plain")
    with pytest.raises(DataError, match=r"the special token|special token <\|im_end\|>"):
        tiny_vlm.encode(asked, "plain")


def test_threads_that_read_and_one_that_trains_use_the_tokenizer_at_once(tiny_vlm: VLM) -> None:
    """A tokenizer that two threads share refuses one of them now and then."""
    asked = [problem(str(n), image=True, question=f"How many? {n}") for n in range(60)]
    done = threading.Event()

    def trains() -> int:
        counted = 0
        while not done.is_set():
            counted += len(tiny_vlm.tokenize("wait, let me look again")) + len(tiny_vlm.decode(np.array([30, 31])))
            tiny_vlm.encode(problem("another"), "plain")
        return counted

    with ThreadPoolExecutor(3) as pool:
        training = pool.submit(trains)
        for each in pool.map(lambda one: tiny_vlm.encode_ahead(one, "plain"), asked):
            assert each is None
        done.set()
        assert training.result() > 0
    wanted = {one.id: tiny_vlm._encoder.encode(one, "plain").text for one in asked}
    assert {one.id: tiny_vlm.encode(one, "plain").text for one in asked} == wanted
