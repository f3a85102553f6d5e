"""Rows read ahead by threads, kept within a bound, refused when too long: what comes out is as without all that."""

from __future__ import annotations

import gc
import threading
import time
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from rethinker.data.cache import Cached, problem_bytes
from rethinker.data.lengths import WithinLength
from rethinker.data.prefetch import Prefetch
from rethinker.data.quarantine import Quarantine
from rethinker.data.stream import ProblemStream
from rethinker.errors import DataError
from rethinker.interfaces import ProblemSource
from rethinker.types import Image, Outline, Problem


class Pictures(ProblemSource):
    """Rows with a picture of their number; some are bad, and some take longer than those after them."""

    def __init__(self, n: int, *, bad: frozenset[int] = frozenset(), slow: frozenset[int] = frozenset()) -> None:
        self._n, self._bad, self._slow = n, bad, slow
        self.read: Counter[int] = Counter()
        self.threads: set[str] = set()

    def __len__(self) -> int:
        return self._n

    def __getitem__(self, index: int) -> Problem:
        self.read[index] += 1
        self.threads.add(threading.current_thread().name)
        if index in self._slow:
            time.sleep(0.003)
        if index in self._bad:
            raise DataError(f"row {index} is bad")
        pixels = np.full((28, 28, 3), index % 256, dtype=np.uint8)
        return Problem(
            id=self.id(index), images=(Image(pixels=pixels),), question="<image>?", answer="1", verifier="number"
        )


def seen(source: ProblemSource, takes: list[int], **options: int) -> tuple[list[tuple[str, str]], list[dict[str, str]]]:
    """Ids and pixels that a stream gives, and its quarantine."""
    quarantine = Quarantine(max_share=1.0)
    stream = ProblemStream(source, seed=3, quarantine=quarantine, **options)
    problems = [problem for n in takes for problem in stream.take(n)]
    return [(problem.id, problem.images[0].id) for problem in problems], quarantine.rows()


# ---- order and content -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("memory_bytes", [0, 10_000, 10_000_000])
@pytest.mark.parametrize("threads", [1, 2, 5])
def test_threads_and_memory_change_neither_order_nor_content_nor_quarantine(threads: int, memory_bytes: int) -> None:
    bad, slow = frozenset({4, 11, 30}), frozenset(range(0, 40, 3))
    alone = seen(Pictures(40, bad=bad), [7, 40, 1, 64])
    together = seen(Pictures(40, bad=bad, slow=slow), [7, 40, 1, 64], threads=threads, memory_bytes=memory_bytes)
    assert together == alone
    assert len(alone[1]) == 3


def test_a_restored_stream_reads_on_where_it_was_whatever_was_read_ahead() -> None:
    def stream() -> ProblemStream:
        return ProblemStream(Pictures(30), seed=0, quarantine=Quarantine(max_share=1.0), threads=3)

    first = stream()
    first.take(17)
    state = first.state_dict()
    expected = [problem.id for problem in first.take(40)]
    restored = stream()
    restored.take(5)
    restored.load_state_dict(state)
    assert [problem.id for problem in restored.take(40)] == expected


def test_what_is_no_data_error_reaches_the_caller() -> None:
    class Broken(Pictures):
        def __getitem__(self, index: int) -> Problem:
            raise OSError("the disk is gone")

    with pytest.raises(OSError, match="the disk is gone"):
        seen(Broken(3), [1], threads=2)


# ---- reading ahead -----------------------------------------------------------------------------------------------


def test_the_next_episodes_rows_are_read_before_they_are_asked_for() -> None:
    source = Pictures(100)
    stream = ProblemStream(source, seed=0, quarantine=Quarantine(max_share=1.0), threads=2)
    stream.take(10)
    deadline = time.monotonic() + 20
    while sum(source.read.values()) < 20 and time.monotonic() < deadline:
        time.sleep(0.001)
    assert sum(source.read.values()) == 20
    assert threading.current_thread().name not in source.threads
    stream.take(10)
    assert max(source.read.values()) == 1


