"""The learner: one optimiser update from weighted experience. It knows tokens and weights, not what made them.

Every loss component is a weighted mean over the whole update (Σ w ℓ / Σ w, ALGORITHM: normalisation); the totals are
taken when it is planned (`work.py`), so accumulation over micro-batches, and over ranks, is exact.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from jaxtyping import Bool, Float, Float32
from torch import Tensor

from rethinker.algo.objectives import (
    PolicyTerm,
    clipped_surrogate,
    imitation,
    importance_weights,
    k3,
    sequence_log_ratio,
    token_log_ratio,
    weighted_mean,
)
from rethinker.allocator import keep_freed_memory
from rethinker.errors import CheckpointError, RethinkerError
from rethinker.interfaces import Learner
from rethinker.learner.collate import Batch, collate
from rethinker.learner.figures import LOSSES, NOTHING, correction_metrics, token_metrics
from rethinker.learner.gap import refuse_gap
from rethinker.learner.logprobs import token_logprobs
from rethinker.learner.micro_batches import Row, blank
from rethinker.learner.optimizer import Kind, Optimizer
from rethinker.learner.ranks import Alone, Ranks
from rethinker.learner.schedule import lr_at
from rethinker.learner.work import MicroBatch, Planner, Work, in_order
from rethinker.models.adapters import has_adapter, merged_weights, part_of, without_adapter
from rethinker.models.compiling import compile_layers
from rethinker.models.vlm import VLM
from rethinker.timing import Stopwatch
from rethinker.types import Experience, Mean, Metrics, State, merge


@dataclass(frozen=True, slots=True, kw_only=True)
class Objective:
    """What is minimised: the surrogate, and the coefficients c_k of the other components (the policy's is 1).

    Attributes:
        ratio: Whether each token has a ratio of its own, or that of its response (GSPO).
        dual_clip: c, above 1; infinite is off.
        correction: Whether losses are multiplied by min(old / behaviour, `ratio_cap`), a token's or a response's.
        divisor: None divides every component by its Σ w; a number by so much for each response (Dr.GRPO).
        entropy_coefficient: Of the mean entropy, which is a bonus: it is taken from the loss.
    """

    ratio: Literal["token", "sequence"] = "token"
    clip_low: float = 0.2
    clip_high: float = 0.35
    dual_clip: float = math.inf
    ratio_cap: float = 2.0
    correction: Literal["none", "token", "sequence"] = "none"
    divisor: int | None = None
    imitation_coefficient: float = 0.0
    kl_coefficient: float = 0.0
    entropy_coefficient: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Optimisation:
    """AdamW, its schedule, and how an update is cut into micro-batches (see `config.LearnerConfig`)."""

    steps: int
    lr: float
    warmup: float = 0.03
    final_lr: float = 0.5
    betas: tuple[float, float] = (0.9, 0.999)
    weight_decay: float = 0.0
    grad_clip: float = 1.0
    optimizer: Kind = "adamw"
    master_weights: bool = True
    max_nonfinite: int = 10
    micro_batch_tokens: int = 16_384
    share_prompts: bool = True
    compile: bool = False


class PolicyLearner(Learner):
    """Trains a VLM with AdamW.

    Args:
        vlm: The policy.
        objective: The loss.
        optimisation: The optimiser and its batches.
        reference: Frozen starting policy, needed when the KL coefficient is not 0. With an adapter it may be `vlm`
            itself, which without its adapter is what it started as.
        max_gap: The run stops where the engine is farther off on average (`learner.gap`).
        stopwatch: Told where the time goes.
        ranks: Those that hold the model together.
    """

    def __init__(
        self,
        vlm: VLM,
        *,
        objective: Objective,
        optimisation: Optimisation,
        reference: VLM | None = None,
        max_gap: float = math.inf,
        stopwatch: Stopwatch | None = None,
        ranks: Ranks | None = None,
    ) -> None:
        if objective.kl_coefficient and reference is None:
            raise ValueError(f"kl_coefficient={objective.kl_coefficient} needs a reference model")
        if reference is vlm and not has_adapter(vlm.module):
            raise ValueError("the policy can be its own reference only with an adapter that can be left out")
        if vlm.device.type == "cpu":
            keep_freed_memory()
        if optimisation.compile:
            compile_layers(vlm.module)
        self.vlm = vlm
        self.objective = objective
        self.optimisation = optimisation
        self.reference = reference
        self.max_gap = max_gap
        self._stopwatch = stopwatch or Stopwatch()
        self._ranks = ranks or Alone()
        self._planner = Planner(
            vlm,
            micro_batch_tokens=optimisation.micro_batch_tokens,
            share_prompts=optimisation.share_prompts,
            divisor=objective.divisor,
        )
        self.step = 0
        self._policy_version = 0
        self._fresh = True
        self._gap: tuple[float, float] | None = None
        self._gaps: list[Tensor] = []
        self._nonfinite_in_a_row = 0
        self._optimizer = Optimizer(
            {name: weight for name, weight in vlm.module.named_parameters() if weight.requires_grad},
            kind=optimisation.optimizer,
            betas=optimisation.betas,
            weight_decay=optimisation.weight_decay,
            masters=optimisation.master_weights,
        )

    def policy_synced(self, version: int) -> None:
        """From now on `version` names the weights as they are, and forwards before the next step measure the gap.

        The last update's gradients are freed: what is generated now needs their room.
        """
        self._optimizer.zero_grad()
        self._policy_version = version
        self._fresh = True

    def update(self, chosen: Sequence[Experience]) -> Metrics:
        """One optimiser update on `chosen`; an experience that stands twice counts twice.

        What weighs nothing does not pass the model. A choice of nothing else, and an update whose loss or gradient is
        not finite, leave the weights as they are and are counted in `policy/skipped`.

        Raises:
            RethinkerError: too many updates in a row were not finite, or the engine is farther off than `max_gap`.
        """
        return self.run(self.plan(chosen))

    def plan(self, chosen: Sequence[Experience]) -> Work:
        """The next update, by this rank alone."""
        with self._stopwatch.within("collate"):
            return self._planner.plan(self.step + 1, chosen)[0]

    def run(self, work: Work) -> Metrics:
        """This rank's part of an update; every rank runs its own at the same time.

        Metrics of all ranks, added, are those of the update: what is of the whole of it counts once on each.

        Raises:
            RethinkerError: as `update`.
        """
        self.step = work.step
        self.vlm.module.train()
        self._optimizer.zero_grad()
        metrics = NOTHING
        for left, micro in zip(reversed(range(len(work.micro_batches))), work.micro_batches, strict=True):
            self._ranks.before_backward(last=left == 0)
            metrics = merge(metrics, self._accumulate(micro, work))
        if self.vlm.blank is not None and not work.shows_images:
            self._optimizer.zero_grad(self._read_with_images)
        gap = self._engine_gap()
        refuse_gap(gap, self.max_gap)
        with self._stopwatch.within("optimiser"):
            norm = self._optimizer.clip(self.optimisation.grad_clip)
        metrics["policy/lr"] = Mean(sum=self._lr())
        metrics["policy/grad_norm"] = Mean(sum=norm)
        finite = math.isfinite(norm) and all(math.isfinite(metrics[name].sum) for name in LOSSES if name in metrics)
        finite = bool(self._ranks.gather(finite).all())
        metrics["policy/skipped"] = Mean(sum=float(not self._stepped(finite=finite, empty=not work.micro_batches)))
        return metrics | gap

    def _collate(self, micro: Sequence[Row]) -> Batch:
        with self._stopwatch.within("collate"):
            return collate(micro or [self._blank], self.vlm, policy_version=self._policy_version)

    @cached_property
    def _blank(self) -> Row:
        return blank(self.vlm)

    @cached_property
    def _read_with_images(self) -> list[str]:
        """Weights that a blank image alone reached, which is no reason to move them."""
        return [name for name, part in part_of(self.vlm.module).items() if part != "language"]

    def _accumulate(self, micro: Sequence[Row], work: Work) -> Metrics:
        """Forward and backward of one micro-batch."""
        objective, rl, copies = self.objective, work.rl, work.imitation
        batch = self._collate(micro)
        reference = self._reference_logprobs(batch) if objective.kl_coefficient else None
        with self._stopwatch.within("forward"):
            self._stopwatch.count(tokens=batch.tokens, slots=batch.slots, padding=batch.padding)
            if self._stopwatch.recording:
                self._stopwatch.count(operations=sum(self.vlm.operations(row.prompt, row.lengths) for row in micro))
            logprobs, entropy = token_logprobs(self.vlm, batch)
        sampled = batch.sampled & (batch.rl != 0)
        term = self._policy_term(batch, logprobs, sampled)
        correction = self._correction(batch, sampled)
        policy = weighted_mean(term.losses * correction, batch.rl, total=rl.divisor)
        copied = weighted_mean(imitation(logprobs), batch.imitation, total=copies.divisor)
        loss = policy + objective.imitation_coefficient * copied
        metrics = token_metrics(batch, term, entropy.detach(), sampled)
        metrics["policy/loss"] = rl.logged(policy, batch.rl)
        metrics["policy/imitation_loss"] = copies.logged(copied, batch.imitation)
        if objective.correction != "none":
            metrics |= correction_metrics(correction[sampled], objective.ratio_cap)
        if objective.dual_clip < math.inf:
            count = metrics["policy/clip_fraction"].count
            metrics["policy/dual_clip_fraction"] = Mean(sum=float(term.dual_clipped.sum()), count=count)
        if objective.entropy_coefficient:
            loss = loss - objective.entropy_coefficient * weighted_mean(entropy, batch.rl, total=rl.divisor)
        if reference is not None:
            kl = weighted_mean(k3(logprobs, reference, sampled=sampled), batch.rl, total=rl.divisor)
            loss = loss + objective.kl_coefficient * kl
            metrics["policy/kl"] = rl.logged(kl, batch.rl)
        if loss.requires_grad:  # else nothing that is trained took part: text alone, where only vision is
            with self._stopwatch.within("backward"):
                self._stopwatch.count(tokens=batch.tokens)
                loss.backward()
        if self._fresh:
            current = sampled & ~batch.stale
            self._gaps.append((logprobs.detach() - batch.behaviour)[current].abs())
        return metrics

    def _policy_term(
        self, batch: Batch, logprobs: Float[Tensor, " tokens"], sampled: Bool[Tensor, " tokens"]
    ) -> PolicyTerm:
        objective, old = self.objective, batch.old
        if objective.ratio == "sequence":
            log_ratio = sequence_log_ratio(logprobs, old, sampled=sampled, lengths=batch.lengths)
        else:
            log_ratio = token_log_ratio(logprobs, old, sampled=sampled)
        return clipped_surrogate(
            log_ratio,
            batch.advantages,
            clip_low=objective.clip_low,
            clip_high=objective.clip_high,
            sampled=sampled,
            ratio_cap=objective.ratio_cap,
            capped=batch.stale,
            dual_clip=objective.dual_clip,
        )

    def _correction(self, batch: Batch, sampled: Bool[Tensor, " tokens"]) -> Float[Tensor, " tokens"]:
        """min(old / behaviour, C): no part of the normaliser, and without gradient."""
        if self.objective.correction == "none":
            return torch.ones_like(batch.behaviour)
        lengths = batch.lengths if self.objective.correction == "sequence" else None
        return importance_weights(
            batch.old, batch.behaviour, cap=self.objective.ratio_cap, sampled=sampled, lengths=lengths
        )

    def _reference_logprobs(self, batch: Batch) -> Float[Tensor, " tokens"]:
        assert self.reference is not None
        with self._stopwatch.within("logprobs"), torch.no_grad(), without_adapter(self.reference.module):
            self._stopwatch.count(tokens=batch.tokens)
            return token_logprobs(self.reference, batch)[0]

    def _lr(self) -> float:
        settings = self.optimisation
        return lr_at(self.step, peak=settings.lr, steps=settings.steps, warmup=settings.warmup, final=settings.final_lr)

    def _stepped(self, *, finite: bool, empty: bool) -> bool:
        """Step the optimiser if the update is usable; say whether it was."""
        if empty:
            return False
        if finite:
            with self._stopwatch.within("optimiser"):
                self._optimizer.step(self._lr())
            self._fresh = False
            self._nonfinite_in_a_row = 0
            return True
        self._nonfinite_in_a_row += 1
        if self._nonfinite_in_a_row >= self.optimisation.max_nonfinite:
            raise RethinkerError(
                f"{self._nonfinite_in_a_row} updates in a row had no finite loss and gradient (step {self.step}); "
                "lower learner.lr, or look at policy/engine_gap_max and policy/grad_norm for where it began"
            )
        return False

    def _engine_gap(self) -> Metrics:
        """|learner − engine| log-probs, read before the first step after a sync and kept until the next."""
        if self._gaps:
            gaps = torch.cat(self._gaps).double()
            largest = float(gaps.max()) if len(gaps) else 0.0
            found = self._ranks.gather(float(gaps.sum()), len(gaps), largest)
            summed, count = found[:, :2].sum(dim=0).tolist()
            if count:
                self._gap = (summed / count, float(found[:, 2].max()))
            self._gaps.clear()
        mean, largest = self._gap or (0.0, 0.0)
        measured = float(self._gap is not None)
        return {
            "policy/engine_gap_mean": Mean(sum=mean, count=measured),
            "policy/engine_gap_max": Mean(sum=largest, count=measured),
        }

    def token_logprobs(self, experiences: Sequence[Experience]) -> list[Float32[np.ndarray, " tokens"]]:
        """Log-probabilities of every response token under the current weights, in the order given."""
        with self._stopwatch.within("collate"):
            cut = self._planner.cut(experiences)
        return in_order(experiences, cut, [self.score(cut[0])])

    def score(self, micro_batches: Sequence[MicroBatch]) -> list[Float32[np.ndarray, " tokens"]]:
        """Of this rank's part of a cut, the log-probabilities of each experience, row by row; as many on every rank."""
        found: list[np.ndarray] = []
        self.vlm.module.eval()
        with torch.no_grad():
            for micro in micro_batches:
                batch = self._collate(micro)
                self._stopwatch.count(tokens=batch.tokens)
                flat = token_logprobs(self.vlm, batch)[0].cpu().numpy()
                lengths = [length for row in micro for length in row.lengths]
                found += np.split(flat, np.cumsum(lengths)[:-1]) if lengths else []
        return found

    def named_weights(self) -> Iterator[tuple[str, Tensor]]:
        """All weights under their Hugging Face names, adapters added in; tied ones once."""
        return merged_weights(self.vlm.module)

    def save(self, folder: Path) -> State:  # noqa: ARG002 (all of it comes back)
        """See `state_dict`."""
        return self.state_dict()

    def load(self, folder: Path, state: State) -> None:  # noqa: ARG002
        """See `load_state_dict`."""
        if "ranks" in state:
            raise CheckpointError(
                "the checkpoint was saved by the ranks of a cluster and this learner is one process; resume with the "
                "cluster.kind it was made with (one rank will do), or start a new run from the checkpoint's hf/ folder"
            )
        self.load_state_dict(state)

    def state_dict(self) -> State:
        """Trained weights, their masters and moments by name, and where the schedule and the gap stand.

        Frozen weights are not in it: they are still what the model was loaded with.
        """
        return {
            "step": self.step,
            "policy_version": self._policy_version,
            "fresh": self._fresh,
            "gap": self._gap,
            "nonfinite_in_a_row": self._nonfinite_in_a_row,
            **self._optimizer.state_dict(),
        }

    def load_state_dict(self, state: State) -> None:
        """Restore `state_dict` in place.

        Raises:
            CheckpointError: the weights' names are not those trained here.
        """
        self._optimizer.load_state_dict(state)
        self.step = int(state["step"])
        self._policy_version = int(state["policy_version"])
        self._fresh = bool(state["fresh"])
        self._gap = state["gap"]
        self._nonfinite_in_a_row = int(state["nonfinite_in_a_row"])
