"""What travels between processes: values with their prompts by name, and each prompt, with its images, once per peer.

Prompts keep their identity: where two experiences share one here, they share one there, so that the learner and the
engine over there know siblings as they do here. A prompt that nobody holds any more is forgotten on both sides.
"""

from __future__ import annotations

import io
import pickle
import threading
import weakref
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import count
from typing import Any

from rethinker.types import Prompt

_PROMPT, _CARRIED = "prompt", "carried"


@dataclass(frozen=True, slots=True, kw_only=True)
class Shipment:
    """A value on its way.

    Attributes:
        body: The value, prompts by name.
        prompts: Those the receiver has not seen, by name; each as itself or as something that the receiver can fetch.
        dropped: Names that no later body will hold.
        carried: Parts of the value that whoever carries the shipment must see, by their places here.
    """

    body: bytes
    prompts: Mapping[int, object]
    dropped: tuple[int, ...]
    carried: tuple[object, ...]


class Catalogue:
    """The names of prompts, shared by all senders of a driver.

    Args:
        store: Puts a prompt where every receiver can fetch it, once; without, it travels in the shipments themselves.
        carried: Types whose values the carrier must see: references into a store, which it counts.
    """

    def __init__(self, store: Callable[[Prompt], object] | None = None, *, carried: tuple[type, ...] = ()) -> None:
        self._store = store
        self.carried = carried
        self._names: weakref.WeakKeyDictionary[Prompt, int] = weakref.WeakKeyDictionary()
        self._stored: dict[int, object] = {}
        self._next = count()
        self._lock = threading.Lock()

    def name(self, prompt: Prompt) -> int:
        """The prompt's name, for as long as it lives here."""
        with self._lock:
            name = self._names.get(prompt)
            if name is None:
                name = self._names[prompt] = next(self._next)
            return name

    def stored(self, name: int, prompt: Prompt) -> object:
        """What the receiver gets."""
        if self._store is None:
            return prompt
        with self._lock:
            if name not in self._stored:
                self._stored[name] = self._store(prompt)
                weakref.finalize(prompt, self._stored.pop, name, None).atexit = False
            return self._stored[name]


class Sender:
    """Packs values for one receiver."""

    def __init__(self, catalogue: Catalogue) -> None:
        self._catalogue = catalogue
        self._known: set[int] = set()
        self._dropped: deque[int] = deque()

    def pack(self, value: object) -> Shipment:
        """A value, with the prompts that the receiver has not got."""
        file = io.BytesIO()
        pickler = _Pickler(file, self._catalogue)
        pickler.dump(value)
        fresh = {name: prompt for name, prompt in pickler.met.items() if name not in self._known}
        prompts = {name: self._catalogue.stored(name, prompt) for name, prompt in fresh.items()}
        for name, prompt in fresh.items():
            self._known.add(name)
            weakref.finalize(prompt, self._dropped.append, name).atexit = False
        dropped = tuple(self._dropped.popleft() for _ in range(len(self._dropped)))
        self._known.difference_update(dropped)
        return Shipment(body=file.getvalue(), prompts=prompts, dropped=dropped, carried=tuple(pickler.carried))


class Receiver:
    """Unpacks what one sender packed.

    Args:
        fetch: Gets a prompt from what the sender's store gave for it.
    """

    def __init__(self, fetch: Callable[[Any], Prompt] = lambda prompt: prompt) -> None:
        self._fetch = fetch
        self._prompts: dict[int, Prompt] = {}

    def unpack(self, shipment: Shipment) -> Any:
        """The value, its prompts the same objects as in earlier values."""
        for name in shipment.dropped:
            self._prompts.pop(name, None)
        for name, prompt in shipment.prompts.items():
            self._prompts[name] = self._fetch(prompt)
        return _Unpickler(io.BytesIO(shipment.body), self._prompts, shipment.carried).load()


class _Pickler(pickle.Pickler):
    """Names prompts instead of pickling them, and remembers which it met; likewise what is carried."""

    def __init__(self, file: io.BytesIO, catalogue: Catalogue) -> None:
        super().__init__(file, protocol=pickle.HIGHEST_PROTOCOL)
        self._catalogue = catalogue
        self.met: dict[int, Prompt] = {}
        self.carried: list[object] = []

    def persistent_id(self, obj: object) -> tuple[str, int] | None:
        if type(obj) is Prompt:
            name = self._catalogue.name(obj)
            self.met[name] = obj
            return _PROMPT, name
        if isinstance(obj, self._catalogue.carried):
            self.carried.append(obj)
            return _CARRIED, len(self.carried) - 1
        return None


class _Unpickler(pickle.Unpickler):
    def __init__(self, file: io.BytesIO, prompts: Mapping[int, Prompt], carried: Sequence[object]) -> None:
        super().__init__(file)
        self._prompts = prompts
        self._carried = carried

    def persistent_load(self, pid: tuple[str, int]) -> object:
        kind, place = pid
        return self._prompts[place] if kind == _PROMPT else self._carried[place]
