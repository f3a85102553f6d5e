"""What holds for every problem of every family and level."""

import json
import os
import subprocess
import sys

import pytest

from rethinker.data.gym.catalogue import FAMILIES, GymId, Split, problem, scene, sketch, split_of
from rethinker.data.gym.preview import catalogue_rows
from rethinker.data.gym.scene import Scene
from rethinker.rewards.verifiers import verify
from rethinker.seeding import Purpose, generator
from rethinker.types import Outcome, Problem

LEVELS = [(name, level) for name, family in FAMILIES.items() for level in range(1, family.levels + 1)]
SPLITS: tuple[Split, ...] = ("train", "validation", "test")
every_level = pytest.mark.parametrize(("family", "level"), LEVELS, ids=[f"{name}-{level}" for name, level in LEVELS])


def gym_id(family: str, level: int, index: int, split: Split = "train") -> GymId:
    return GymId(family=family, level=level, split=split, index=index)


def wrong_answer(right: Problem) -> str:
    if right.choices:
        return "ABCD"["ABCD".index(right.answer) - 1] if right.answer != "A" else "B"
    if right.verifier == "text":
        return "12:01"
    return str(int(right.answer) + 1)


@every_level
def test_every_problem_is_valid_and_only_its_answer_verifies(family: str, level: int) -> None:
    for index in range(200):
        drawn = problem(gym_id(family, level, index))
        assert drawn.question.count("<image>") == len(drawn.images)
        for image in drawn.images:
            height, width = image.pixels.shape[:2]
            assert height % 28 == width % 28 == 0
            assert 84 <= width <= 168
            assert 84 <= height <= 168
        assert verify(drawn, f"\\boxed{{{drawn.answer}}}").correct, drawn
        assert verify(drawn, f"\\boxed{{{wrong_answer(drawn)}}}").outcome is Outcome.WRONG, drawn
        if drawn.choices:
            assert len(set(drawn.choices)) == len(drawn.choices) >= 3
            right = drawn.choices["ABCD".index(drawn.answer)]
            assert verify(drawn, f"\\boxed{{{right}}}").correct, drawn


@every_level
def test_worked_answers_end_with_the_answer_and_their_sums_are_right(family: str, level: int) -> None:
    for index in range(60):
        drawn = scene(gym_id(family, level, index))
        final = f" is ({drawn.answer})." if drawn.choices else f"{drawn.answer}."
        assert drawn.work.endswith(final), drawn.work
        assert drawn.look.endswith("."), drawn.look
        assert drawn.choices == () or drawn.choices["ABCD".index(drawn.answer)] in drawn.work
        check_sums(drawn.work)


def check_sums(work: str) -> None:
    """Evaluate every part of a working that reads `sum=number`."""
    for part in work.replace(". ", " ").rstrip(".").split():
        left, equals, right = part.partition("=")
        if equals and left and right and set(left) <= set("0123456789+-*/()") and "=" not in right:
            assert eval(left) == int(right.rstrip(".,")), part


@every_level
def test_a_scene_is_decided_by_its_id_alone(family: str, level: int) -> None:
    first, again, other = (problem(gym_id(family, level, index)) for index in (7, 7, 8))
    assert fingerprint(first) == fingerprint(again) != fingerprint(other)


def fingerprint(drawn: Problem) -> list[str]:
    return [drawn.question, drawn.answer, *(image.id for image in drawn.images)]


def test_a_fresh_process_draws_the_same_bytes() -> None:
    code = (
        "import json, sys\n"
        "from rethinker.data.gym.catalogue import GymId, problem\n"
        "ids = [GymId(family=f, level=l, split='test', index=3) for f, l in json.load(sys.stdin)]\n"
        "drawn = [problem(i) for i in ids]\n"
        "print(json.dumps([[p.question, p.answer, *(i.id for i in p.images)] for p in drawn]))\n"
    )
    fresh = subprocess.run(
        [sys.executable, "-c", code],
        input=json.dumps(LEVELS),
        env={**os.environ, "PYTHONPATH": "src", "PYTHONHASHSEED": "1"},
        capture_output=True,
        text=True,
        check=True,
    )
    here = [fingerprint(problem(gym_id(family, level, 3, "test"))) for family, level in LEVELS]
    assert json.loads(fresh.stdout) == here


@every_level
def test_each_split_holds_hundreds_of_scenes(family: str, level: int) -> None:
    keys: dict[Split, set[str]] = {split: set() for split in SPLITS}
    rng = generator(0, Purpose.SCENE, problem_id=f"{family}-{level}")
    for _ in range(20_000):
        key = FAMILIES[family].sketch(rng, level).key
        keys[split_of(f"{family}-{level}|{key}")].add(key)
        if min(len(found) for found in keys.values()) >= 300:
            break
    assert {split: len(found) for split, found in keys.items() if len(found) < 300} == {}


@pytest.mark.parametrize(("family", "level"), [("bars", 1), ("pie", 1), ("gauge", 1), ("areas", 2), ("lengths", 2)])
def test_no_scene_stands_in_two_splits(family: str, level: int) -> None:
    keys = {split: {sketch(gym_id(family, level, i, split)).key for i in range(400)} for split in SPLITS}
    assert all(len(found) >= 150 for found in keys.values())
    assert not keys["train"] & keys["validation"]
    assert not keys["train"] & keys["test"]
    assert not keys["validation"] & keys["test"]


@every_level
def test_a_key_holds_what_is_asked_and_shown_and_nothing_else(family: str, level: int) -> None:
    """Were it less, one scene could stand in two splits; were it more, a mere change of looks could."""
    told: dict[str, str] = {}
    for index in range(80):
        drawn = sketch(gym_id(family, level, index))
        painted = drawn.paint()
        content = f"{painted.question}|{painted.look}"
        assert told.setdefault(content, drawn.key) == drawn.key
        assert told.setdefault(f"key|{drawn.key}", texts(painted)) == texts(painted)


def texts(painted: Scene) -> str:
    return "|".join((painted.question, painted.answer, painted.look, painted.work, *painted.choices))


def test_there_are_families_of_every_kind() -> None:
    categories = {family.category for family in FAMILIES.values()}
    assert categories >= {"counting", "charts", "geometry", "spatial", "functions", "gauges", "tables", "text"}
    drawn = [problem(gym_id(family, level, index)) for family, level in LEVELS for index in range(6)]
    assert {p.verifier for p in drawn} == {"number", "choice", "text"}
    assert {len(p.images) for p in drawn} == {0, 1, 2}
    assert all(family.levels >= 3 for family in FAMILIES.values())


def test_the_list_tells_what_each_level_is() -> None:
    for name, category, levels, about in catalogue_rows():
        assert FAMILIES[name].category == category
        assert about.startswith("Level 1: ")
        assert all(f"{level}: " in about for level in range(1, levels + 1)), name
