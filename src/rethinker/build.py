"""From a configuration to a run: the only module that knows both the configuration tree and the classes."""

from __future__ import annotations

import copy
import math
from functools import partial
from typing import Any

import torch

from rethinker.algo import advantages
from rethinker.algo.credit import LengthPenalty, credit
from rethinker.algo.replay import Filter, NoReplay, SelectiveSampleReplay
from rethinker.algo.truncation import soft_penalty
from rethinker.algorithm_config import AdvantageConfig
from rethinker.build_data import Problems, build_problems, open_parts, refuse_too_few
from rethinker.build_vllm import build_vllm_engine
from rethinker.config import Config, SamplingConfig
from rethinker.cores import usable_cores
from rethinker.data.prefetch import Prepare
from rethinker.data.quarantine import Quarantine
from rethinker.errors import ConfigError
from rethinker.evaluation.held_out import HeldOut
from rethinker.interfaces import AdvantageEstimator, Learner, Replay, RolloutEngine, Sampling, Scorer
from rethinker.learner.learner import Objective, Optimisation, PolicyLearner
from rethinker.models import adapters
from rethinker.models.loading import load
from rethinker.models.templates import Template
from rethinker.models.vlm import VLM
from rethinker.rewards.pool import VerifierPool
from rethinker.rollout.episodes import Episodes
from rethinker.rollout.rethink import Rethinker
from rethinker.rollout.sampler import Sampler
from rethinker.rollout.second_looks import Marker
from rethinker.rollout.sync import LocalSync
from rethinker.rollout.torch_engine import TorchEngine
from rethinker.runs.checkpoints import Checkpoints
from rethinker.runs.folder import RunFolder
from rethinker.runs.profile import write_profile
from rethinker.runs.rollouts import RolloutRecord
from rethinker.runs.trackers import JsonlTracker, TensorBoardTracker, Trackers
from rethinker.timing import Recorder, Stopwatch
from rethinker.train import Cadence, Parts
from rethinker.types import Problem


def build(config: Config, folder: RunFolder) -> Parts:
    """Make every part of a run that will live in `folder`.

    Raises:
        RethinkerError: the model, the data or the verifier cannot be had (each with its own message).
    """
    set_threads(config.threads)
    checkpoints = Checkpoints(folder.checkpoints, keep=config.checkpoints.keep, config=config.model_dump(mode="json"))
    parts = open_parts(config.data)
    vlm = build_vlm(config)
    recorder = _recorder(vlm.device) if config.profile else None
    stopwatch = Stopwatch(("generate", "verify", "rethink", "logprobs", "update", "sync", "save"), recorder=recorder)
    problems = build_problems(
        config,
        parts,
        partial(vlm.prompt_length, template=config.prompt.kind),
        prepare=_ahead(vlm, config.prompt.kind, stopwatch),
    )
    refuse_too_few(problems, config.sampler.queries)
    engine = build_engine(config, vlm, stopwatch)
    scorer = build_scorer(config, stopwatch)
    marker = Marker(config.evaluation.marker)
    learner = _learner(config, vlm, stopwatch)
    return Parts(
        cadence=Cadence(
            steps=config.train.steps,
            evaluate_every=config.evaluation.every,
            save_every=config.checkpoints.every,
        ),
        stream=problems.stream,
        quarantine=problems.quarantine,
        episodes=_episodes(config, problems, vlm, engine, scorer, stopwatch, marker, learner),
        replay=_replay(config),
        learner=learner,
        weights=LocalSync(learner, engine),
        held_out=build_held_out(config, vlm, engine, scorer, problems.quarantine),
        scorer=scorer,
        validation=problems.validation,
        test=problems.test,
        folder=folder,
        checkpoints=checkpoints,
        tracker=_tracker(config, folder),
        record=RolloutRecord(folder.rollouts, keep_bytes=config.rollouts.keep, first_answer=marker.first_answer),
        stopwatch=stopwatch,
        write_model=vlm.save,
        write_profile=partial(write_profile, folder.path, recorder, device=_chip(vlm.device)) if recorder else _nothing,
    )


