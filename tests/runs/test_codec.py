"""A state comes back as it was: values, types, dtypes, and what was one object is one object."""

import json
import math
from collections import OrderedDict
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from safetensors.torch import load_file, save_file

from rethinker.errors import CheckpointError
from rethinker.runs.codec import decode, encode
from rethinker.types import Group, Mean, Outcome, Problem, Rethought


def through_disk(state, folder: Path):
    document, tensors = encode(state)
    save_file(tensors, folder / "tensors")
    return decode(json.loads(json.dumps(document, allow_nan=False)), load_file(folder / "tensors"))


def in_memory(state):
    document, tensors = encode(state)
    return decode(json.loads(json.dumps(document, allow_nan=False)), tensors)


def assert_same(left, right) -> None:
    """Equal with equal types all the way down; NaN equals NaN."""
    assert type(left) is type(right)
    match left:
        case dict():
            assert list(left) == list(right)
            for key in left:
                assert_same(left[key], right[key])
        case list() | tuple():
            assert len(left) == len(right)
            for one, other in zip(left, right):
                assert_same(one, other)
        case np.ndarray() | np.generic():
            assert left.dtype == right.dtype
            np.testing.assert_array_equal(left, right, strict=True)
        case torch.Tensor():
            assert left.dtype == right.dtype
            torch.testing.assert_close(left, right, rtol=0, atol=0, equal_nan=True)
        case float():
            assert repr(left) == repr(right)  # tells -0.0 from 0.0
        case _:
            assert left == right


dtypes = st.sampled_from([np.bool_, np.uint8, np.int32, np.int64, np.float32, np.float64, np.float16])
arrays = dtypes.flatmap(lambda dtype: hnp.arrays(dtype, hnp.array_shapes(min_dims=0, min_side=0, max_side=3)))
leaves = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(st.characters(codec=None)),
    st.sampled_from(Outcome),
    arrays,
    arrays.map(lambda array: torch.from_numpy(array.copy())),
    st.floats(width=32).map(np.float32),
    st.builds(Mean, sum=st.floats(allow_nan=False), count=st.floats(allow_nan=False)),
)
keys = st.one_of(st.text(max_size=3), st.integers(), st.just("$"))
nested = st.recursive(
    leaves,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.lists(inner, max_size=3).map(tuple),
        st.dictionaries(keys, inner, max_size=3),
    ),
    max_leaves=8,
)


@settings(max_examples=200, deadline=None)
@given(st.dictionaries(st.text(max_size=4), nested, max_size=4))
def test_any_state_comes_back_as_it_was(state):
    assert_same(in_memory(state), state)


def test_group_comes_back_through_the_disk_with_every_field(tmp_path, make_group, make_image):
    image = make_image(0)
    experiences = make_group("p1", image=image, rethought=1)
    problem = Problem(id="p1", images=(image,), question="<image>?", answer="7", verifier="number", choices=("a", "b"))
    group = Group(problem=problem, rollouts=tuple(each.rollout for each in experiences))
    back = through_disk({"group": group, "unspent": experiences}, tmp_path)

    rethought = back["unspent"][1].rollout
    assert isinstance(rethought, Rethought)
    assert rethought.trigger_span == (1, 3)
    assert rethought.first.text == experiences[1].rollout.first.text
    assert rethought.verdict == experiences[1].rollout.verdict
    assert back["group"].problem.choices == ("a", "b")
    for one, other in zip(back["unspent"], experiences):
        assert one.advantage == other.advantage
        for name in ("token_ids", "logprobs", "forced"):
            assert_same(getattr(one.rollout, name), getattr(other.rollout, name))
    assert back["group"].problem.images[0].id == image.id


