import dataclasses
import re

import numpy as np
import pytest
import torch
from scripts.write_families_docs import PAGE, document
from tests.models.checks import CHECKS, learner_logprobs, measured, subject
from tests.models.toys import TOYS

from rethinker.types import Image

TEXT_ONLY = {"Qwen3 (text)", "Mamba (text, recurrent)"}
SEPARATE = {"Gemma 4", "Qwen3.5 (hybrid)", "Mamba (text, recurrent)"}


@pytest.mark.parametrize("column", CHECKS)
@pytest.mark.parametrize("name", TOYS)
def test_a_family_holds(name: str, column: str) -> None:
    measured(name, column)


@pytest.mark.parametrize("name", TOYS)
def test_prompts_are_shared_wherever_they_can_be(name: str) -> None:
    assert subject(name).vlm.shares_prompts == (name not in SEPARATE)


@pytest.mark.parametrize("name", sorted(TOYS.keys() - TEXT_ONLY))
def test_what_an_image_shows_changes_what_is_said(name: str) -> None:
    of = subject(name)
    number = next(place for place, each in enumerate(of.problems) if each.id == "one")
    dark = Image(pixels=np.zeros_like(of.problems[number].images[0].pixels))
    prompt = of.vlm.encode(dataclasses.replace(of.problems[number], images=(dark,)), "plain")
    assert prompt.token_ids.tolist() == of.prompts[number].token_ids.tolist()
    chosen = next(e for e in of.experiences if e.rollout.prompt is of.prompts[number])
    moved = dataclasses.replace(chosen, rollout=dataclasses.replace(chosen.rollout, prompt=prompt))
    with torch.no_grad():
        left, right = learner_logprobs(of.vlm, [chosen])[0], learner_logprobs(of.vlm, [moved])[0]
    assert (left - right).abs().max() > 1e-2


def test_the_page_is_up_to_date_but_for_rounding_which_is_the_machines() -> None:
    shown, holding = (re.sub(r"≤ [\de.-]+", "≤", page) for page in (PAGE.read_text(encoding="utf-8"), document()))
    assert shown == holding, "run `python -m scripts.write_families_docs`"
