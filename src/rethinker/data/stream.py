"""An endless stream over a finite source: every epoch is a permutation of its own, keyed by the epoch's number."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator

from rethinker.data.prefetch import Prefetch, Prepare
from rethinker.data.quarantine import Quarantine
from rethinker.errors import DataError, DatasetError
from rethinker.interfaces import ProblemSource, Stream
from rethinker.seeding import Purpose, generator
from rethinker.types import Problem, State


class ProblemStream(Stream):
    """Problems of a source, epoch after epoch. Bad rows are skipped, and counted in the quarantine.

    A problem keeps its id in later epochs. An epoch's order depends on the seed and its number alone. As many rows as
    were last asked for are read ahead, by threads: those of the next episode.
    """

    def __init__(
        self,
        source: ProblemSource,
        *,
        seed: int,
        quarantine: Quarantine,
        fingerprint: str = "",
        prepare: Prepare | None = None,
        threads: int = 0,
        memory_bytes: int = 250_000_000,
    ) -> None:
        """Start at the first row of epoch 0.

        Args:
            source: Where rows come from; read from several threads where there are any.
            seed: Keys the order.
            quarantine: Takes the bad rows.
            fingerprint: Of the files that `source` is made of; the position holds for no others.
            prepare: What the threads do with a problem besides, such as to encode it for the model.
            threads: Threads that read ahead; 0 reads each row when it is asked for.
            memory_bytes: Bound on what was read ahead.

        Raises:
            DatasetError: the source has no rows.
        """
        if not len(source):
            raise DatasetError("the training side of the data set has no rows; give it more, or lower data.held_out")
        self._source = source
        self._seed = seed
        self._quarantine = quarantine
        self._fingerprint = fingerprint
        self._prepare = prepare
        self._threads = threads
        self._memory_bytes = memory_bytes
        self._go_to(epoch=0, position=0)

    def take(self, n: int) -> list[Problem]:
        """The next `n` good problems.

        Raises:
            DatasetError: too large a share of the rows is bad, or as many bad rows in a row as the source has.
        """
        problems: list[Problem] = []
        bad_in_a_row = 0
        while len(problems) < n:
            self._announce(n)
            row = self._next_row()
            try:
                problems.append(self._prefetch.take())
                bad_in_a_row = 0
            except DataError as error:
                bad_in_a_row += 1
                self._quarantine.add(self._source.id(row), str(error))
            if bad_in_a_row == len(self._source):
                raise DatasetError(
                    f"none of the {bad_in_a_row} rows tried one after another is good. {self._quarantine.summary()}"
                )
        self._announce(n)
        return problems

    def state_dict(self) -> State:
        """The position: epoch, and rows of it that are spent; and of which files."""
        return {"epoch": self._epoch, "position": self._position, "files": self._fingerprint}

    def load_state_dict(self, state: State) -> None:
        """Go to the position of `state_dict`.

        Raises:
            DatasetError: it is one in other files.
        """
        saved = state.get("files", self._fingerprint)  # which format 1, and format 2 at first, did not tell
        if saved != self._fingerprint:
            raise DatasetError(
                f"the data is not what the run has trained on so far: that was {saved}, and here is "
                f"{self._fingerprint}. Put it back (data.path may name another folder), or begin a new run from this "
                "one's model: rethinker export RUN --to DIR, then model.path=DIR"
            )
        self._go_to(epoch=state["epoch"], position=state["position"])

    def _go_to(self, *, epoch: int, position: int) -> None:
        self._epoch, self._position = epoch, position
        self._rows = self._rows_from(epoch, position)
        self._coming: deque[int] = deque()
        self._prefetch = Prefetch(
            self._source.__getitem__, prepare=self._prepare, threads=self._threads, memory_bytes=self._memory_bytes
        )

    def _rows_from(self, epoch: int, position: int) -> Iterator[int]:
        while True:
            order = generator(self._seed, Purpose.STREAM, step=epoch).permutation(len(self._source))
            yield from order[position:].tolist()
            epoch, position = epoch + 1, 0

    def _announce(self, ahead: int) -> None:
        while len(self._coming) < ahead:
            self._coming.append(next(self._rows))
            self._prefetch.announce(self._coming[-1])

    def _next_row(self) -> int:
        if self._position == len(self._source):
            self._epoch, self._position = self._epoch + 1, 0
        self._position += 1
        self._quarantine.saw()
        return self._coming.popleft()
