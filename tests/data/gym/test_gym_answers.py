"""Answers recomputed from what a scene says it shows, by other means than the family's own."""

import re

import pytest

from rethinker.data.gym.catalogue import GymId, scene
from rethinker.data.gym.clock import spoken
from rethinker.data.gym.draws import parts
from rethinker.data.gym.figures import angles_by_sides
from rethinker.data.gym.options import near, options
from rethinker.data.gym.scene import Scene
from rethinker.seeding import Purpose, generator


def scenes(family: str, level: int, count: int = 60) -> list[Scene]:
    return [scene(GymId(family=family, level=level, split="train", index=index)) for index in range(count)]


def numbers(text: str) -> list[int]:
    return [int(number) for number in re.findall(r"-?\d+", text)]


@pytest.mark.parametrize("level", [1, 2])
def test_missing_angles_complete_the_straight_angle(level: int) -> None:
    for drawn in scenes("angles", level):
        assert sum(numbers(drawn.look)) + int(drawn.answer) == 180


def test_outer_angles_are_the_sum_of_the_far_inner_ones() -> None:
    for drawn in scenes("angles", 3):
        inner, outer = drawn.look.replace("x", drawn.answer).split(" Outer")
        assert sum(numbers(inner)) == numbers(outer)[0]


def test_lengths_add_up() -> None:
    for drawn in scenes("lengths", 1):
        start, end = re.findall(r"from (\w) to (\w)", drawn.question)[0]
        roads = numbers(drawn.look.replace("-", " "))
        assert int(drawn.answer) == sum(roads["ABCDE".index(start) : "ABCDE".index(end)])
    for drawn in scenes("lengths", 2):
        sides = numbers(drawn.look)
        assert int(drawn.answer) == (sum(sides) if "triangle" in drawn.question else 2 * sum(sides))


def test_shaded_squares_are_counted_in_the_picture() -> None:
    for drawn in scenes("areas", 1):
        pixels = drawn.images[0].pixels[14::28, 14::28]
        assert int((pixels.sum(axis=2) < 3 * 255).sum()) == int(drawn.answer)


def test_areas_are_lengths_multiplied() -> None:
    for drawn in scenes("areas", 2):
        high, *widths = numbers(drawn.look)
        assert int(drawn.answer) in {high * width for width in (*widths, sum(widths))}
    for drawn in scenes("areas", 3):
        shown = numbers(drawn.look)
        if "triangle" in drawn.question:
            assert 2 * int(drawn.answer) == shown[0] * shown[1]
        else:
            width, top, height, side = shown
            assert int(drawn.answer) == width * height - (width - top) * (height - side)


def test_formulas_and_lines_agree() -> None:
    for drawn in scenes("functions", 4):
        colour = re.findall(r"the (\w+) line", drawn.question)[0]
        start, slope = map(int, re.findall(rf"{colour}: y=(-?\d+) at x=0, slope (-?\d+)", drawn.look)[0])
        formula = drawn.choices["ABCD".index(drawn.answer)].removeprefix("y=")
        expression = re.sub(r"(\d)x", r"\1*x", formula)
        assert [eval(expression, {"x": x}) for x in range(-3, 4)] == [slope * x + start for x in range(-3, 4)]
        for wrong in set(drawn.choices) - {f"y={formula}"}:
            expression = re.sub(r"(\d)x", r"\1*x", wrong.removeprefix("y="))
            assert any(eval(expression, {"x": x}) != slope * x + start for x in (0, 1))


def test_slopes_zeros_values_and_meetings_satisfy_the_lines() -> None:
    asked = set()
    for drawn in scenes("functions", 3, 150):
        lines = {c: (int(s), int(b)) for c, b, s in re.findall(r"(\w+): y=(-?\d+) at x=0, slope (-?\d+)", drawn.look)}
        answer = int(drawn.answer)
        colour = next((c for c in lines if c in drawn.question), None)
        slope, start = lines[colour] if colour else (0, 0)
        if "meet" in drawn.question:
            (a, b), (c, d) = lines.values()
            assert a * answer + b == c * answer + d
        elif "slope" in drawn.question:
            assert answer == slope
        elif "cross" in drawn.question:
            assert slope * answer + start == 0
        else:
            assert answer == slope * numbers(drawn.question)[0] + start
        asked.add(drawn.question.split()[2])
    assert len(asked) >= 3


