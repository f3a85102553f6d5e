"""The far side: a process that serves the driver's calls, one after another, on the objects it holds."""

from __future__ import annotations

import pickle
import traceback
from collections.abc import Callable, Mapping
from typing import Any

from torch import distributed

from rethinker.distributed.shipping import Receiver, Shipment
from rethinker.errors import RankLostError, RethinkerError
from rethinker.types import Prompt


class Host:
    """Objects of one process that the driver may call.

    Args:
        served: The objects by name.
        fetch: See `Receiver`.
    """

    def __init__(self, served: Mapping[str, object], *, fetch: Callable[[Any], Prompt] = lambda prompt: prompt) -> None:
        self._served = dict(served)
        self._receiver = Receiver(fetch)

    def handle(self, target: str, shipment: Shipment) -> Any:
        """Call `method` of `object`, where `target` is `object.method`, with what was shipped."""
        name, _, method = target.partition(".")
        arguments = self._receiver.unpack(shipment)
        return getattr(self._served[name], method)(*arguments)


def portable(error: Exception, *, where: str) -> Exception:
    """The error as it can travel: itself, or its words where it cannot be pickled and read again.

    What a collective says of another rank's death is said as that.
    """
    if _is_a_death(error):
        return RankLostError(f"another learner rank died or cannot be reached: {str(error).strip().splitlines()[0]}")
    try:
        same = pickle.loads(pickle.dumps(error))
    except Exception:  # noqa: BLE001 (an error's own pickling may raise anything)
        same = RuntimeError(f"{type(error).__name__}: {error}")
    if not isinstance(error, RethinkerError):  # which says all by itself
        same.add_note(f"in {where}, there:\n{''.join(traceback.format_exception(error))}")
    return same


def _is_a_death(error: Exception) -> bool:
    """Whether a collective failed for want of another rank. gloo has no class of errors of its own."""
    return isinstance(error, distributed.DistError) or (isinstance(error, RuntimeError) and "gloo/" in str(error))
