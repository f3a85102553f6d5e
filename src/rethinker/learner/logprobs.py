"""Log-probabilities and entropies of response tokens, a chunk of positions at a time.

The scores over the vocabulary of one chunk are recomputed in the backward pass, so batch × length × vocabulary is never
held; with a small vocabulary everything fits one chunk and nothing is recomputed. A model that neither shares prompts
nor has plain scores gives the scores of one whole response; only what is made of them is chunked.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from rethinker.learner.collate import Batch
from rethinker.models.vlm import VLM

_CHUNK_SCORES = 16_000_000
"""Most scores (positions × vocabulary) held at once; 64 MB in float32."""

Scored = tuple[Float[Tensor, " tokens"], Float[Tensor, " tokens"]]
"""Log-probabilities and entropies."""

Score = Callable[[Tensor, Tensor], Scored]
"""From states, or scores, and targets."""


def token_logprobs(vlm: VLM, batch: Batch) -> Scored:
    """Log-probability of each response token and the entropy where it was predicted (nats, temperature 1)."""
    return vlm.inside(_token_logprobs, vlm, batch)


def _token_logprobs(vlm: VLM, batch: Batch) -> Scored:
    score: Score = partial(_score, vlm) if vlm.plain_scores else _picked
    line = batch.line
    if vlm.shares_prompts:
        hidden = vlm.hidden(line.input_ids, positions=line.positions, layout=line.layout, vision=line.vision)
        states = hidden[0].index_select(0, line.sources)
    else:
        (prompt,), read, count = line.prompts, batch.targets[None, :-1], len(batch.targets)
        if vlm.plain_scores:
            states = vlm.separate_hidden(prompt, read)[0, -count:]
        else:
            states = vlm.separate_scores(prompt, read, last=count)[0]
    rows = max(1, _CHUNK_SCORES // vlm.vocabulary)
    if len(states) <= rows:
        return score(states, batch.targets)
    parts = [
        checkpoint(score, some, targets, use_reentrant=False)
        for some, targets in zip(states.split(rows), batch.targets.split(rows), strict=True)
    ]
    return torch.cat([part[0] for part in parts]), torch.cat([part[1] for part in parts])


def _score(vlm: VLM, states: Float[Tensor, "tokens width"], targets: Int[Tensor, " tokens"]) -> Scored:
    return _picked(vlm.logits(states), targets)


def _picked(scores: Float[Tensor, "tokens vocabulary"], targets: Int[Tensor, " tokens"]) -> Scored:
    """The targets' log-probabilities and the distributions' entropies."""
    logprobs, entropy = _Picked.apply(scores, targets)
    return logprobs, entropy


class _Picked(torch.autograd.Function):
    """Holds one table of probabilities for the backward pass, where autograd would hold three."""

    @staticmethod
    def forward(ctx: Any, scores: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
        logprobs = torch.log_softmax(scores, dim=-1)
        probabilities = logprobs.exp()
        each = torch.arange(len(targets), device=targets.device)
        picked = logprobs[each, targets]  # no view: FSDP2 hooks what its root returns
        lowest = torch.finfo(logprobs.dtype).min
        entropy = -torch.linalg.vecdot(probabilities, logprobs.clamp_(min=lowest))  # 0 · −∞ would be NaN
        ctx.save_for_backward(probabilities, targets, entropy)
        ctx.set_materialize_grads(False)  # no second table where no entropy is in the loss
        return picked, entropy

    @staticmethod
    def backward(ctx: Any, gradient: Tensor, of_entropy: Tensor | None) -> tuple[Tensor, None]:
        probabilities, targets, entropy = ctx.saved_tensors
        found = probabilities * -gradient[:, None]
        found.scatter_add_(-1, targets[:, None], gradient[:, None])
        if of_entropy is not None:  # ∂H/∂z = −p (log p + H)
            slopes = torch.xlogy(probabilities, probabilities).addcmul_(probabilities, entropy[:, None])
            found.addcmul_(slopes, of_entropy[:, None], value=-1)
        return found, None
