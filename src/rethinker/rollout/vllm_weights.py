"""The learner's weights in vLLM: which of its parameters each goes to, and whether it arrived.

vLLM fuses weights (q, k and v; gate and up) and shards them over ranks, each family in its own way. What goes where is
asked of vLLM itself (`WeightReceiver.probe_weights`); from then on Σ w² of what it holds must be that of what was sent.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from rethinker.errors import ModelError, RethinkerError

NamedWeights = Iterator[tuple[str, Tensor]]

Send = Callable[[NamedWeights], None]
"""Brings weights to every worker, under their Hugging Face names."""

_CHUNK_BYTES = 250_000_000
"""Of weights that are copied to workers in other processes at a time."""

_CLOSE = 1e-9
"""Relative difference of two sums of the same squares in another order; a weight that was not updated is farther."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Probe:
    """What one worker found (`WeightReceiver.probe_weights`).

    Attributes:
        landed: Of each weight, the parameter it went to and how many elements; or why it went to none.
        dtypes: Type of each parameter.
        unfilled: Parameters of which something was reached by no weight.
    """

    landed: dict[str, tuple[str, int] | str]
    dtypes: dict[str, str]
    unfilled: list[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where a weight goes.

    Attributes:
        shape: Of the whole weight.
        copies: How often each of its elements stands over all ranks: 1 where they are sharded.
    """

    parameter: str
    dtype: torch.dtype
    shape: tuple[int, ...]
    copies: int


def places(probes: Sequence[Probe], shapes: Mapping[str, Sequence[int]]) -> dict[str, Place]:
    """Where each weight goes, from what every rank found.

    Raises:
        ModelError: vLLM has no place for a weight, or a parameter of its own that no weight fills.
    """
    found: dict[str, Place] = {}
    homeless: dict[str, str] = {}
    for name, shape in shapes.items():
        landed = [probe.landed[name] for probe in probes]
        reasons = [each for each in landed if isinstance(each, str)]
        counts = [each[1] for each in landed if not isinstance(each, str)]
        copies, rest = divmod(sum(counts), int(torch.Size(shape).numel()))
        if reasons or rest or not copies:
            homeless[name] = reasons[0] if reasons else f"{sum(counts)} of its elements arrived"
            continue
        parameter = landed[0][0]
        dtype = getattr(torch, probes[0].dtypes[parameter])
        found[name] = Place(parameter=parameter, dtype=dtype, shape=tuple(shape), copies=copies)
    unfilled = sorted({name for probe in probes for name in probe.unfilled})
    if homeless or unfilled:
        raise ModelError(
            "vLLM's parameters are not the learner's: "
            + _some("no place for", [f"{name} ({reason})" for name, reason in homeless.items()])
            + ("; " if homeless and unfilled else "")
            + _some("nothing for vLLM's", unfilled)
            + ". Use engine.kind=torch, or a version of vLLM that serves this model with all its weights"
        )
    return found


class Receipt:
    """What was sent in one sync, counted as it passes by.

    Args:
        places: Where each weight goes.
    """

    def __init__(self, places: Mapping[str, Place]) -> None:
        self._places = places
        self._expected = dict.fromkeys((place.parameter for place in places.values()), 0.0)
        self._left = set(places)

    def passing(self, weights: NamedWeights) -> NamedWeights:
        """The weights, in the types that vLLM holds them in.

        Raises:
            RethinkerError: one of them is none of the model's, or came twice.
        """
        for name, weight in weights:
            if name not in self._left:
                known = "came twice" if name in self._places else "is not among the weights that the engine was told of"
                raise RethinkerError(f"the weight {name} {known}; the model must not change after the engine is made")
            self._left.remove(name)
            place = self._places[name]
            cast = weight.detach().to(place.dtype)
            self._expected[place.parameter] += place.copies * squares(cast)
            yield name, cast

    def sent(self) -> dict[str, float]:
        """Σ w² of what was sent for every parameter, as all ranks together should hold it.

        Raises:
            RethinkerError: a weight was not sent.
        """
        if self._left:
            raise RethinkerError(_some("a sync did not send", sorted(self._left)))
        return self._expected


def compare(sent: Mapping[str, float], held: Sequence[Mapping[str, float]]) -> None:
    """Σ w² of every parameter over all ranks is that of what was sent.

    Args:
        sent: By parameter (`Receipt.sent`).
        held: What each rank holds.

    Raises:
        RethinkerError: otherwise.
    """
    odd = []
    for name, expected in sent.items():
        found = sum(rank[name] for rank in held)
        if not abs(found - expected) <= _CLOSE * max(expected, 1e-30):
            odd.append(f"{name} (norm {found**0.5:.9g}, sent {expected**0.5:.9g})")
    if odd:
        raise RethinkerError(
            _some("after a sync vLLM does not hold what the learner sent:", odd)
            + ". A weight is not finite, or vLLM changes it when it loads (a quantised model, say)"
        )


def chunks(weights: NamedWeights) -> Iterator[list[tuple[str, Tensor]]]:
    """Weights in lists of a bounded size."""
    chunk: list[tuple[str, Tensor]] = []
    for name, weight in weights:
        chunk.append((name, weight))
        if sum(each.nbytes for _, each in chunk) >= _CHUNK_BYTES:
            yield chunk
            chunk = []
    if chunk:
        yield chunk


def by_copies(call: Callable[..., list[Any]]) -> Send:
    """Weights as arguments of a call: shared with a worker in this process, copied to one in another."""

    def send(weights: NamedWeights) -> None:
        for chunk in chunks(weights):
            call("take_weights", chunk)

    return send


def squares(weight: Tensor) -> float:
    """Σ w² in float64."""
    return float(torch.linalg.vector_norm(weight.detach(), dtype=torch.float64)) ** 2


def _some(what: str, items: Iterable[str], most: int = 3) -> str:
    listed = list(items)
    if not listed:
        return ""
    return f"{what} {', '.join(listed[:most])}" + (f" and {len(listed) - most} more" if len(listed) > most else "")
