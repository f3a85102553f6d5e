"""The most bytes of tensors alive at once, counted as they come and go: a memory profile that needs no GPU."""

from __future__ import annotations

import weakref
from collections.abc import Iterable
from typing import Any, Self

from torch import Tensor, UntypedStorage
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_iter


class LivePeak(TorchDispatchMode):
    """While entered, counts the storage of every tensor that an operation reads or makes, once, until it is freed.

    Args:
        held: Tensors that are alive from the start.
        elsewhere: Tensors that are not counted: on a machine with a GPU they would not lie in its memory.
    """

    def __init__(self, held: Iterable[Tensor], *, elsewhere: Iterable[Tensor] = ()) -> None:
        super().__init__()
        self.peak = self._live = 0
        self._elsewhere = list(elsewhere)  # held, so that no other storage gets their address
        self._uncounted = {tensor.untyped_storage()._cdata for tensor in self._elsewhere}
        self._seen: dict[int, weakref.ref[UntypedStorage]] = {}
        for tensor in held:
            self._count(tensor)

    def __torch_dispatch__(
        self, function: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        with self:  # under inference_mode torch hands over operations made of others; what is made inside counts too
            inside = function.decompose(*args, **(kwargs or {}))
        if inside is not NotImplemented:
            return inside
        made = function(*args, **(kwargs or {}))
        for value in tree_iter((args, kwargs, made)):
            if isinstance(value, Tensor):
                self._count(value)
        return made

    def __enter__(self) -> Self:
        super().__enter__()
        return self

    def _count(self, tensor: Tensor) -> None:
        storage = tensor.untyped_storage()
        key = storage._cdata
        if key in self._seen or key in self._uncounted or tensor.device.type == "meta":
            return
        size = storage.nbytes()
        self._live += size
        self.peak = max(self.peak, self._live)

        def freed(_: object) -> None:
            if self._seen.pop(key, None) is not None:
                self._live -= size

        self._seen[key] = weakref.ref(storage, freed)


def bytes_of(tensors: Iterable[Tensor]) -> int:
    """Bytes of tensors, memory that several share counted once."""
    return sum({t.untyped_storage()._cdata: t.untyped_storage().nbytes() for t in tensors}.values())
