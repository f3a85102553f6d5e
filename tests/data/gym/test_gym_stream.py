from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from PIL import Image as PillowImage

from rethinker.data.gym.preview import preview
from rethinker.data.gym.stream import GymSource, GymStream, turns
from rethinker.errors import DatasetError

MIXTURE = [("words", 1, 2.0), ("counting", 1, 1.0), ("spatial", 2, 1.0)]


def sources(problems: list) -> Counter:
    return Counter(p.source for p in problems)


def test_the_stream_is_the_same_however_it_is_taken() -> None:
    whole = [p.id for p in GymStream(MIXTURE, seed=0).take(30)]
    other = GymStream(MIXTURE, seed=0)
    assert [p.id for n in (1, 2, 4, 8, 15) for p in other.take(n)] == whole
    assert len(set(whole)) == 30
    assert all("/train/" in name for name in whole)


def test_what_is_drawn_ahead_is_the_same_and_prepared_once() -> None:
    prepared: list = []
    ahead = GymStream(MIXTURE, seed=0, prepare=prepared.append, threads=2)
    taken = [p for n in (3, 8, 2) for p in ahead.take(n)]
    assert [p.id for p in taken] == [p.id for p in GymStream(MIXTURE, seed=0).take(13)]
    ids = [p.id for p in list(prepared)]
    assert len(set(ids)) == len(ids)
    assert {p.id for p in taken} <= set(ids)
    state = ahead.state_dict()
    expected = [p.id for p in ahead.take(4)]
    ahead.load_state_dict(state)
    assert [p.id for p in ahead.take(4)] == expected


def test_seeds_see_different_problems() -> None:
    first, second = ({p.id for p in GymStream(MIXTURE, seed=seed).take(50)} for seed in (0, 1))
    assert not first & second


def test_a_restored_stream_goes_on_where_it_was() -> None:
    stream = GymStream(MIXTURE, seed=3)
    stream.take(11)
    state = stream.state_dict()
    expected = [p.id for p in stream.take(9)]
    restored = GymStream(MIXTURE, seed=3)
    restored.load_state_dict(state)
    assert [p.id for p in restored.take(9)] == expected


def test_the_stream_draws_by_weight() -> None:
    seen = sources(GymStream(MIXTURE, seed=0).take(1000))
    assert seen["gym/words-1"] == pytest.approx(500, abs=60)
    assert seen["gym/counting-1"] == pytest.approx(250, abs=55)
    assert sum(seen.values()) == 1000


def test_held_out_rows_hold_the_exact_shares_and_are_the_same_in_a_larger_source() -> None:
    small, large = (GymSource(MIXTURE, split="test", size=size) for size in (40, 100))
    assert sources([small[row] for row in range(40)]) == {
        "gym/words-1": 20,
        "gym/counting-1": 10,
        "gym/spatial-2": 10,
    }
    assert [small.id(row) for row in range(40)] == [large.id(row) for row in range(40)]
    assert len({large.id(row) for row in range(len(large))}) == 100
    assert small[5].id == small.id(5)
    assert small.id(5).endswith("/test/5")


def test_a_row_outside_the_source_is_refused() -> None:
    source = GymSource(MIXTURE, split="validation", size=3)
    assert source[-1].id == source[2].id
    with pytest.raises(IndexError):
        source[3]


def test_turns_never_let_a_share_fall_behind_by_a_row() -> None:
    shares = [0.5, 0.3, 0.15, 0.05]
    rows = turns(shares, 500)
    for size in range(1, 501):
        counts = np.bincount(rows[:size], minlength=4)
        assert np.all(np.abs(counts - np.array(shares) * size) < 1.01)


@pytest.mark.parametrize(
    ("mixture", "message"),
    [
        ([("countnig", 1, 1.0)], "unknown gym family 'countnig'; did you mean counting?"),
        ([("xyzzy", 1, 1.0)], "unknown gym family 'xyzzy'; the families are counting, "),
        ([("bars", 9, 1.0)], "gym family bars has levels 1 to 3, not 9; the nearest is 3"),
        ([("bars", 0, 1.0)], "the nearest is 1"),
        ([("bars", 1, 0.0)], "gym family bars-1 has weight 0.0; it must be positive and finite"),
        ([("bars", 1, float("nan"))], "has weight nan"),
        ([], "the gym mixture is empty"),
    ],
)
def test_a_wrong_mixture_is_refused_with_the_nearest_right_one(mixture: list, message: str) -> None:
    for make in (lambda: GymStream(mixture, seed=0), lambda: GymSource(mixture, split="test", size=1)):
        with pytest.raises(DatasetError) as caught:
            make()
        assert message in str(caught.value)


def test_the_contact_sheet_shows_a_row_per_level(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "sheet.png"
    preview(path, families=[("clock", 3), ("words", 3)], columns=2)
    with PillowImage.open(path) as sheet:
        assert sheet.format == "PNG"
        two_rows = sheet.size
    preview(path, families=[("clock", 3)], columns=2)
    with PillowImage.open(path) as sheet:
        assert sheet.width == two_rows[0]
        assert 150 < sheet.height < two_rows[1]
    with pytest.raises(DatasetError, match="did you mean clock"):
        preview(path, families=[("clocks", 1)])
