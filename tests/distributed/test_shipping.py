from __future__ import annotations

import gc
import pickle

import numpy as np

from rethinker.distributed.shipping import Catalogue, Receiver, Sender, Shipment
from rethinker.types import Image, Prompt


def prompt(name: str = "p") -> Prompt:
    pixels = np.arange(48 * 48 * 3, dtype=np.uint8).reshape(48, 48, 3)
    return Prompt(problem_id=name, token_ids=np.arange(5), images=(Image(pixels=pixels),), text=name)


def sent(shipment: Shipment) -> Shipment:
    """As it comes out at the other end."""
    received: Shipment = pickle.loads(pickle.dumps(shipment))
    return received


def test_siblings_share_their_prompt_at_the_other_end_and_later_too() -> None:
    sender, receiver, one = Sender(Catalogue()), Receiver(), prompt()
    first, second = receiver.unpack(sent(sender.pack([one, one])))
    assert first is second
    assert first.text == one.text
    assert np.array_equal(first.images[0].pixels, one.images[0].pixels)
    assert receiver.unpack(sent(sender.pack({"again": one})))["again"] is first


def test_a_prompt_and_its_images_travel_once() -> None:
    sender, one = Sender(Catalogue()), prompt()
    assert len(pickle.dumps(sender.pack([one]))) > one.images[0].pixels.nbytes
    assert len(pickle.dumps(sender.pack([one] * 10))) < 300


def test_each_receiver_gets_a_prompt_but_it_is_stored_once() -> None:
    stored: list[Prompt] = []

    def store(what: Prompt) -> int:
        stored.append(what)
        return len(stored) - 1

    catalogue = Catalogue(store)
    one, receivers = prompt(), [Receiver(stored.__getitem__) for _ in range(2)]
    found = [receiver.unpack(sent(Sender(catalogue).pack(one))) for receiver in receivers]
    assert stored == [one]
    assert [each.text for each in found] == [one.text] * 2


def test_a_prompt_that_nobody_holds_is_forgotten_on_both_sides() -> None:
    catalogue = Catalogue(lambda what: ("kept", what.text))
    sender, receiver, one, other = Sender(catalogue), Receiver(lambda pair: prompt(pair[1])), prompt("1"), prompt("2")
    receiver.unpack(sent(sender.pack([one, other])))
    del one
    gc.collect()
    shipment = sender.pack(other)
    assert len(shipment.dropped) == 1
    receiver.unpack(sent(shipment))
    assert [each.text for each in receiver._prompts.values()] == ["2"]
    assert list(catalogue._stored.values()) == [("kept", "2")]
    assert not sender.pack(other).dropped
