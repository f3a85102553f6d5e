from __future__ import annotations

from collections import Counter

import pytest
from tests.data.making_rows import Numbers

from rethinker.data.gym.stream import GymStream
from rethinker.data.mixture import Joined, MixtureStream, Prefixed
from rethinker.data.quarantine import Quarantine
from rethinker.data.stream import ProblemStream
from rethinker.errors import DataError
from rethinker.types import Outline, Problem


def mixture(*, seed: int = 0, quarantine: Quarantine | None = None) -> MixtureStream:
    quarantine = Quarantine(max_share=1.0) if quarantine is None else quarantine
    files = [
        ProblemStream(Prefixed(source, name), seed=place, quarantine=quarantine, threads=place)
        for place, (name, source) in enumerate({"a": Numbers(20), "b": Numbers(7, frozenset({3}))}.items())
    ]
    gym = GymStream([("counting", 1, 1.0)], seed=2)
    return MixtureStream([(files[0], 3.0), (files[1], 1.0), (gym, 2.0)], seed=seed)


def ids(problems: list[Problem]) -> list[str]:
    return [problem.id for problem in problems]


def test_parts_come_by_their_weights_whatever_their_sizes() -> None:
    counts = Counter(name.split("/")[0] for name in ids(mixture().take(1200)))
    other = 1200 - counts["a"] - counts["b"]
    assert [round(part / 1200, 1) for part in (counts["a"], counts["b"], other)] == [0.5, 0.2, 0.3]


def test_ids_are_unique_across_parts_and_within_an_epoch() -> None:
    found = ids(mixture().take(30))
    assert max(Counter(name for name in found if name.startswith("a/")).values()) == 1
    assert len({name for name in found if name.startswith("b/")}) > 2


def test_the_order_depends_on_the_seed_alone_and_not_on_how_it_is_taken() -> None:
    whole = ids(mixture().take(60))
    other = mixture()
    assert ids([problem for n in (1, 9, 20, 30) for problem in other.take(n)]) == whole
    assert ids(mixture(seed=1).take(60)) != whole


def test_a_restored_mixture_goes_on_where_it_was() -> None:
    first = mixture()
    first.take(23)
    state = first.state_dict()
    expected = ids(first.take(50))
    restored = mixture()
    restored.load_state_dict(state)
    assert ids(restored.take(50)) == expected


def test_bad_rows_are_quarantined_under_their_part() -> None:
    quarantine = Quarantine(max_share=1.0)
    mixture(quarantine=quarantine).take(100)
    assert [row["id"] for row in quarantine.rows()] == ["b/row-3"]


def test_sources_are_joined_end_to_end() -> None:
    joined = Joined(
        [Prefixed(Numbers(2), "a"), Prefixed(Numbers(0), "none"), Prefixed(Numbers(3, frozenset({1})), "b")]
    )
    assert [joined.id(i) for i in range(len(joined))] == ["a/row-0", "a/row-1", "b/row-0", "b/row-1", "b/row-2"]
    assert joined[4].id == "b/row-2"
    assert joined.outline(0) == Outline(id="a/row-0", question="?", image_sizes=())
    with pytest.raises(DataError, match="row 1 is bad"):
        joined[3]
