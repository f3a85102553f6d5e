import pytest
from tests.data.making_rows import Numbers

from rethinker.data.quarantine import Quarantine
from rethinker.data.split import sample, split
from rethinker.data.stream import ProblemStream
from rethinker.errors import DatasetError
from rethinker.interfaces import ProblemSource
from rethinker.types import Problem


def stream(source: ProblemSource, *, seed: int = 0, max_share: float = 1.0) -> ProblemStream:
    return ProblemStream(source, seed=seed, quarantine=Quarantine(max_share=max_share))


def ids(problems: list[Problem]) -> list[str]:
    return [problem.id for problem in problems]


def test_each_epoch_is_another_order_of_the_same_ids() -> None:
    source = stream(Numbers(20))
    first, second = ids(source.take(20)), ids(source.take(20))
    assert sorted(first) == sorted(second) == sorted(f"row-{i}" for i in range(20))
    assert first != second


def test_the_order_depends_on_the_seed_alone_and_not_on_how_it_is_taken() -> None:
    whole = ids(stream(Numbers(7)).take(30))
    other = stream(Numbers(7))
    assert ids([p for n in (1, 2, 4, 8, 15) for p in other.take(n)]) == whole
    assert ids(stream(Numbers(7), seed=1).take(30)) != whole


def test_a_restored_stream_goes_on_where_it_was() -> None:
    source = stream(Numbers(7, frozenset({3})))
    source.take(11)
    state = source.state_dict()
    expected = ids(source.take(20))
    restored = stream(Numbers(7, frozenset({3})))
    restored.load_state_dict(state)
    assert ids(restored.take(20)) == expected


def test_bad_rows_are_skipped_and_listed_once() -> None:
    quarantine = Quarantine(max_share=1.0)
    source = ProblemStream(Numbers(10, frozenset({2, 5})), seed=0, quarantine=quarantine)
    assert len({p.id for p in source.take(8)}) == 8
    source.take(40)
    assert sorted(row["id"] for row in quarantine.rows()) == ["row-2", "row-5"]
    assert quarantine.rows()[0]["reason"].endswith("is bad")


def test_a_source_without_a_good_row_stops_instead_of_turning_for_ever() -> None:
    with pytest.raises(DatasetError, match=r"none of the 3 rows .*row-"):
        stream(Numbers(3, frozenset(range(3)))).take(1)
    with pytest.raises(DatasetError, match="no rows"):
        stream(Numbers(0))


def test_too_large_a_share_of_bad_rows_stops_with_the_first_reasons() -> None:
    source = stream(Numbers(1000, frozenset(range(0, 1000, 5))), max_share=0.1)
    with pytest.raises(DatasetError, match=r"rows read are bad, more than data\.max_quarantined=0\.1 .*row \d+ is bad"):
        source.take(500)


def test_few_bad_rows_do_not_stop() -> None:
    assert len(stream(Numbers(1000, frozenset(range(0, 1000, 50))), max_share=0.1).take(980)) == 980


def test_one_early_bad_row_does_not_stop() -> None:
    quarantine = Quarantine(max_share=0.05)
    quarantine.saw()
    quarantine.add("p", "bad")
    assert len(quarantine) == 1


def test_a_row_read_again_is_no_other_row() -> None:
    quarantine = Quarantine(max_share=0.05, minimum=50, training_rows=160)
    for _ in range(10):
        for row in range(40):
            quarantine.saw_held_out(f"held-{row}")
        quarantine.add("held-0", "bad")
        quarantine.add("held-1", "bad")
    quarantine.saw(20)
    quarantine.add("train-0", "bad")
    with pytest.raises(DatasetError, match="4 of the 60 rows read are bad"):
        quarantine.add("train-1", "bad")
    quarantine.saw(1000)
    for row in range(6):
        quarantine.add(f"late-{row}", "bad")
    with pytest.raises(DatasetError, match="11 of the 200 rows read are bad"):
        quarantine.add("one too many", "bad")


def test_bad_rows_before_the_minimum_are_judged_at_the_end() -> None:
    quarantine = Quarantine(max_share=0.05)
    quarantine.saw(20)
    quarantine.add("row-0", "bad")
    quarantine.judge(at_end=True)
    quarantine.add("row-1", "bad")
    with pytest.raises(DatasetError, match="2 of the 20"):
        quarantine.judge(at_end=True)


def test_a_restored_quarantine_counts_on() -> None:
    quarantine = Quarantine(max_share=0.5, minimum=4)
    quarantine.saw(3)
    quarantine.add("a", "bad")
    quarantine.add("b", "bad")
    restored = Quarantine(max_share=0.5, minimum=4)
    restored.load_state_dict(quarantine.state_dict())
    assert restored.rows() == quarantine.rows()
    restored.saw()
    with pytest.raises(DatasetError, match=r"3 of the 4 rows.*a: bad; b: bad; c: worse"):
        restored.add("c", "worse")


@pytest.mark.parametrize("n", [2, 3, 10, 500])
@pytest.mark.parametrize("share", [0.0, 0.2, 1.0])
def test_a_split_is_disjoint_whole_and_leaves_no_side_empty(n: int, share: float) -> None:
    kept, held = split(Numbers(n), share)
    left, right = [{side.id(i) for i in range(len(side))} for side in (kept, held)]
    assert left.isdisjoint(right)
    assert left | right == {f"row-{i}" for i in range(n)}
    assert left
    assert right
    if n == 500 and share == 0.2:
        assert 70 <= len(held) <= 130


def test_rows_added_later_move_no_other_row() -> None:
    small, large = split(Numbers(200), 0.2)[1], split(Numbers(400), 0.2)[1]
    assert ids([small[i] for i in range(len(small))]) == ids([large[i] for i in range(len(small))])


def test_a_part_is_divided_further_under_another_salt() -> None:
    held = split(Numbers(500), 0.2)[1]
    validation, test = split(held, 0.5, salt="test")
    assert min(len(validation), len(test)) > len(held) / 4


def test_a_sample_of_a_sorted_file_is_of_all_its_kinds_and_in_its_order() -> None:
    some = sample(Numbers(1000), 100)
    rows = [int(some.id(row).removeprefix("row-")) for row in range(len(some))]
    assert rows == sorted(rows)
    assert len(set(rows)) == 100
    assert all(any(start <= row < start + 200 for row in rows) for start in range(0, 1000, 200))
    fewer = sample(Numbers(1000), 50)
    assert {fewer.id(row) for row in range(50)} < {some.id(row) for row in range(100)}


def test_a_single_row_is_kept_for_training() -> None:
    kept, held = split(Numbers(1), 0.2)
    assert (len(kept), len(held)) == (1, 0)


def test_a_position_holds_for_the_files_that_it_was_saved_with_and_an_older_one_for_any() -> None:
    def of(fingerprint: str) -> ProblemStream:
        return ProblemStream(Numbers(7), seed=0, quarantine=Quarantine(max_share=1.0), fingerprint=fingerprint)

    state = of("a.jsonl (10 bytes, 12ab)").state_dict()
    of("a.jsonl (10 bytes, 12ab)").load_state_dict(state)
    with pytest.raises(DatasetError, match=r"that was a.jsonl \(10 bytes, 12ab\), and here is b.jsonl"):
        of("b.jsonl (10 bytes, 12ab)").load_state_dict(state)
    of("b.jsonl (10 bytes, 12ab)").load_state_dict({"epoch": 0, "position": 3})
