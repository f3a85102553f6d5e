"""Where the ranks of a learner find each other: a store of keys and values that one of them holds."""

from __future__ import annotations

from datetime import timedelta

from torch.distributed import Store, TCPStore  # type: ignore[attr-defined]  # exported, but not by name

__all__ = ["Store", "shared_store"]


def shared_store(address: str, *, rank: int, ranks: int, patience: float) -> Store:
    """A new store, which rank 0 holds.

    Args:
        address: `host:port` of rank 0's machine, the port free.
        patience: Seconds to wait for the other ranks, and for a value.
    """
    host, _, port = address.rpartition(":")
    return TCPStore(host, int(port), ranks, is_master=rank == 0, timeout=timedelta(seconds=patience))
