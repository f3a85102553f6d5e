from __future__ import annotations

import threading
import time

import pytest

from rethinker.data.parallel import AHEAD, in_order


def test_results_come_in_the_rows_order_whichever_ends_first() -> None:
    def slow_first(row: int) -> int:
        time.sleep(0.05 if row == 9 else 0)
        return row * row

    assert list(in_order(slow_first, [9, 3, 5], workers=3)) == [81, 9, 25]
    assert list(in_order(slow_first, [], workers=3)) == []


def test_only_so_many_rows_are_begun_before_they_are_taken() -> None:
    begun: list[int] = []
    results = in_order(begun.append, range(1000), workers=2)
    next(results)
    time.sleep(0.05)
    assert len(begun) <= AHEAD * 2 + 1
    results.close()


def test_an_error_in_a_row_reaches_the_caller_and_ends_the_threads() -> None:
    def fail(row: int) -> int:
        return 1 // (row - 3)

    with pytest.raises(ZeroDivisionError):
        list(in_order(fail, range(100), workers=2))
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("rows")]
