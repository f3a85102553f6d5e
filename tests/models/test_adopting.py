from __future__ import annotations

import copy

import pytest
import torch

from rethinker.errors import ModelError
from rethinker.models.adapters import merged_weights
from rethinker.models.adopting import adopt
from rethinker.models.vlm import VLM


def test_a_model_that_adopted_the_weights_is_the_other(tiny_vlm: VLM) -> None:
    other = copy.deepcopy(tiny_vlm.module)
    for weight in other.parameters():
        torch.nn.init.zeros_(weight)
    adopt(other, merged_weights(tiny_vlm.module))
    assert all(torch.equal(own, their) for own, their in zip(other.parameters(), tiny_vlm.module.parameters()))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda weights: weights[1:], "1 of .* did not come, first"),
        (lambda weights: [*weights, ("nothing.weight", torch.zeros(1))], "has none of that name"),
        (lambda weights: [(weights[0][0], torch.zeros(3)), *weights[1:]], r"came with shape \(3,\) and not"),
    ],
)
def test_weights_of_another_model_are_refused_by_name(tiny_vlm: VLM, change, message: str) -> None:
    weights = change(list(merged_weights(tiny_vlm.module)))
    with pytest.raises(ModelError, match=message):
        adopt(copy.deepcopy(tiny_vlm.module), weights)