def test_the_highest_point_is_the_only_one() -> None:
    for drawn in scenes("functions", 2):
        if "highest" in drawn.question:
            ys = numbers(drawn.look)[1::2]
            assert ys.count(max(ys)) == 1
            assert ys.index(max(ys)) == int(drawn.answer)


def minutes(time: str) -> int:
    hours, rest = time.split(":")
    return int(hours) % 12 * 60 + int(rest)


def test_clocks_turn_as_asked() -> None:
    assert (spoken(0), spoken(65), spoken(-5), spoken(725)) == ("12:00", "1:05", "11:55", "12:05")
    for drawn in scenes("clock", 2):
        shown = minutes(re.findall(r"\d+:\d\d", drawn.look)[0])
        shift = numbers(drawn.question)[0] * (-1 if "ago" in drawn.question else 1)
        assert minutes(drawn.answer) == (shown + shift) % 720
    for drawn in scenes("clock", 3):
        first, second = (minutes(time) for time in re.findall(r"\d+:\d\d", drawn.look))
        assert int(drawn.answer) == (second - first) % 720


def test_tables_have_one_with_most() -> None:
    for drawn in scenes("tables", 3):
        if drawn.choices:
            sums = {name: sum(numbers(row)) for name, row in re.findall(r"(\w+): ([\d, ]+)", drawn.look)}
            right = drawn.choices["ABCD".index(drawn.answer)]
            assert all(sums[right] > total for name, total in sums.items() if name != right)


def test_lines_are_farthest_apart_on_one_day() -> None:
    seen = 0
    for drawn in scenes("lines", 3):
        if drawn.choices:
            first, second = (numbers(row) for row in drawn.look.split(". "))
            gaps = [abs(x - y) for x, y in zip(first, second, strict=True)]
            assert gaps.count(max(gaps)) == 1
            assert drawn.choices["ABCD".index(drawn.answer)] == f"day {gaps.index(max(gaps))}"
            seen += 1
    assert seen > 10


def test_both_pictures_are_compared_by_what_they_hold() -> None:
    outcomes = set()
    for drawn in scenes("compare", 1):
        noun = re.findall(r"more (.+?)s\?", drawn.question)[0].removesuffix(" shape")
        first, second = (picture.count(noun) for picture in drawn.look.split("Picture 2"))
        outcomes.add(drawn.answer)
        assert drawn.answer == ("A" if first > second else "B" if second > first else "C")
    assert outcomes == {"A", "B", "C"}


def test_pies_are_whole() -> None:
    for drawn in scenes("pie", 1):
        assert sum(numbers(drawn.look)) == 100
    for drawn in scenes("pie", 2):
        assert sum(numbers(drawn.look)) + int(drawn.answer) == 100


def test_parts_add_up_and_reach_both_ends() -> None:
    rng = generator(0, Purpose.SCENE)
    drawn = [parts(rng, 10, 3, 2) for _ in range(400)]
    assert all(sum(row) == 10 and min(row) >= 2 for row in drawn)
    assert len(set(drawn)) == 15
    assert parts(rng, 6, 3, 2) == (2, 2, 2)


def test_options_hold_the_right_one_once() -> None:
    rng = generator(0, Purpose.SCENE)
    for _ in range(50):
        made = options(rng, "3", ["3", "4", "4", "2", "7"])
        assert sorted(made.texts) == ["2", "3", "4", "7"]
        assert made.texts["ABCD".index(made.letter)] == "3"
    assert options(rng, "1", ["2"]).listed in ("(A) 1 (B) 2", "(A) 2 (B) 1")
    assert near(1) == ["0", "2", "3", "4"]


def test_angles_of_a_right_triangle() -> None:
    assert angles_by_sides((3, 4, 5)) == pytest.approx((36.87, 53.13, 90), abs=0.01)
    assert angles_by_sides((1, 2, 3)) == (0, 0, 0)