def test_what_was_one_object_is_one_object_and_is_stored_once(tmp_path, make_group, make_image):
    image = make_image(0)
    experiences = [*make_group("p1", image=image), *make_group("p2", image=image)]
    state = {"episode": experiences[1:], "replay": {"buffer": (experiences[1], experiences[1], experiences[0])}}
    back = through_disk(state, tmp_path)

    episode, buffer = back["episode"], back["replay"]["buffer"]
    assert buffer[0] is buffer[1] is episode[0]
    assert buffer[2] is not episode[0]
    assert buffer[2].rollout.prompt is episode[0].rollout.prompt
    assert episode[-1].rollout.prompt is not episode[0].rollout.prompt
    assert episode[-1].rollout.prompt.images[0] is episode[0].rollout.prompt.images[0]
    _, tensors = encode(state)
    assert sum(tensor.dtype == torch.uint8 for tensor in tensors.values()) == 1


def test_tied_weights_are_stored_once_and_stay_tied(tmp_path):
    model = torch.nn.ModuleDict({"embed": torch.nn.Embedding(5, 3), "head": torch.nn.Linear(3, 5, bias=False)})
    model["head"].weight = model["embed"].weight
    weights = model.state_dict()
    assert weights["embed.weight"] is not weights["head.weight"]
    _, tensors = encode({"weights": weights})
    back = through_disk({"weights": weights}, tmp_path)["weights"]
    assert len(tensors) == 1
    assert back["embed.weight"] is back["head.weight"]
    assert_same(back["head.weight"], weights["head.weight"])


def test_views_are_stored_without_what_they_are_views_of(tmp_path):
    whole = torch.arange(1000.0)
    state = {"part": whole[:3], "strided": whole.view(10, 100).T, "whole": whole, "rows": whole.view(10, 100)}
    back = through_disk(state, tmp_path)
    assert all(torch.equal(back[name], state[name]) for name in state)
    assert (tmp_path / "tensors").stat().st_size < 14_000


def test_optimiser_continues_exactly_where_it_was(tmp_path):
    def step(model, optimiser):
        optimiser.zero_grad()
        model(torch.ones(2, 4)).square().sum().backward()
        optimiser.step()

    torch.manual_seed(0)
    model = torch.nn.Linear(4, 4)
    optimiser = torch.optim.AdamW(model.parameters(), lr=0.1)
    step(model, optimiser)
    back = through_disk({"model": model.state_dict(), "optimiser": optimiser.state_dict()}, tmp_path)
    other = torch.nn.Linear(4, 4)
    other.load_state_dict(back["model"])
    resumed = torch.optim.AdamW(other.parameters(), lr=0.5)
    resumed.load_state_dict(back["optimiser"])
    step(model, optimiser)
    step(other, resumed)
    assert torch.equal(model.weight, other.weight)


def test_half_precision_and_ordered_dicts_are_kept(tmp_path):
    state = {"weights": OrderedDict(a=torch.randn(3).bfloat16(), b=torch.tensor(2.5).half())}
    back = through_disk(state, tmp_path)["weights"]
    assert_same(dict(back), dict(state["weights"]))


@pytest.mark.parametrize(
    ("value", "place"),
    [
        (object(), r"state\['replay'\]\[1\] is a builtins.object"),
        ({1, 2}, "builtins.set"),
        (np.array(["text"]), "array of <U4"),
        (Path("/"), "PosixPath"),
    ],
)
def test_what_cannot_be_stored_is_refused_with_its_place(value, place):
    with pytest.raises(TypeError, match=place):
        encode({"replay": [0, value]})


def test_state_of_another_version_is_a_clear_error():
    document, tensors = encode({"mean": Mean(sum=1.0)})
    document["objects"][0]["fields"]["weight"] = 2.0
    with pytest.raises(CheckpointError, match="does not fit this version"):
        decode(document, tensors)
    document["objects"][0]["$"] = "Median"
    with pytest.raises(CheckpointError, match="Median"):
        decode(document, tensors)


def test_nan_in_a_state_is_strict_json():
    document, _ = encode({"loss": math.nan, "best": -math.inf})
    assert "NaN" not in json.dumps(document, allow_nan=False)
