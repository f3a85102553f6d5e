from __future__ import annotations

import copy
import json
import sys

import pytest
import torch
from torch.nn import Parameter

from rethinker.errors import CheckpointError, ConfigError
from rethinker.learner.optimizer import Kind, Optimizer
from rethinker.runs.codec import decode, encode
from rethinker.types import State

KINDS: list[Kind] = ["adamw", "adamw_8bit"]


def weight(dtype: torch.dtype = torch.float32, seed: int = 0, size: int = 8192) -> Parameter:
    return Parameter(torch.randn(size, generator=torch.Generator().manual_seed(seed)).to(dtype))


def descend(optimizer: Optimizer, trained: Parameter, steps: int, *, lr: float = 1e-5) -> None:
    for _ in range(steps):
        optimizer.zero_grad()
        (trained.float() ** 2).sum().backward()
        optimizer.step(lr)


def through_disk(state: State) -> State:
    document, tensors = encode(state)
    return decode(json.loads(json.dumps(document)), copy.deepcopy(tensors))


def needs(kind: Kind) -> None:
    if kind == "adamw_8bit":
        pytest.importorskip("bitsandbytes", reason="8-bit moments need bitsandbytes")


def test_small_steps_reach_half_precision_weights_through_their_masters() -> None:
    kept, lost = weight(torch.bfloat16), weight(torch.bfloat16)
    before = kept.detach().clone()
    optimizer = Optimizer({"w": kept})
    descend(optimizer, kept, 400)
    descend(Optimizer({"w": lost}, masters=False), lost, 400)
    large = before.abs() > 0.5  # a bfloat16 near 1 has steps of 1/128
    master = optimizer.state_dict()["masters"]["w"]
    assert (before.float() - master).abs()[large].mean() == pytest.approx(400e-5, rel=0.05)
    assert torch.equal(kept, master.to(torch.bfloat16))
    assert not torch.equal(kept, before)
    assert torch.equal(lost[large], before[large])


def test_half_precision_follows_float32_training_within_its_rounding() -> None:
    half, full = weight(torch.bfloat16), Parameter(weight(torch.bfloat16).detach().float())
    optimizer = Optimizer({"w": half})
    descend(optimizer, half, 50, lr=1e-3)
    descend(Optimizer({"w": full}), full, 50, lr=1e-3)
    assert (optimizer.state_dict()["masters"]["w"] - full).abs().max() < 1e-3


def test_gradients_of_micro_batches_are_added_in_float32() -> None:
    trained = Parameter(torch.ones(1, dtype=torch.bfloat16))
    optimizer = Optimizer({"w": trained})
    (trained * 256).sum().backward()
    for _ in range(16):
        (trained * 0.5).sum().backward()  # bfloat16 would round 256.5 back to 256
    assert trained.grad is None
    assert optimizer.clip(1e9) == 264.0


def test_float32_weights_are_their_own_masters() -> None:
    trained = weight()
    optimizer = Optimizer({"w": trained})
    descend(optimizer, trained, 1)
    assert trained.grad is not None
    assert optimizer.state_dict()["masters"] == {}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_a_restored_optimizer_goes_on_to_the_byte(kind: Kind, dtype: torch.dtype) -> None:
    needs(kind)
    whole, first, second = weight(dtype), weight(dtype), weight(dtype, seed=1)
    descend(Optimizer({"w": whole}, kind=kind), whole, 6, lr=1e-3)
    saved = Optimizer({"w": first}, kind=kind)
    descend(saved, first, 3, lr=1e-3)
    restored = Optimizer({"w": second}, kind=kind)
    restored.load_state_dict(through_disk(saved.state_dict()))
    descend(restored, second, 3, lr=1e-3)
    assert torch.equal(second, whole)


def test_eight_bit_moments_are_smaller_and_train_nearly_as_well() -> None:
    needs("adamw_8bit")
    small, usual = weight(size=65_536), weight(size=65_536)
    optimizers = {"adamw_8bit": Optimizer({"w": small}, kind="adamw_8bit"), "adamw": Optimizer({"w": usual})}
    for (_, optimizer), trained in zip(optimizers.items(), (small, usual), strict=True):
        descend(optimizer, trained, 100, lr=1e-3)
    held = {
        kind: sum(
            value.nbytes for value in optimizer.state_dict()["moments"]["w"].values() if isinstance(value, torch.Tensor)
        )
        for kind, optimizer in optimizers.items()
    }
    assert held["adamw_8bit"] < 0.3 * held["adamw"]
    assert (small - usual).abs().mean() < 0.05 * (weight(size=65_536) - usual).abs().mean()


def test_a_run_without_masters_can_go_on_with_them() -> None:
    before, after = weight(torch.bfloat16), weight(torch.bfloat16, seed=1)
    optimizer = Optimizer({"w": after})
    optimizer.load_state_dict(Optimizer({"w": before}, masters=False).state_dict())
    optimizer.step(1e-3)
    assert torch.equal(after, before)  # nothing to learn from yet, and the masters are the weights


def test_other_weights_are_refused() -> None:
    with pytest.raises(CheckpointError, match="other parts of it were trained: 2 weights differ"):
        Optimizer({"b": weight()}).load_state_dict(Optimizer({"a": weight()}).state_dict())


def test_eight_bits_without_bitsandbytes_say_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "bitsandbytes", None)
    with pytest.raises(ConfigError, match=r"pip install .rethinker\[eight-bit\]"):
        Optimizer({"w": weight()}, kind="adamw_8bit")
