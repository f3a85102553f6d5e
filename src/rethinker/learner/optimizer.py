"""AdamW, over float32 masters where the model's weights are of half precision.

A step of 1e-6 is rounded away from a bfloat16 weight; a float32 copy keeps it. The engine and the learner's forward
both read the half-precision weights, which follow their masters after every step, so their log-probs agree. Gradients
are added up in float32 too, and each half-precision one is freed as soon as it was added.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Literal

import torch
from torch import Tensor
from torch.distributed.tensor import DTensor
from torch.nn import Parameter
from torch.nn.utils import clip_grads_with_norm_, get_total_norm

from rethinker.errors import CheckpointError, ConfigError
from rethinker.types import State

Kind = Literal["adamw", "adamw_8bit"]


class Optimizer:
    """AdamW of some named weights.

    Args:
        kind: `adamw` is torch's fused one, `adamw_8bit` keeps its moments in 8 bits (bitsandbytes).
        masters: Keep a float32 copy of half-precision weights; without, small steps are rounded away.

    Raises:
        ConfigError: bitsandbytes is asked for and not installed.
    """

    def __init__(
        self,
        weights: Mapping[str, Parameter],
        *,
        kind: Kind = "adamw",
        betas: tuple[float, float] = (0.9, 0.999),
        weight_decay: float = 0.0,
        masters: bool = True,
    ) -> None:
        self._weights = dict(weights)
        self._masters = {name: _master(weight) if masters else weight for name, weight in weights.items()}
        for name, weight in self._weights.items():
            if self._masters[name] is not weight:
                weight.register_post_accumulate_grad_hook(_hand_over(self._masters[name]))
        make = _bitsandbytes() if kind == "adamw_8bit" else _fused
        self._optimizer = make(list(self._masters.values()), betas=betas, weight_decay=weight_decay)

    def zero_grad(self, names: Iterable[str] | None = None) -> None:
        """Forget the gradients, all or those of the weights named; a weight without one is not moved."""
        for name in self._masters if names is None else self._masters.keys() & names:
            self._masters[name].grad = None

    def clip(self, largest: float) -> float:
        """Scale the gradients so that their norm is at most `largest`; return the norm before, over all ranks."""
        weights = list(self._masters.values())
        norm = get_total_norm([weight.grad for weight in weights if weight.grad is not None])
        norm = norm.full_tensor() if isinstance(norm, DTensor) else norm
        clip_grads_with_norm_(weights, largest, norm)
        return float(norm)

    @torch.no_grad()
    def step(self, lr: float) -> None:
        """Update the weights."""
        for group in self._optimizer.param_groups:
            group["lr"] = lr
        self._optimizer.step()
        self._follow()

    def state_dict(self) -> State:
        """Weights, the masters that are not the weights themselves, and the moments, all by the weights' names."""
        moments = self._optimizer.state
        return {
            "weights": {name: weight.detach() for name, weight in self._weights.items()},
            "masters": {name: master.detach() for name, master in self._apart()},
            "moments": {name: dict(moments[master]) for name, master in self._masters.items() if master in moments},
        }

    @torch.no_grad()
    def load_state_dict(self, state: State) -> None:
        """Restore `state_dict` in place.

        Raises:
            CheckpointError: the weights' names are not those trained here.
        """
        if state["weights"].keys() != self._weights.keys():
            odd = sorted(state["weights"].keys() ^ self._weights.keys())
            raise CheckpointError(
                f"the checkpoint is of another model, or other parts of it were trained: {len(odd)} weights differ, "
                f"first {odd[:3]}"
            )
        for name, weight in self._weights.items():
            weight.copy_(state["weights"][name])
        for name, master in self._apart():
            # A run without masters goes on with them from where its weights are.
            master.copy_(state["masters"].get(name, state["weights"][name]))
        for name, moments in state["moments"].items():
            master = self._masters[name]
            # The step count too: fused AdamW keeps it beside the weight.
            self._optimizer.state[master] = {
                key: value.to(master.device, copy=True) if isinstance(value, Tensor) else value
                for key, value in moments.items()
            }

    def _apart(self) -> list[tuple[str, Parameter]]:
        return [(name, master) for name, master in self._masters.items() if master is not self._weights[name]]

    def _follow(self) -> None:
        """Bring the weights to their masters."""
        apart = self._apart()
        if apart:
            torch._foreach_copy_([self._weights[name].data for name, _ in apart], [master.data for _, master in apart])


def _master(weight: Parameter) -> Parameter:
    """The weight itself where it is float32 or wider."""
    return Parameter(weight.detach().float()) if weight.dtype.itemsize < torch.float32.itemsize else weight


def _hand_over(master: Parameter) -> Callable[[Tensor], None]:
    """Add a weight's finished gradient to its master's, and free it."""

    def handed_over(weight: Tensor) -> None:
        assert weight.grad is not None
        if master.grad is None:
            master.grad = weight.grad.float()
        else:
            master.grad.add_(weight.grad)
        weight.grad = None

    return handed_over


def _fused(weights: list[Parameter], *, betas: tuple[float, float], weight_decay: float) -> torch.optim.Optimizer:
    return torch.optim.AdamW(weights, betas=betas, weight_decay=weight_decay, fused=True)


def _bitsandbytes() -> Callable[..., torch.optim.Optimizer]:
    try:
        from bitsandbytes import optim
    except ImportError as error:
        raise ConfigError(
            "learner.optimizer=adamw_8bit needs bitsandbytes, which is not installed: "
            "pip install 'rethinker[eight-bit]', or take learner.optimizer=adamw"
        ) from error
    made: Callable[..., torch.optim.Optimizer] = optim.AdamW8bit
    return made