def _recorder(device: torch.device) -> Recorder:
    """Of every stretch of the run."""
    return Recorder(synchronise=torch.cuda.synchronize if device.type == "cuda" else _nothing)


def _chip(device: torch.device) -> str | None:
    """The GPU's name, None on the CPU."""
    return torch.cuda.get_device_name(device) if device.type == "cuda" else None


def _nothing() -> None: ...


def _ahead(vlm: VLM, template: Template, stopwatch: Stopwatch) -> Prepare:
    """What the threads that read do with a problem besides."""

    def prepare(problem: Problem) -> None:
        with stopwatch.apart("prompts"):
            vlm.encode_ahead(problem, template=template)

    return prepare


def set_threads(threads: int) -> None:
    """Let torch use `threads` cores; 0 means every core this process may run on."""
    torch.set_num_threads(threads or usable_cores())


def build_vlm(config: Config) -> VLM:
    """Load the model onto its device, with its adapter and its frozen parts.

    Raises:
        ConfigError: the device does not exist here.
        ModelError: the model cannot be loaded, or cannot be trained this way.
    """
    vlm = load(
        config.model.path,
        device=resolve_device(config.device),
        dtype=config.model.dtype,
        trust_remote_code=config.model.trust_remote_code,
        min_pixels=config.model.min_pixels,
        max_pixels=config.model.max_pixels,
        pixel_bytes=config.model.pixel_bytes,
    )
    choose_trained(vlm.module, config)
    return vlm


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


def resolve_device(name: str) -> str:
    """`auto` is CUDA where there is one.

    Raises:
        ConfigError: the device is unknown or absent.
    """
    if name == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    try:
        torch.empty(1, device=name)
    except (RuntimeError, AssertionError) as error:
        raise ConfigError(f"device={name} cannot be used here: {error}; use device=auto") from error
    return name


def build_engine(config: Config, vlm: VLM, stopwatch: Stopwatch | None = None) -> RolloutEngine:
    """The engine that samples from the model; it has the model's weights.

    Raises:
        ConfigError: vLLM is asked for and cannot run here.
        ModelError: vLLM does not serve the model.
    """
    engine = config.engine
    match engine.kind:
        case "torch":
            return TorchEngine(
                vlm,
                max_rows=engine.max_rows,
                cache_bytes=engine.cache_bytes,
                read_tokens=engine.read_tokens,
                stopwatch=stopwatch,
            )
        case "vllm":
            return build_vllm_engine(config, engine, vlm, stopwatch)


def build_scorer(config: Config, stopwatch: Stopwatch | None = None) -> VerifierPool:
    """Start the verifier workers."""
    verifier = config.verifier
    return VerifierPool(
        workers=verifier.workers,
        timeout_seconds=verifier.timeout_seconds,
        memory_bytes=verifier.memory_bytes,
        function=verifier.function,
        threshold=verifier.threshold,
        stopwatch=stopwatch,
    )


def build_held_out(config: Config, vlm: VLM, engine: RolloutEngine, scorer: Scorer, quarantine: Quarantine) -> HeldOut:
    """The measurement of `evaluation` in the configuration."""
    return HeldOut(
        vlm=vlm,
        engine=engine,
        scorer=scorer,
        quarantine=quarantine,
        template=config.prompt.kind,
        max_prompt_tokens=config.prompt.max_tokens,
        max_tokens=config.evaluation.max_tokens,
        marker=Marker(config.evaluation.marker),
    )


