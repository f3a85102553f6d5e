"""The configuration: one frozen tree, variants keyed `kind`, unknown keys refused. The defaults are the paper's values.

Loading (defaults, then files left to right, then dotted overrides) is in `config_files.py`; this module only says what
there is. Every field's docstring is its help text, and says "paper", "code" (the authors' release) or "ours" where a
number needs a source.
"""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from rethinker.algorithm_config import (
    AdvantageConfig,
    ClipConfig,
    ObjectiveConfig,
    ReplayConfig,
    ScoreTruncationConfig,
    SsrReplayConfig,
    TruncationConfig,
)
from rethinker.cluster_config import ClusterConfig, LocalClusterConfig, PipelineConfig, ShardingConfig
from rethinker.config_section import BelowOne, Count, Natural, Positive, Section, Share
from rethinker.data_config import DataConfig, GymDataConfig
from rethinker.engine_config import EngineConfig, TorchEngineConfig
from rethinker.model_config import ModelConfig

# ---- run ---------------------------------------------------------------------------------------------------------


class RunConfig(Section):
    """Where the run lives."""

    dir: str = ""
    """Run folder; empty means `runs/<recipe>-<time>`."""
    recipe: str = "run"
    """Name used in the default folder; the loader sets it to the first file's name."""


class CheckpointConfig(Section):
    """What is saved, and how long it is kept."""

    every: Count = 20
    """Save each so many steps; the last step is always saved."""
    keep: Count = 2
    """Keep the last so many, and the best."""
    best: str = "eval/accuracy"
    """The metric by which it is: this, or `eval/<benchmark>/accuracy` of one of `evaluation.benchmarks`."""
    fall_back: bool = False
    """Go on from the checkpoint before where the last one is damaged, which is set aside."""


class RolloutRecordConfig(Section):
    """The record of what the model said."""

    keep: Natural = 200_000_000
    """Most bytes under `rollouts/`; the oldest steps go first. 0 records nothing."""


class TrackerConfig(Section):
    """Where metrics go besides `metrics.jsonl`."""

    tensorboard: bool = True
    """Write TensorBoard events."""
    wandb: bool = False
    """Tell Weights & Biases (`pip install 'rethinker[wandb]'`); where and as whom is its own settings' to say."""
    trackio: bool = False
    """Tell trackio (`pip install 'rethinker[trackio]'`)."""
    mlflow: bool = False
    """Tell MLflow (`pip install 'rethinker[mlflow]'`), at `MLFLOW_TRACKING_URI`."""
    project: str = "rethinker"
    """Under which a service lists the run; its name there is the run folder's."""
    show_every: Natural = 20
    """Steps between those of which responses are shown, with their images; 0 shows none."""
    show_count: Count = 8
    """Responses shown of such a step: those made to look twice first."""
    patience: Positive = 30.0
    """Most seconds that a service may keep a finished run waiting."""


# ---- prompt ----------------------------------------------------------------------------------------------


class PromptConfig(Section):
    """How a question is put."""

    kind: Literal["plain", "rethinking"] = "plain"
    """`plain` asks to reason and box the answer; `rethinking` also asks to question itself (paper: stage 2)."""
    max_tokens: Count = 2048
    """Longer prompts are quarantined (code: 2048)."""


# ---- rollout -----------------------------------------------------------------------------------------------------


class SamplingConfig(Section):
    """Sampling of one kind of response."""

    temperature: Positive = 1.0
    """Divides the logits. Other than 1 is a bias accepted by name: the ratio uses temperature 1 (code: 1.0)."""
    top_p: Annotated[float, Field(gt=0.0, le=1.0)] = 1.0
    """Nucleus sampling; below 1 is a bias of the same kind (code: 0.95)."""
    top_k: Natural = 0
    """Top-k sampling; 0 is off."""
    max_tokens: Count = 2048
    """Most response tokens (code: 2048)."""


