"""The few numbers that stand for everything that is not counted, each with what it was fitted on.

docs/scaling-out.md compares what they give with runs they were not fitted on.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Efficiency:
    """How much of what a vendor states is reached, and what every step costs beside it.

    Attributes:
        arithmetic: Share of a GPU's rate that learning and reading prompts reach.
        layer_seconds: Of one pass through one layer whatever its size: kernels to launch, shards to ask for. This and
            `arithmetic` are fitted on two runs of EasyR1, Qwen2.5-VL-7B on eight H100: 16.0 and 23.2 % of the peak with
            micro-batches of 4,096 and 16,384 tokens.
        bandwidth: Share of a memory's bandwidth that decoding reaches; fitted on 30.9 ms a token for one row of
            Qwen2.5-72B in vLLM on two H100 (tt-inference-server #143).
        link: Share of a link that large collectives reach: 360 of 450 GB/s on eight H100, as NVIDIA expects
            (nccl-tests #326).
        hop: Seconds for a message to pass one GPU of a ring (NCCL's tuning table: rings of LL128, any link).
        image: Seconds of an image that becomes patches; fitted on the seconds of a step of the same two runs, which
            prepare the image of every response anew in each of four passes.
        verdict: Seconds of one response on one worker: fractions with roots compared by math-verify, measured on one
            core of a server.
        overlapped: Whether shards move while layers compute; where the same cores do both, they do not.
    """

    arithmetic: float = 0.38
    layer_seconds: float = 1.8e-3
    bandwidth: float = 0.71
    link: float = 0.8
    hop: float = 2.5e-6
    image: float = 0.028
    verdict: float = 0.01
    overlapped: bool = True


PUBLISHED = Efficiency()
"""As fitted on what others published."""
