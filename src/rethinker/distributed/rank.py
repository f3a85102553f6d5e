"""One process that holds a piece of the learner; its methods are called by name, on all ranks at the same time."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from datetime import timedelta
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float32
from torch import Tensor, distributed
from torch.distributed.device_mesh import DeviceMesh, init_device_mesh

from rethinker.distributed import checkpoints, export
from rethinker.distributed.sharding import whole
from rethinker.distributed.stores import Store
from rethinker.learner.learner import PolicyLearner
from rethinker.learner.work import MicroBatch, Work
from rethinker.types import Metrics, State


class LearnerRank:
    """Joins the other ranks, and then owns its part of the learner.

    Args:
        rank: From 0.
        ranks: How many there are.
        store: Where they meet; nothing of ranks that met before may be in it.
        timeout_seconds: A collective that lasts longer fails: another rank is dead or hangs.
        device: `cpu`, or the CUDA device of this rank.
        make: Makes the learner, its model spread over a mesh of one dimension.
    """

    def __init__(
        self,
        *,
        rank: int,
        ranks: int,
        store: Store,
        timeout_seconds: float,
        device: str,
        make: Callable[[DeviceMesh], PolicyLearner],
    ) -> None:
        kind = torch.device(device).type
        if kind == "cuda":
            torch.cuda.set_device(device)
            torch.cuda.init()  # or the mesh chooses a device by itself
        distributed.init_process_group(
            "cpu:gloo,cuda:nccl" if kind == "cuda" else "gloo",  # numbers and offloaded weights travel on the CPU
            store=store,
            rank=rank,
            world_size=ranks,
            timeout=timedelta(seconds=timeout_seconds),
        )
        self._learner = make(init_device_mesh(kind, (ranks,)))

    def sharing(self) -> tuple[bool, bool]:
        """What the model can do, for the driver's outline of it (`loading.load_outline`)."""
        return self._learner.vlm.shares_prompts, self._learner.vlm.plain_scores

    def run(self, work: Work) -> Metrics:
        """This rank's part of an update (`PolicyLearner.run`)."""
        return self._learner.run(work)

    def token_logprobs(self, micro_batches: Sequence[MicroBatch]) -> list[Float32[np.ndarray, " tokens"]]:
        """This rank's part of the log-probabilities (`PolicyLearner.score`)."""
        return self._learner.score(micro_batches)

    def policy_synced(self, version: int) -> None:
        """The weights as they are now became the behaviour policy."""
        self._learner.policy_synced(version)

    def save(self, folder: Path) -> State:
        """Write this rank's part below `folder`; what is alike on all ranks comes back."""
        return checkpoints.write(folder, self._learner.state_dict())

    def load(self, folder: Path, state: State) -> None:
        """Restore what any number of ranks saved.

        Raises:
            CheckpointError: it is of another model.
        """
        self._learner.load_state_dict(checkpoints.read(folder, state, self._learner.state_dict()))

    def write_model(self, folder: Path) -> None:
        """Write a Hugging Face folder."""
        export.write_model(self._learner.vlm, folder)

    def named_weights(self) -> Iterator[tuple[str, Tensor]]:
        """Whole weights under their Hugging Face names, one at a time, adapters added in; all ranks go through it."""
        dtype = self._learner.vlm.dtype
        for name, weight in self._learner.named_weights():
            yield name, whole(weight.to(dtype))

    def close(self) -> None:
        """Leave the other ranks."""
        distributed.destroy_process_group()