class SamplerConfig(Section):
    """How an episode's groups are made."""

    kind: Literal["plain", "dynamic"] = "plain"
    """`plain` takes the queries as they come; `dynamic` goes on until enough groups are mixed (DAPO)."""
    queries: Count = 1024
    """Problems per episode (paper); under `dynamic` the mixed groups wanted."""
    group_size: Count = 8
    """Responses per problem, G (paper)."""
    max_rounds: Count = 4
    """Under `dynamic`, most rounds of `queries` problems per episode (ours)."""
    first: SamplingConfig = SamplingConfig()
    """Sampling of first responses."""


class NoRethinkConfig(Section):
    """No second look is forced."""

    kind: Literal["none"] = "none"


class ForcedRethinkConfig(Section):
    """Forced Rethinking (paper, section on Forced Rethinking)."""

    kind: Literal["forced"] = "forced"
    share: Share = 0.65
    """Share q of eligible responses that are made to look twice (code: 0.65; the paper gives none)."""
    max_kept: Natural = 2
    """Most second looks kept per query (paper)."""
    categories: tuple[Literal["self_questioning", "self_correction", "self_verification"], ...] = (
        "self_questioning",
        "self_correction",
        "self_verification",
    )
    """Trigger categories, drawn uniformly (paper)."""
    second_look: SamplingConfig = SamplingConfig(max_tokens=1024)
    """Sampling of second looks (ours: temperature 1; code: 0.9)."""
    max_total_tokens: Count = 6144
    """Room for prompt, first response, trigger and second look together (code: 6144)."""
    imitation: Literal["second_look", "trajectory"] = "second_look"
    """What the imitation term covers: trigger and second look (ours), or the whole response (paper)."""
    imitation_coefficient: Annotated[float, Field(ge=0.0)] = 0.05
    """Weight of the imitation term (code: 0.05; the paper gives none)."""

    @model_validator(mode="after")
    def _has_triggers(self) -> Self:
        if not self.categories:
            raise ValueError("rethink.categories is empty; name at least one, or set rethink.kind=none")
        return self


RethinkConfig = Annotated[NoRethinkConfig | ForcedRethinkConfig, Field(discriminator="kind")]


class VerifierConfig(Section):
    """How responses are scored."""

    kind: Literal["rules", "python"] = "rules"
    """`rules` verifies by the problem's own kind of answer; `python` calls your function."""
    function: str = ""
    """For `python`: `module:function`, called as `function(response: str, problem: Problem) -> bool | float`."""
    threshold: Share = 1.0
    """For `python`: a score from here on is correct."""
    workers: Count = 1
    """Worker processes."""
    timeout_seconds: Positive = 5.0
    """Hard limit per response; the worker is killed at it and the outcome is `timeout`."""
    memory_bytes: Count = 1_000_000_000
    """Address space a worker may add to what it starts with; beyond it the outcome is `error`."""

    @model_validator(mode="after")
    def _function_fits(self) -> Self:
        if self.kind == "python" and ":" not in self.function:
            raise ValueError(f"verifier.kind=python needs verifier.function=module:function, got {self.function!r}")
        if self.kind == "rules" and self.function:
            raise ValueError("verifier.function is set but verifier.kind is rules; set verifier.kind=python")
        return self


# ---- learner -----------------------------------------------------------------------------------------------------


class LearnerConfig(Section):
    """The optimiser and its batches."""

    lr: Positive = 1e-6
    """Peak learning rate (code: 1e-6)."""
    warmup: Share = 0.03
    """Share of the steps with rising learning rate (code: 3 %)."""
    final_lr: Share = 0.5
    """The cosine ends at this share of the peak (code: half)."""
    betas: tuple[BelowOne, BelowOne] = (0.9, 0.999)
    """AdamW's moments."""
    weight_decay: Annotated[float, Field(ge=0.0)] = 0.0
    """AdamW's decay."""
    grad_clip: Positive = 1.0
    """Largest gradient norm."""
    optimizer: Literal["adamw", "adamw_8bit"] = "adamw"
    """`adamw` is torch's fused AdamW; `adamw_8bit` keeps its moments in 8 bits (needs bitsandbytes)."""
    master_weights: bool = True
    """Keep float32 copies of bfloat16 weights: without them steps as small as 1e-6 are rounded away."""
    max_nonfinite: Count = 10
    """The run stops after so many steps in a row with a loss or gradient that is not finite."""
    micro_batch_tokens: Count = 16_384
    """Most tokens of one forward and backward; attention's padding is not counted, and a longer response goes alone."""
    share_prompts: bool = True
    """Pass a group's prompt and images once, not once per response."""
    behaviour_logprobs: Literal["auto", "engine", "learner"] = "auto"
    """Whose log-probs ratios start from: the torch engine's are exact in float32; `learner` asks again, a forward each,
    and then `objective.correction` weighs the difference. `auto` asks again with any other engine, and for GSPO in
    bfloat16."""
    compile: bool = False
    """Compile the language model's layers with torch.compile: faster updates after a slow first one."""
    sharding: ShardingConfig = ShardingConfig()
    """How ranks share the model, where the cluster has several (docs/sharding.md)."""