def test_reading_ahead_stops_at_the_memory_bound_and_goes_on_when_there_is_room() -> None:
    source = Pictures(100)
    one = problem_bytes(source[0])
    source.read.clear()
    ahead = Prefetch(source.__getitem__, threads=2, memory_bytes=4 * one)
    for row in range(100):
        ahead.announce(row)
    most = 0
    for row in range(100):
        time.sleep(0.0005)
        most = max(most, ahead.bytes_held)
        assert ahead.take().id == f"row-{row}"
    assert one <= most <= (4 + 1) * one  # a thread may be at work while another fills the last of the room
    assert len(ahead) == 0
    assert set(source.read.values()) == {1}


def test_threads_end_with_the_stream() -> None:
    before = threading.active_count()
    for _ in range(20):
        seen(Pictures(10), [5], threads=3)
    deadline = time.monotonic() + 20
    while threading.active_count() > before + 3 and time.monotonic() < deadline:
        gc.collect()  # a stream and its order refer to each other
        time.sleep(0.01)
    assert threading.active_count() <= before + 3


# ---- keeping -----------------------------------------------------------------------------------------------------


def test_a_row_that_comes_again_is_not_read_again_while_there_is_room() -> None:
    source = Pictures(10)
    one = problem_bytes(source[0])
    source.read.clear()
    cached = Cached(source, memory_bytes=4 * one)
    assert cached[0] is cached[0]
    for row in (1, 2, 3, 0, 4):  # 1 is now the one longest unused
        assert cached[row].id == f"row-{row}"
        assert cached.bytes_kept <= 4 * one
    assert [cached[row].id for row in (0, 2, 3, 4)] == ["row-0", "row-2", "row-3", "row-4"]
    assert source.read == dict.fromkeys(range(5), 1)
    assert cached[1].id == "row-1"
    assert source.read[1] == 2


def test_nothing_is_kept_where_there_is_no_room_and_errors_are_never_kept() -> None:
    source = Pictures(3, bad=frozenset({2}))
    cached = Cached(source, memory_bytes=100)
    assert cached[0].id == cached[0].id
    assert (source.read[0], cached.bytes_kept) == (2, 0)
    for _ in range(2):
        with pytest.raises(DataError, match="row 2 is bad"):
            cached[2]


# ---- length ------------------------------------------------------------------------------------------------------


class Outlined(Pictures):
    """Tells sizes without reading; rows from 5 on are large."""

    def outline(self, index: int) -> Outline:
        return Outline(id=self.id(index), question="<image>?", image_sizes=((28, 28 if index < 5 else 2800),))


def test_a_prompt_that_is_too_long_is_quarantined_and_its_pixels_are_never_read() -> None:
    source = Outlined(10)
    short = WithinLength(source, lambda outline: outline.image_sizes[0][1] // 28, max_tokens=99)
    found, quarantined = seen(short, [15], threads=2)
    assert {name for name, _ in found} == {f"row-{i}" for i in range(5)}
    assert {row["id"] for row in quarantined} == {f"row-{i}" for i in range(5, 10)}
    assert quarantined[0]["reason"].endswith(
        "its prompt has 100 tokens, more than prompt.max_tokens=99; raise the limit or lower model.max_pixels"
    )
    assert set(source.read) == set(range(5))


def test_a_length_that_fits_exactly_passes(tmp_path: Path) -> None:
    source = WithinLength(Outlined(10), lambda outline: outline.image_sizes[0][1] // 28, max_tokens=100)
    assert source[9].id == "row-9"
    assert source.outline(9).image_sizes == ((28, 2800),)


def test_what_else_is_to_be_done_with_a_problem_is_done_ahead_too() -> None:
    prepared: list[str] = []
    stream = ProblemStream(
        Pictures(30),
        seed=0,
        quarantine=Quarantine(max_share=1.0),
        prepare=lambda problem: prepared.append(problem.id),
        threads=1,
    )
    first = [problem.id for problem in stream.take(5)]
    deadline = time.monotonic() + 20
    while len(prepared) < 10 and time.monotonic() < deadline:
        time.sleep(0.001)
    second = [problem.id for problem in stream.take(5)]
    assert prepared[:10] == first + second
