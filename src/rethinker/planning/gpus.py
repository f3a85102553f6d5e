"""Kinds of GPUs, as their vendor states them; links in bytes a second of one GPU in one direction.

Stated are NVIDIA's data sheets of A100 80GB SXM, H100 SXM, H200 SXM and L20 (nvidia.com/en-us/data-center). A800 and
H800 are A100 and H100 whose NVLink is cut to 400 GB/s in both directions together. Between nodes are the network cards
of the vendor's own systems: DGX A100 has one of 200 Gbit/s for each GPU, DGX H100 and H200 one of 400; for the L20,
which has no such system, one of 100 is assumed.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from rethinker.chips import CHIPS
from rethinker.errors import ConfigError


@dataclass(frozen=True, slots=True, kw_only=True)
class Gpu:
    """One GPU and its place in a cluster.

    Attributes:
        rate: Dense bf16 operations a second.
        float32_rate: The same in float32, without tensor cores.
        memory: In bytes.
        bandwidth: Of its memory, bytes a second.
        inside: Link to the GPUs of its node.
        between: Its share of its node's network.
        node: GPUs of a node.
    """

    rate: float
    float32_rate: float
    memory: float
    bandwidth: float
    inside: float
    between: float
    node: int = 8

    def speed(self, dtype: str) -> float:
        """Operations a second in the weights' type."""
        return self.rate if dtype == "bfloat16" else self.float32_rate


_A100 = Gpu(
    rate=CHIPS["A100"], float32_rate=19.5e12, memory=80e9, bandwidth=2.039e12, inside=300e9, between=25e9
)  # NVLink 3: 600 GB/s in both directions together
_H100 = Gpu(
    rate=CHIPS["H100"], float32_rate=67e12, memory=80e9, bandwidth=3.35e12, inside=450e9, between=50e9
)  # NVLink 4: 900 GB/s

GPUS = {
    "A100-80": _A100,
    "A800-80": replace(_A100, inside=200e9),
    "H100": _H100,
    "H800": replace(_H100, inside=200e9),
    "H200": replace(_H100, memory=141e9, bandwidth=4.8e12),
    "L20": Gpu(
        rate=CHIPS["L20"], float32_rate=59.8e12, memory=48e9, bandwidth=864e9, inside=32e9, between=12.5e9
    ),  # PCIe 4.0 × 16, no NVLink
}
"""By the name that `rethinker plan --gpu` takes."""


def gpu_kind(name: str) -> Gpu:
    """A kind of the table.

    Raises:
        ConfigError: there is none of this name.
    """
    if name not in GPUS:
        raise ConfigError(f"--gpu {name}: no such kind is known; known are {', '.join(GPUS)}")
    return GPUS[name]