# ---- loop --------------------------------------------------------------------------------------------------------


class TrainConfig(Section):
    """How long."""

    steps: Count = 160
    """Optimiser updates in all; whole episodes."""
    updates_per_episode: Count = 16
    """Updates on one episode's responses before the policy is synced (paper: 16 of 512 pairs)."""


class EvaluationConfig(Section):
    """Held-out measurement: greedy, spontaneous."""

    every: Natural = 40
    """Validate each so many steps; 0 only at the end."""
    validation_problems: Count = 200
    """Problems of the validation split (choose the best checkpoint)."""
    test_problems: Count = 1000
    """Problems of the test split, before and after."""
    marker: str = "wait"
    """Whole word, any case, that marks a spontaneous second look (paper's)."""
    max_tokens: Count = 2048
    """Most response tokens."""
    benchmarks: tuple[str, ...] = ()
    """Asked at every validation on the live weights; `mmmu_pro=vision` for a setting. Names: docs/evaluation.md."""
    data: str = "benchmarks"
    """Folder of their files, as `rethinker eval --data`."""
    limit: Natural = 100
    """Questions of each, evenly over all; 0 asks all."""
    protocol: Literal["official", "boxed"] = "boxed"
    """The one prompt and rule for all, as the paper evaluates while it trains, or each benchmark's own."""


