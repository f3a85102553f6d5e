import itertools

from hypothesis import given
from hypothesis import strategies as st

from rethinker.seeding import Purpose, generator, key


def test_the_same_key_draws_the_same_and_every_part_matters() -> None:
    base = {"step": 1, "problem_id": "p", "sample": 2}
    keys = [
        key(0, Purpose.FIRST, **base),
        key(1, Purpose.FIRST, **base),
        key(0, Purpose.SECOND, **base),
        key(0, Purpose.FIRST, **{**base, "step": 2}),
        key(0, Purpose.FIRST, **{**base, "problem_id": "q"}),
        key(0, Purpose.FIRST, **{**base, "sample": 1}),
    ]
    assert len(set(keys)) == len(keys)
    assert key(0, Purpose.FIRST, **base) == keys[0]


def test_keys_are_fixed_for_ever() -> None:
    assert key(0, Purpose.STREAM) == 97059726222863507985860279983175589795
    assert generator(7, Purpose.REPLAY, step=3).integers(1000, size=3).tolist() == [862, 56, 183]


@given(st.lists(st.tuples(st.integers(0, 99), st.text(alphabet="0123456789|", max_size=4)), unique=True, max_size=20))
def test_parts_never_run_together(pairs: list[tuple[int, str]]) -> None:
    assert len({key(0, Purpose.FIRST, sample=sample, problem_id=name) for sample, name in pairs}) == len(pairs)


def test_generators_do_not_share_state() -> None:
    draws = {purpose: generator(0, purpose).random() for purpose in Purpose}
    for first, second in itertools.permutations(list(Purpose)[:3], 2):
        generator(0, first).random(100)
        assert generator(0, second).random() == draws[second]
    assert len(set(draws.values())) == len(Purpose)
