"""Two processes with a sharded vision tower, where one has images, or none has; started by its test."""

from __future__ import annotations

import copy
from pathlib import Path

import numpy as np
import torch
from tests.models import toys
from tests.models.checks import experience, gradient_gap, learner_logprobs, problem
from torch import distributed
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import fully_shard
from torch.distributed.tensor import DTensor

from rethinker.models.vlm import VLM
from rethinker.types import Completion, Experience

NAME = "Qwen3-VL"  # its vision tower reaches into several layers


def run(rank: int, folder: str) -> None:
    """Compare with one process on the joint batch, for images on either rank and on none; write the largest gap."""
    torch.set_num_threads(1)
    store = Path(folder) / "store"
    distributed.init_process_group("gloo", init_method=f"file://{store}", rank=rank, world_size=2)
    module, processor = toys.build(NAME)
    whole = VLM(copy.deepcopy(module), processor)
    vlm = VLM(module, processor, blank_image=True)
    mesh = init_device_mesh("cpu", (2,))
    tower = module.model.visual
    for block in (*tower.blocks, tower.merger, *tower.deepstack_merger_list, *module.model.language_model.layers):
        fully_shard(block, mesh=mesh)
    gap = 0.0
    for with_images in (0, 1, None):
        batches = [chosen(whole, "several" if at == with_images else "told") for at in range(2)]
        gap = max(gap, gradient_gap(joint(vlm, batches[rank]), joint(whole, [*batches[0], *batches[1]])))
    (Path(folder) / str(rank)).write_text(str(gap), encoding="utf-8")
    distributed.destroy_process_group()


def chosen(vlm: VLM, name: str) -> list[Experience]:
    """Two made-up responses."""
    prompt, rng = vlm.encode(problem(name), "plain"), np.random.default_rng(3)
    completions = [
        Completion(
            request_id=name,
            sample=sample,
            token_ids=rng.integers(20, 250, 8),
            logprobs=np.full(8, -5, dtype=np.float32),
            finish_reason="length",
            policy_version=0,
        )
        for sample in range(2)
    ]
    return [experience(prompt, completion, advantage=1.0) for completion in completions]


def joint(vlm: VLM, experiences: list[Experience]) -> dict[str, torch.Tensor]:
    """Whole gradients, summed over ranks where the parameters are spread over them."""
    vlm.module.zero_grad()
    torch.stack([part.mean() for part in learner_logprobs(vlm, experiences)]).sum().backward()
    spread = any(isinstance(weight, DTensor) for weight in vlm.module.parameters())
    found = {}
    for name, weight in vlm.module.named_parameters():
        if isinstance(weight, DTensor):
            found[name] = weight.grad.full_tensor() * 2  # a mean over ranks
        elif spread:
            found[name] = torch.zeros_like(weight) if weight.grad is None else weight.grad
            distributed.all_reduce(found[name])
        else:
            found[name] = torch.zeros_like(weight) if weight.grad is None else weight.grad.clone()
    return found
