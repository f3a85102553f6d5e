"""Memory arithmetic: what stays, and what is live at the peak of an update, in bytes on one GPU.

Counted are tensors, as the learner of this package makes them. Left out: what an allocator loses to fragments, kernels'
own workspace and the CUDA context (together a gigabyte or two), and the processor's pixels before they reach the GPU.
`benchmarks/plan_memory.py` compares it with measured peaks.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from rethinker.planning.shapes import FLOAT32, Architecture, MicroBatch, Stack

CHUNK_SCORES = 16_000_000
"""Scores that the learner holds at once (`learner.logprobs`)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Memory:
    """Bytes by part. Updates and each kind of generation take turns: the peak is what stays and the largest of them.

    Attributes:
        stays: Held all the time.
        moments: What is added at the peak of each, by its name.
    """

    stays: Mapping[str, int]
    moments: Mapping[str, Mapping[str, int]]

    @property
    def largest(self) -> str:
        """The moment of the peak."""
        return max(self.moments, key=lambda moment: sum(self.moments[moment].values()))

    @property
    def peak(self) -> int:
        """Most bytes live at once."""
        return sum(self.stays.values()) + sum(self.moments[self.largest].values())


def kept(
    model: Architecture,
    *,
    width: int,
    masters: bool = True,
    eight_bit: bool = False,
    reference: bool = False,
    gpus: int = 1,
) -> dict[str, int]:
    """Weights, their float32 masters and the optimiser's two moments, cut into `gpus` equal parts.

    Args:
        width: Bytes of one weight; an adapter's are float32.
        masters: Whether trained weights of less than float32 have a copy that is (`learner.master_weights`).
        eight_bit: Whether moments take a byte each, and every 256 of them a scale.
        reference: Whether a frozen copy of the model is held beside it.
    """
    total = model.total
    base, stepped = total.total - total.adapter, _stepped(model, width, masters=masters)
    parts = {"weights": base * width + total.adapter * FLOAT32}
    if masters and width < FLOAT32 and total.trained > total.adapter:
        parts["masters"] = (total.trained - total.adapter) * FLOAT32
    parts["optimiser"] = 2 * (total.trained + total.trained * FLOAT32 // 256 if eight_bit else stepped)
    if reference:
        parts["reference"] = base * width
    return {name: -(-size // gpus) for name, size in parts.items()}


def of_update(
    model: Architecture, batch: MicroBatch, *, width: int, checkpointed: bool, masters: bool = True, gpus: int = 1
) -> dict[str, int]:
    """What an update adds at its peak, which is in the backward pass of a micro-batch that is not the first.

    Gradients are as wide as what the optimiser steps: those of half precision are freed layer by layer.
    """
    language, tower = model.language, model.vision
    patches = batch.prompts * batch.image_tokens * model.patches_per_token if tower else 0
    held, block = _language_layer(language, batch, width)
    whole = language.layers * (batch.tokens * language.width * width if checkpointed else held)
    inside = held if checkpointed else 0
    if tower and tower.learns:
        tower_held = _tower_layer(tower, patches, width)
        whole += tower.layers * (patches * tower.width * width if checkpointed else tower_held)
        whole += 5 * patches * tower.width * width  # the projector's own
    whole += _ends(model, batch, patches, width)
    scores, head = _logits(model, batch, width)
    backward = inside + block + (language.weights * width // 4 if language.trained else 0)
    parts = {
        "gradients": -(-_stepped(model, width, masters=masters) // gpus),
        "activations": whole + max(0, backward - max(scores, head)),
        "logits": max(scores, head),
    }
    return parts | gathered(model, width, gpus)


def _stepped(model: Architecture, width: int, *, masters: bool) -> int:
    """Bytes of the weights that the optimiser steps."""
    total = model.total
    return (total.trained - total.adapter) * (FLOAT32 if masters else width) + total.adapter * FLOAT32


def gathered(model: Architecture, width: int, gpus: int) -> dict[str, int]:
    """Whole layers that a sharded model collects to compute with: the one at work and the next, and the embeddings."""
    if gpus == 1:
        return {}
    layer = max(stack.weights for stack in (model.language, model.vision) if stack)
    return {"gathered layers": (2 * layer + model.vocabulary * model.language.width) * width}


def _language_layer(stack: Stack, batch: MicroBatch, width: int) -> tuple[int, int]:
    """Bytes that one layer holds for its backward pass, and the most that this pass adds."""
    tokens = batch.tokens
    shared_keys = 2 * batch.copied * stack.keys * width
    attention = (2 * stack.queries + 2 * stack.keys) * width + FLOAT32 * stack.heads
    held = tokens * (_norms_and_gate(stack, width) + _linear_inputs(stack, width) + attention) + shared_keys
    backward = max(tokens * (stack.width + 2 * stack.inner) * width, shared_keys + 2 * tokens * stack.queries * width)
    return held, backward


def _tower_layer(stack: Stack, patches: int, width: int) -> int:
    """Bytes that one layer of the image encoder holds: its projection of queries, keys and values is one tensor."""
    return patches * (_norms_and_gate(stack, width) + _linear_inputs(stack, width) + 6 * stack.queries * width)


def _norms_and_gate(stack: Stack, width: int) -> int:
    """Bytes per token of two norms and the activation function.

    A norm holds its input in float32, and, if its scale is trained, its output before scaling; a gate holds both
    factors and what the activation was computed from.
    """
    norms = 2 * stack.width * (FLOAT32 + (width if stack.trained else 0))
    return norms + (3 if stack.gated else 1) * stack.inner * width


def _linear_inputs(stack: Stack, width: int) -> int:
    """Bytes per token of what linear layers hold: their input, if they are trained.

    Layers with one input share it; but where the weights are not float32, each adapter makes a copy that is.
    """
    if stack.adapted and width != FLOAT32:
        return FLOAT32 * sum(inputs + rank for inputs, rank in stack.adapted)
    distinct = 2 * stack.width + stack.queries + stack.inner
    return width * (distinct + sum(rank for _, rank in stack.adapted)) if stack.learns else 0


def _ends(model: Architecture, batch: MicroBatch, patches: int, width: int) -> int:
    """Outside the layers: pixels, embeddings, the final norm, the states that are scored, and the mask."""
    tokens, language = batch.tokens, model.language
    mask = batch.copied * batch.response_tokens * width
    final = (FLOAT32 + 2 * width) * language.width * tokens + batch.answered * language.width * width
    return patches * model.pixels_per_patch * FLOAT32 + tokens * language.width * width + final + mask


def _logits(model: Architecture, batch: MicroBatch, width: int) -> tuple[int, int]:
    """Four tensors of scores while a chunk is scored; or its gradient beside that of the output layer."""
    scores = FLOAT32 * model.vocabulary * min(batch.answered, max(1, CHUNK_SCORES // model.vocabulary))
    head = model.vocabulary * model.language.width * width if model.language.trained else 0
    return 4 * scores, scores + head