def _episodes(
    config: Config,
    problems: Problems,
    vlm: VLM,
    engine: RolloutEngine,
    scorer: Scorer,
    stopwatch: Stopwatch,
    marker: Marker,
    learner: Learner,
) -> Episodes:
    sampler = Sampler(
        stream=problems.stream,
        quarantine=problems.quarantine,
        vlm=vlm,
        engine=engine,
        scorer=scorer,
        stopwatch=stopwatch,
        seed=config.seed,
        template=config.prompt.kind,
        max_prompt_tokens=config.prompt.max_tokens,
        sampling=build_sampling(config.sampler.first),
        queries=config.sampler.queries,
        group_size=config.sampler.group_size,
        rounds=config.sampler.max_rounds if config.sampler.kind == "dynamic" else 1,
    )
    return Episodes(
        sampler=sampler,
        rethinker=_rethinker(config, vlm, engine, scorer, stopwatch),
        credit=partial(
            credit,
            advantages=_advantages(config.advantage),
            normalisation=config.objective.normalisation,
            imitation=config.rethink.imitation if config.rethink.kind == "forced" else "second_look",
            penalty=_penalty(config),
            mask_truncated=config.truncation.kind == "mask",
        ),
        scorer=scorer,
        marker=marker,
        stopwatch=stopwatch,
        seed=config.seed,
        updates=config.train.updates_per_episode,
        token_logprobs=learner.token_logprobs if _asks_again(config) else None,
        generated=engine.sleep,
    )


def _rethinker(
    config: Config, vlm: VLM, engine: RolloutEngine, scorer: Scorer, stopwatch: Stopwatch
) -> Rethinker | None:
    rethink = config.rethink
    if rethink.kind == "none" or rethink.share == 0:
        return None
    return Rethinker(
        vlm=vlm,
        engine=engine,
        scorer=scorer,
        stopwatch=stopwatch,
        seed=config.seed,
        share=rethink.share,
        max_kept=rethink.max_kept,
        categories=rethink.categories,
        sampling=build_sampling(rethink.second_look),
        max_total_tokens=rethink.max_total_tokens,
    )


def build_sampling(config: SamplingConfig) -> Sampling:
    """How responses are sampled."""
    return Sampling(
        temperature=config.temperature, top_p=config.top_p, top_k=config.top_k, max_tokens=config.max_tokens
    )


def _advantages(config: AdvantageConfig) -> AdvantageEstimator:
    match config.kind:
        case "grpo":
            return advantages.grpo
        case "grpo_std":
            return advantages.grpo_std
        case "rloo":
            return advantages.rloo


def _penalty(config: Config) -> LengthPenalty | None:
    if config.truncation.kind != "soft_penalty":
        return None
    return partial(soft_penalty, max_tokens=config.sampler.first.max_tokens, buffer=config.truncation.buffer)


def _replay(config: Config) -> Replay:
    replay = config.replay
    match replay.kind:
        case "none":
            return NoReplay()
        case "filter":
            return Filter()
        case "ssr":
            return SelectiveSampleReplay(
                seed=config.seed, alpha=replay.alpha, lifetime=replay.lifetime, capacity=replay.capacity
            )


def _learner(config: Config, vlm: VLM, stopwatch: Stopwatch) -> PolicyLearner:
    learner = config.learner
    reference, adapted = None, config.model.adapter.kind == "lora"
    if config.objective.kl_coefficient:
        reference = vlm if adapted else VLM(copy.deepcopy(vlm.module).requires_grad_(False), vlm.processor)
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
    )


def _asks_again(config: Config) -> bool:
    """Whether old log-probs are asked of the learner."""
    asked = config.learner.behaviour_logprobs
    return asked == "learner" or (asked == "auto" and config.engine.kind != "torch")


def _objective(config: Config) -> Objective:
    objective, rethink = config.objective, config.rethink
    constant = objective.divisor or config.sampler.first.max_tokens
    return Objective(
        ratio="sequence" if objective.kind == "gspo" else "token",
        clip_low=objective.clip_low,
        clip_high=objective.clip_high,
        dual_clip=objective.dual_clip if objective.kind == "dual_clip" else math.inf,
        ratio_cap=objective.ratio_cap,
        correction=objective.correction if _asks_again(config) else "none",
        divisor=constant if objective.normalisation == "constant" else None,
        imitation_coefficient=rethink.imitation_coefficient if rethink.kind == "forced" else 0.0,
        kl_coefficient=objective.kl_coefficient,
        entropy_coefficient=objective.entropy_coefficient,
    )


def _tracker(config: Config, folder: RunFolder) -> Trackers:
    jsonl = JsonlTracker(folder.metrics_file)
    return Trackers([jsonl, TensorBoardTracker(folder.tensorboard)] if config.trackers.tensorboard else [jsonl])
