"""YAML of anybody's: plain values within bounds, or an error that says so."""

from pathlib import Path

import pytest
import yaml

from rethinker.config_files import load
from rethinker.errors import ConfigError
from rethinker.plain_yaml import plain_yaml

BOMB = "\n".join(["a0: &a0 [x]", *(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 10))])


def test_anchors_are_read_where_they_stand_for_little() -> None:
    assert plain_yaml("a: &a {x: 1}\nb: [*a, *a]") == {"a": {"x": 1}, "b": [{"x": 1}, {"x": 1}]}


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (BOMB, "more than 10,000,000 characters"),
        ("&a [*a]", "stands for what holds it"),
        ("0x" + "f" * 5000, "5002 digits"),
        ("!!int ''", "not of the type"),
        ("!!float ''", "not of the type"),
        ("!!bool x", "not of the type"),
        ("!!timestamp x", "not of the type"),
        ("2001-99-99", "not of the type"),
        ("[" * 100_000, "more than 100 sections"),
        ("- " * 10_000, "more than 100 sections"),
        ("!!python/object/apply:os.system [id]", "could not determine a constructor"),
        ("!!python/name:os.system", "could not determine a constructor"),
    ],
)
def test_what_is_not_plain_is_refused(text: str, says: str) -> None:
    with pytest.raises(yaml.YAMLError, match=says):
        plain_yaml(text)


@pytest.mark.parametrize("value", ["!!int ''", "0x" + "f" * 5000, "!!python/object/apply:os.system [id]", "[" * 9000])
def test_an_override_that_is_not_plain_names_itself(value: str) -> None:
    with pytest.raises(ConfigError, match=r"override .learner\.lr="):
        load([], [f"learner.lr={value}"])


def test_a_bomb_in_a_recipe_is_refused_with_its_file(tmp_path: Path) -> None:
    (tmp_path / "bomb.yaml").write_text(BOMB)
    with pytest.raises(ConfigError, match=r"bomb\.yaml.*aliases"):
        load([tmp_path / "bomb.yaml"])


def test_an_override_of_a_thousand_sections_is_none() -> None:
    with pytest.raises(ConfigError, match=r"section\.key=value"):
        load([], ["a." * 5000 + "b=1"] * 2)
