"""Several data sets as one: streams drawn by weight, sources one after another, ids that tell the parts apart."""

from __future__ import annotations

from bisect import bisect, bisect_right
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from itertools import accumulate

from rethinker.interfaces import ProblemSource, Stream
from rethinker.seeding import Purpose, generator
from rethinker.types import Outline, Problem, State


class MixtureStream(Stream):
    """Training problems of several streams; which of them a position is drawn from depends on seed and position alone.

    Args:
        parts: Streams whose problems have different ids, with their relative weights.
        seed: Keys the draws.
    """

    def __init__(self, parts: Sequence[tuple[Stream, float]], *, seed: int) -> None:
        self._parts = [stream for stream, _ in parts]
        total = sum(weight for _, weight in parts)
        self._edges = list(accumulate(weight / total for _, weight in parts))
        self._seed = seed
        self._position = 0

    def take(self, n: int) -> list[Problem]:
        """The next `n` problems.

        Raises:
            DatasetError: too large a share of a part's rows is bad, or none is good.
        """
        drawn = [self._part(position) for position in range(self._position, self._position + n)]
        taken = {part: iter(self._parts[part].take(times)) for part, times in sorted(Counter(drawn).items())}
        self._position += n
        return [next(taken[part]) for part in drawn]

    def state_dict(self) -> State:
        """The position, and every part's."""
        return {"position": self._position, "parts": [part.state_dict() for part in self._parts]}

    def load_state_dict(self, state: State) -> None:
        """Go to the position of `state_dict`."""
        self._position = state["position"]
        for part, place in zip(self._parts, state["parts"], strict=True):
            part.load_state_dict(place)

    def _part(self, position: int) -> int:
        draw = generator(self._seed, Purpose.MIXTURE, step=position).random()
        return bisect(self._edges, draw, hi=len(self._edges) - 1)


class Joined(ProblemSource):
    """The rows of several sources, one source after another."""

    def __init__(self, sources: Sequence[ProblemSource]) -> None:
        self._sources = tuple(sources)
        self._starts = [0, *accumulate(len(source) for source in sources)]

    def __len__(self) -> int:
        return self._starts[-1]

    def id(self, index: int) -> str:
        """The row's id."""
        source, row = self._place(index)
        return source.id(row)

    def outline(self, index: int) -> Outline:
        """The row's outline."""
        source, row = self._place(index)
        return source.outline(row)

    def __getitem__(self, index: int) -> Problem:
        """Read one row.

        Raises:
            DataError: the row cannot become a problem.
        """
        source, row = self._place(index)
        return source[row]

    def _place(self, index: int) -> tuple[ProblemSource, int]:
        place = bisect_right(self._starts, index) - 1
        return self._sources[place], index - self._starts[place]


class PrefixedStream(Stream):
    """Another stream, with `<prefix>/` before its problems' ids."""

    def __init__(self, stream: Stream, prefix: str) -> None:
        self._stream = stream
        self._prefix = prefix

    def take(self, n: int) -> list[Problem]:
        """The next `n` problems."""
        return [replace(problem, id=f"{self._prefix}/{problem.id}") for problem in self._stream.take(n)]

    def state_dict(self) -> State:
        """The other stream's."""
        return self._stream.state_dict()

    def load_state_dict(self, state: State) -> None:
        """Go to where the other stream was."""
        self._stream.load_state_dict(state)


class Prefixed(ProblemSource):
    """Another source, with `<prefix>/` before its ids."""

    def __init__(self, source: ProblemSource, prefix: str) -> None:
        self._source = source
        self._prefix = prefix

    def __len__(self) -> int:
        return len(self._source)

    def id(self, index: int) -> str:
        """The row's id."""
        return f"{self._prefix}/{self._source.id(index)}"

    def outline(self, index: int) -> Outline:
        """The row's outline."""
        return replace(self._source.outline(index), id=self.id(index))

    def __getitem__(self, index: int) -> Problem:
        """Read one row.

        Raises:
            DataError: the row cannot become a problem.
        """
        return replace(self._source[index], id=self.id(index))