class Config(Section):
    """The resolved tree of one run."""

    seed: Natural = 0
    """Keys every random draw."""
    device: str = "auto"
    """`auto` (CUDA when there is one), `cpu`, `cuda`, `cuda:1`, …"""
    threads: Natural = 0
    """CPU threads of torch; 0 takes every core this process may use."""
    profile: bool = False
    """Write where the time goes: `profile.html`, `profile.json`, `trace.json` in the run folder (docs/profile.md)."""
    run: RunConfig = RunConfig()
    model: ModelConfig = ModelConfig()
    data: DataConfig = GymDataConfig()
    prompt: PromptConfig = PromptConfig()
    engine: EngineConfig = TorchEngineConfig()
    cluster: ClusterConfig = LocalClusterConfig()
    pipeline: PipelineConfig = PipelineConfig()
    sampler: SamplerConfig = SamplerConfig()
    rethink: RethinkConfig = ForcedRethinkConfig()
    verifier: VerifierConfig = VerifierConfig()
    advantage: AdvantageConfig = AdvantageConfig()
    replay: ReplayConfig = SsrReplayConfig()
    truncation: TruncationConfig = ScoreTruncationConfig()
    objective: ObjectiveConfig = ClipConfig()
    learner: LearnerConfig = LearnerConfig()
    train: TrainConfig = TrainConfig()
    evaluation: EvaluationConfig = EvaluationConfig()
    checkpoints: CheckpointConfig = CheckpointConfig()
    rollouts: RolloutRecordConfig = RolloutRecordConfig()
    trackers: TrackerConfig = TrackerConfig()

    @property
    def engines_apart(self) -> bool:
        """Whether engines have processes of their own."""
        return self.cluster.kind == "ray" and not self.cluster.colocated

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        updates, queries = self.train.updates_per_episode, self.sampler.queries
        if queries % updates:
            raise ValueError(
                f"sampler.queries={queries} cannot be split into train.updates_per_episode={updates} equal batches "
                "of whole groups; make the first a multiple of the second"
            )
        if over := self.train.steps % updates:
            below, above = self.train.steps - over, self.train.steps - over + updates
            raise ValueError(
                f"train.steps={self.train.steps} would end in the middle of an episode of "
                f"train.updates_per_episode={updates}; take {f'{below} or ' if below else ''}{above}"
            )
        if self.sampler.group_size < 2:
            raise ValueError("sampler.group_size=1 trains nothing: advantages compare responses; give 2 or more")
        if not (self.evaluation.marker[:1].isalnum() and self.evaluation.marker[-1].isalnum()):
            raise ValueError(f"evaluation.marker={self.evaluation.marker!r} must begin and end with a letter or digit")
        names = [name.replace("=", "-") for name in self.evaluation.benchmarks]
        measured = ["eval/accuracy", *(f"eval/{name}/accuracy" for name in names)]
        if self.checkpoints.best not in measured:
            raise ValueError(
                f"checkpoints.best={self.checkpoints.best} is not measured; take one of {', '.join(measured)}, or name "
                "its benchmark in evaluation.benchmarks"
            )
        if self.rethink.kind == "forced" and self.rethink.share > 0 and self.rethink.max_kept == 0:
            raise ValueError("rethink.share is above 0 but rethink.max_kept is 0; set rethink.kind=none instead")
        return self

    @model_validator(mode="after")
    def _processes_fit(self) -> Self:
        cluster, ray, apart = self.cluster, self.cluster.kind == "ray", self.engines_apart
        if (
            self.engine.kind == "vllm"
            and self.engine.transfer == "direct"
            and not (apart and self.engine.fallback == "none")
        ):
            raise ValueError(
                "engine.transfer=direct needs vLLM in processes of its own; set cluster.kind=ray with "
                "cluster.colocated=false and engine.fallback=none, or engine.transfer=auto"
            )
        if self.pipeline.staleness and not apart:
            raise ValueError(
                f"pipeline.staleness={self.pipeline.staleness} needs engines in processes of their own, which go on "
                "while the learner works; set cluster.kind=ray with cluster.colocated=false, or pipeline.staleness=0"
            )
        if self.engine.replicas > 1 and not apart:
            have = "every rank holds one" if ray or cluster.kind == "torchrun" else "one process holds one"
            raise ValueError(
                f"engine.replicas={self.engine.replicas} with cluster.kind={cluster.kind}, where {have}; set "
                "cluster.kind=ray with cluster.colocated=false, or leave engine.replicas at 1"
            )
        if self.engine.kind == "vllm" and self.engine.tensor_parallel > 1 and cluster.kind != "local" and not apart:
            raise ValueError(
                f"engine.tensor_parallel={self.engine.tensor_parallel} with an engine in every rank, which has its own "
                "GPU alone; set cluster.kind=ray with cluster.colocated=false, or engine.tensor_parallel=1"
            )
        if self.profile and cluster.kind != "local":
            raise ValueError(f"profile=true watches one process; with cluster.kind={cluster.kind} set profile=false")
        return self

    @model_validator(mode="after")
    def _algorithm_has_its_effect(self) -> Self:
        limit, objective = self.sampler.first.max_tokens, self.objective
        if self.truncation.kind == "soft_penalty" and self.truncation.buffer > limit:
            raise ValueError(
                f"truncation.buffer={self.truncation.buffer} is more than sampler.first.max_tokens={limit}: every "
                f"response would be punished; give at most {limit}"
            )
        if objective.kind == "clip" or self.train.updates_per_episode > 1:
            return self
        carried = self.replay.kind == "ssr" and self.replay.lifetime > 1
        reached = objective.kind == "gspo" or objective.dual_clip < objective.ratio_cap
        if not (carried and reached):
            raise ValueError(
                f"objective.kind={objective.kind} has no effect with train.updates_per_episode=1: no importance ratio "
                + ("gets that far" if carried else "leaves 1")
                + "; give several updates per episode, or set objective.kind=clip"
            )
        return self
