"""A group of processes that broadcast over gloo, beside whatever groups torch has in each of them."""

from __future__ import annotations

from datetime import timedelta

from torch.distributed import ProcessGroup, ProcessGroupGloo, TCPStore  # type: ignore[attr-defined]  # exported, but not by name


def joined(*, address: str, port: int, rank: int, size: int, patience: float) -> ProcessGroup:
    """Join, as so-and-so many of so many; rank 0 holds the store in which they meet.

    Args:
        patience: Seconds to wait for the others.
    """
    waiting = timedelta(seconds=patience)
    store = TCPStore(address, port, size, is_master=rank == 0, timeout=waiting)
    group: ProcessGroup = ProcessGroupGloo(store, rank, size, waiting)  # type: ignore[assignment]
    return group
