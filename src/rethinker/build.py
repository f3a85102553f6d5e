"""From a configuration to a run: the only module that knows both the configuration tree and the classes."""

from __future__ import annotations

from functools import cache, partial

import torch

from rethinker.algo import advantages
from rethinker.algo.credit import LengthPenalty, credit
from rethinker.algo.replay import Filter, NoReplay, SelectiveSampleReplay
from rethinker.algo.truncation import soft_penalty
from rethinker.algorithm_config import AdvantageConfig
from rethinker.build_benchmarks import build_benchmarks
from rethinker.build_crew import Crew, build_crew
from rethinker.build_data import Part, Problems, build_problems, open_parts, refuse_too_few
from rethinker.build_learner import asks_again
from rethinker.build_model import resolve_device
from rethinker.build_trackers import build_trackers, refuse_absent_services
from rethinker.config import Config, SamplingConfig
from rethinker.data.prefetch import Prepare
from rethinker.data.quarantine import Quarantine
from rethinker.evaluation.held_out import HeldOut
from rethinker.interfaces import AdvantageEstimator, Replay, RolloutEngine, Sampling, Scorer, Tracker
from rethinker.models.templates import Template
from rethinker.models.vlm import VLM
from rethinker.rewards.pool import VerifierPool
from rethinker.rollout.episodes import BetweenEpisodes, Episodes
from rethinker.rollout.making import EpisodeMaker
from rethinker.rollout.rethink import Rethinker
from rethinker.rollout.sampler import Sampler
from rethinker.rollout.second_looks import Marker
from rethinker.runs.checkpoints import Checkpoints
from rethinker.runs.folder import RunFolder
from rethinker.runs.profile import write_profile
from rethinker.runs.rollouts import RolloutRecord
from rethinker.timing import Recorder, Stopwatch
from rethinker.train import Cadence, Parts
from rethinker.types import Problem


def build(config: Config, folder: RunFolder, *, after_loss: bool = False) -> Parts:
    """Make every part of a run that will live in `folder`.

    Args:
        after_loss: Whether a process of this run was lost before (see `build_crew`).

    Raises:
        RethinkerError: the model, the data or the verifier cannot be had (each with its own message).
    """
    refuse_absent_services(config.trackers)
    checkpoints = Checkpoints(folder.checkpoints, keep=config.checkpoints.keep, config=config.model_dump(mode="json"))
    parts = open_parts(config.data)
    recorder = _recorder(torch.device(resolve_device(config.device))) if config.profile else None
    stopwatch = Stopwatch(("generate", "verify", "rethink", "logprobs", "update", "sync", "save"), recorder=recorder)
    crew = build_crew(config, stopwatch, after_loss=after_loss)
    try:
        return _parts(config, folder, checkpoints, parts, crew, stopwatch, recorder)
    except BaseException:
        crew.close()
        raise


def _parts(
    config: Config,
    folder: RunFolder,
    checkpoints: Checkpoints,
    parts: list[Part],
    crew: Crew,
    stopwatch: Stopwatch,
    recorder: Recorder | None,
) -> Parts:
    vlm = crew.vlm
    problems = build_problems(
        config,
        parts,
        partial(vlm.prompt_length, template=config.prompt.kind),
        prepare=_ahead(vlm, config.prompt.kind, stopwatch),
    )
    refuse_too_few(problems, config.sampler.queries)
    scorer = build_scorer(config, stopwatch)
    marker = Marker(config.evaluation.marker)
    episodes = _episodes(config, problems, crew, scorer, stopwatch, marker)
    tracker = build_trackers(config, folder)
    return Parts(
        cadence=Cadence(
            steps=config.train.steps,
            evaluate_every=config.evaluation.every,
            save_every=config.checkpoints.every,
            best=config.checkpoints.best,
        ),
        stream=problems.stream,
        quarantine=problems.quarantine,
        episodes=episodes,
        replay=_replay(config),
        learner=crew.learner,
        weights=BetweenEpisodes(crew.weights, episodes),
        held_out=build_held_out(config, vlm, crew.engine, scorer, problems.quarantine),
        benchmarks=build_benchmarks(config, vlm, crew.engine, folder.benchmarks),
        scorer=scorer,
        validation=problems.validation,
        test=problems.test,
        folder=folder,
        checkpoints=checkpoints,
        tracker=tracker,
        record=RolloutRecord(
            folder.rollouts,
            keep_bytes=config.rollouts.keep,
            first_answer=marker.first_answer,
            token_text=cache(vlm.token_text),
        ),
        stopwatch=stopwatch,
        write_model=crew.write_model,
        write_profile=partial(write_profile, folder.path, recorder, device=_chip(vlm.device)) if recorder else _nothing,
        close=partial(_close, scorer, tracker, crew),
        abandons=config.cluster.kind == "local" and not config.pipeline.staleness,
    )


def _close(scorer: Scorer, tracker: Tracker, crew: Crew) -> None:
    scorer.close()
    tracker.close()
    crew.close()


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
    crew: Crew,
    scorer: Scorer,
    stopwatch: Stopwatch,
    marker: Marker,
) -> Episodes:
    vlm, engine = crew.vlm, crew.engine
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
    maker = EpisodeMaker(
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
        generated=engine.sleep,
    )
    return Episodes(
        maker,
        stopwatch=stopwatch,
        updates=config.train.updates_per_episode,
        staleness=config.pipeline.staleness,
        dropped_beyond=config.pipeline.max_staleness,
        last=config.train.steps // config.train.updates_per_episode - 1,
        token_logprobs=crew.learner.token_logprobs if asks_again(config) else None,
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
