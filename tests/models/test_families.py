import pytest
from scripts.write_families_docs import PAGE, document
from tests.models.checks import CHECKS, measured, subject
from tests.models.toys import TOYS

SEPARATE = {"Qwen3.5 (hybrid)", "Mamba (text, recurrent)"}


@pytest.mark.parametrize("column", CHECKS)
@pytest.mark.parametrize("name", TOYS)
def test_a_family_holds(name: str, column: str) -> None:
    measured(name, column)


@pytest.mark.parametrize("name", TOYS)
def test_only_a_recurrent_family_cannot_share_prompts(name: str) -> None:
    assert subject(name).vlm.shares_prompts == (name not in SEPARATE)


def test_the_page_is_up_to_date() -> None:
    assert PAGE.read_text(encoding="utf-8") == document(), "run `python -m scripts.write_families_docs`"
