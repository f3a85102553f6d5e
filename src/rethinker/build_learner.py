"""From a configuration to a learner: in one process, or one rank of several and what the driver has of it."""

from __future__ import annotations

import copy
import math
from functools import partial
from typing import Any

import torch
from torch.distributed.device_mesh import DeviceMesh

from rethinker.config import Config
from rethinker.distributed.rank import LearnerRank
from rethinker.distributed.sharding import Sharded, Sharding, keep_masters
from rethinker.distributed.stores import Store
from rethinker.errors import ConfigError
from rethinker.learner.learner import Objective, Optimisation, PolicyLearner
from rethinker.learner.ranks import Ranks
from rethinker.learner.work import Planner
from rethinker.models import adapters
from rethinker.models.loading import Source, load_outline
from rethinker.models.vlm import VLM
from rethinker.timing import Stopwatch


def build_learner(config: Config, vlm: VLM, stopwatch: Stopwatch) -> PolicyLearner:
    """The learner of a run in one process."""
    reference = None
    if config.objective.kl_coefficient:
        adapted = config.model.adapter.kind == "lora"
        reference = vlm if adapted else VLM(copy.deepcopy(vlm.module).requires_grad_(False), vlm.processor)
    return _learner(config, vlm, reference, stopwatch=stopwatch)


def asks_again(config: Config) -> bool:
    """Whether old log-probs are asked of the learner: of a stale episode, another engine's, or if one said so.

    And for GSPO in bfloat16, where the difference of decoding and a packed forward alone is beyond its narrow clip.
    """
    asked = config.learner.behaviour_logprobs
    other = config.engine.kind != "torch" or config.pipeline.staleness > 0
    narrow = config.objective.kind == "gspo" and config.model.dtype == "bfloat16"
    return asked == "learner" or (asked == "auto" and (other or narrow))


def build_planner(config: Config, vlm: VLM) -> Planner:
    """What cuts updates for ranks; a model's outline is enough for it."""
    return Planner(
        vlm,
        micro_batch_tokens=config.learner.micro_batch_tokens,
        share_prompts=config.learner.share_prompts,
        divisor=_objective(config).divisor,
    )


def build_outline(config: Config, sharing: tuple[bool, bool]) -> VLM:
    """The model as the driver of several ranks has it, without weights.

    Args:
        sharing: What `LearnerRank.sharing` says.

    Raises:
        ModelError: the model cannot be loaded, or cannot be trained this way.
    """
    vlm = load_outline(model_source(config), sharing=sharing, pixel_bytes=config.model.pixel_bytes)
    choose_trained(vlm.module, config)
    return vlm


def build_rank(
    config: Config, *, rank: int, ranks: int, store: Store, timeout_seconds: float, device: str
) -> LearnerRank:
    """One rank of a sharded learner; all ranks are made at the same time. Arguments as `LearnerRank`.

    Raises:
        ConfigError: the optimiser cannot be sharded.
        ModelError: the model cannot be loaded, or cannot be trained this way.
    """
    if config.learner.optimizer != "adamw":
        raise ConfigError(
            f"learner.optimizer={config.learner.optimizer} cannot be sharded: bitsandbytes keeps whole weights; take "
            "learner.optimizer=adamw"
        )
    return LearnerRank(
        rank=rank,
        ranks=ranks,
        store=store,
        timeout_seconds=timeout_seconds,
        device=device,
        make=partial(_sharded_learner, config),
    )


def _sharded_learner(config: Config, mesh: DeviceMesh) -> PolicyLearner:
    vlm, sharded = _sharded(config, mesh)
    reference = None
    if config.objective.kl_coefficient:
        if config.model.adapter.kind == "lora":
            reference = vlm
        else:
            reference, _ = _sharded(config, mesh, trained=False)
    return _learner(config, vlm, reference, ranks=sharded)


def _sharded(config: Config, mesh: DeviceMesh, *, trained: bool = True) -> tuple[VLM, Sharded]:
    """The model in pieces; its weights are read by rank 0."""
    source = model_source(config)
    module = source.outline()
    choose_trained(module, config)
    if not trained:
        module.requires_grad_(False)
    if config.learner.master_weights:
        keep_masters(module)
    sharding = config.learner.sharding
    sharded = Sharded(
        module,
        mesh=mesh,
        dtype=getattr(torch, config.model.dtype),
        sharding=Sharding(
            offload=sharding.offload,
            reshard_after_forward=sharding.reshard_after_forward,
            reduce_every_micro_batch=sharding.reduce_every_micro_batch,
        ),
    )
    whole = None
    if mesh.get_rank() == 0:
        whole = source.module()
        choose_trained(whole, config)
    sharded.fill(whole)
    vlm = VLM(
        module,
        source.processor(),
        pixel_bytes=config.model.pixel_bytes,
        blank_image=module.get_encoder(modality="image") is not module,
        place=sharded.place,
    )
    return vlm, sharded


def model_source(config: Config) -> Source:
    """Where the model is, and how it is to be read."""
    model = config.model
    return Source(
        path=model.path,
        dtype=model.dtype,
        trust_remote_code=model.trust_remote_code,
        min_pixels=model.min_pixels,
        max_pixels=model.max_pixels,
    )


def choose_trained(module: Any, config: Config) -> None:
    """Freeze, adapt and checkpoint as `model` says.

    Raises:
        ModelError: the model has no such part.
    """
    model = config.model
    adapters.freeze(module, model.freeze if model.adapter.kind == "none" else ())
    if model.adapter.kind == "lora":
        adapter = model.adapter
        lora = adapters.Lora(rank=adapter.rank, alpha=adapter.alpha, dropout=adapter.dropout, parts=adapter.parts)
        adapters.add_lora(module, lora, seed=config.seed)
    if model.gradient_checkpointing:
        adapters.recompute_activations(module)


def _learner(
    config: Config,
    vlm: VLM,
    reference: VLM | None,
    *,
    stopwatch: Stopwatch | None = None,
    ranks: Ranks | None = None,
) -> PolicyLearner:
    learner = config.learner
    return PolicyLearner(
        vlm,
        objective=_objective(config),
        optimisation=Optimisation(
            steps=config.train.steps,
            lr=learner.lr,
            warmup=learner.warmup,
            final_lr=learner.final_lr,
            betas=learner.betas,
            weight_decay=learner.weight_decay,
            grad_clip=learner.grad_clip,
            optimizer=learner.optimizer,
            master_weights=learner.master_weights,
            max_nonfinite=learner.max_nonfinite,
            micro_batch_tokens=learner.micro_batch_tokens,
            share_prompts=learner.share_prompts,
            compile=learner.compile,
        ),
        reference=reference,
        max_gap=config.engine.max_gap if config.engine.kind == "vllm" else math.inf,
        stopwatch=stopwatch,
        ranks=ranks,
    )


def _objective(config: Config) -> Objective:
    objective, rethink = config.objective, config.rethink
    constant = objective.divisor or config.sampler.first.max_tokens
    return Objective(
        ratio="sequence" if objective.kind == "gspo" else "token",
        clip_low=objective.clip_low,
        clip_high=objective.clip_high,
        dual_clip=objective.dual_clip if objective.kind == "dual_clip" else math.inf,
        ratio_cap=objective.ratio_cap,
        correction=objective.correction if asks_again(config) else "none",
        divisor=constant if objective.normalisation == "constant" else None,
        imitation_coefficient=rethink.imitation_coefficient if rethink.kind == "forced" else 0.0,
        kl_coefficient=objective.kl_coefficient,
        entropy_coefficient=objective.entropy_coefficient,
    )
