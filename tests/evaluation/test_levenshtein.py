from hypothesis import given
from hypothesis import strategies as st

from rethinker.evaluation.levenshtein import distance, nearest

TEXTS = st.text(alphabet="abcé 1", max_size=12)


def by_the_table(one: str, other: str) -> int:
    row = list(range(len(other) + 1))
    for i, a in enumerate(one, start=1):
        before, row[0] = row[0], i
        for j, b in enumerate(other, start=1):
            before, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, before + (a != b))
    return row[-1]


@given(one=TEXTS, other=TEXTS)
def test_the_distance_is_the_tables(one: str, other: str):
    assert distance(one, other) == by_the_table(one, other)


def test_a_distance_to_a_long_text_is_exact():
    assert distance("9" * 100_000 + "x", "9x8") == 100_000


def test_the_first_of_equally_near_options_is_taken():
    assert nearest("", ["long", "ab", "cd"]) == "ab"
