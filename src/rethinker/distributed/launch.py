"""What `torchrun` told this process by its environment."""

from __future__ import annotations

import os
from dataclasses import dataclass
from datetime import timedelta

from torch.distributed import PrefixStore, TCPStore  # type: ignore[attr-defined]  # exported, but not by name


@dataclass(frozen=True, slots=True, kw_only=True)
class Launch:
    """One process of a launch.

    Attributes:
        rank: Of this process among all.
        ranks: How many there are.
        local_rank: Of this process on its machine.
        local_ranks: How many there are on this machine.
        restarts: How often the launch has begun again.
    """

    rank: int
    ranks: int
    local_rank: int
    local_ranks: int
    restarts: int

    def store(self, patience: float) -> PrefixStore:
        """The launch's store; what an earlier attempt left there does not show."""
        port = int(os.environ["MASTER_PORT"])
        store = TCPStore(os.environ["MASTER_ADDR"], port, is_master=False, timeout=timedelta(seconds=patience))
        return PrefixStore(f"rethinker/{self.restarts}", store)


def launched() -> Launch | None:
    """How torchrun started this process; None where it did not."""
    found = os.environ
    if "TORCHELASTIC_RUN_ID" not in found:
        return None
    return Launch(
        rank=int(found["RANK"]),
        ranks=int(found["WORLD_SIZE"]),
        local_rank=int(found["LOCAL_RANK"]),
        local_ranks=int(found["LOCAL_WORLD_SIZE"]),
        restarts=int(found["TORCHELASTIC_RESTART_COUNT"]),
    )
