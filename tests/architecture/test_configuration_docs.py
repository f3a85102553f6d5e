"""The page of configuration keys is what the configuration's classes say."""

from collections.abc import Iterator

import pytest
from scripts.write_configuration_docs import PAGE, Row, defaults, document, walk, within

from rethinker.config import Config

ROWS = [
    row
    for name, field in Config.model_fields.items()
    for variant in within(field)
    for row in walk(variant, f"{name}.", defaults(variant))
]
VARIED = {f"{name}.kind" for name, field in Config.model_fields.items() if len(within(field)) > 1}


def rows(key: str) -> list[Row]:
    return [row for row in ROWS if row.key == key]


def leaves(tree: dict, prefix: str = "") -> Iterator[str]:
    for name, value in tree.items():
        yield from leaves(value, f"{prefix}{name}.") if isinstance(value, dict) else [f"{prefix}{name}"]


def test_the_page_is_up_to_date():
    assert PAGE.read_text(encoding="utf-8") == document(), "run `python scripts/write_configuration_docs.py`"


def test_every_key_of_a_resolved_tree_is_on_the_page():
    page = document()
    keys = set(leaves(Config().model_dump()))
    assert [key for key in keys - VARIED if f"| `{key}` |" not in page] == []
    assert all(f"`{key}` chooses one of" in page for key in VARIED)


def test_every_key_has_a_help_text_unless_it_names_the_only_variant():
    assert [row.key for row in ROWS if not row.help and row.key not in VARIED | {"engine.kind"}] == []


def test_a_required_key_says_so():
    assert [row.default for row in rows("data.path")] == ["required", '`"fixtures"`', "required", "required"]


def test_a_nested_default_is_the_one_its_owner_sets():
    assert [row.default for row in rows("rethink.second_look.max_tokens")] == ["`1024`"]
    assert [row.default for row in rows("sampler.first.max_tokens")] == ["`2048`"]


@pytest.mark.parametrize(
    ("key", "shown"),
    [
        ("rethink.share", "float ≥ 0 ≤ 1"),
        ("learner.betas", "[float ≥ 0 < 1; float ≥ 0 < 1]"),
        ("advantage.kind", "`grpo` or `grpo_std` or `rloo`"),
        ("data.mixture", "list of sections"),
        ("trackers.tensorboard", "bool"),
    ],
)
def test_a_type_shows_its_bounds_or_its_values(key: str, shown: str):
    assert [row.type for row in rows(key)] == [shown]
