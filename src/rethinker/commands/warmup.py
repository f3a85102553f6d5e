"""`rethinker warmup`: make the tiny VLM's warm start, or measure a base."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from rich import box
from rich.console import Console
from rich.table import Table

from rethinker.build_model import set_threads
from rethinker.commands.train import quieten
from rethinker.config_files import load_as
from rethinker.data.gym.stream import GymSource
from rethinker.evaluation.base_figures import BaseFigures
from rethinker.evaluation.base_figures import measure as measure_base
from rethinker.learner.warmup import WarmupPlan, fresh, warm_up
from rethinker.learner.worked import DIRECT_START, WORKED_START
from rethinker.models.loading import load
from rethinker.models.vlm import VLM
from rethinker.rewards.pool import VerifierPool
from rethinker.rollout.torch_engine import TorchEngine
from rethinker.runs.files import new_folder
from rethinker.runs.progress import Counter
from rethinker.warmup_config import WarmupConfig

PROBLEMS = 1000
MAX_TOKENS = 160


def make(files: Sequence[Path], overrides: Sequence[str], *, folder: Path) -> None:
    """Train the warm start and write its Hugging Face folder.

    Raises:
        RunFolderError: the folder holds something already, or cannot be written; said before the training.
    """
    config = load_as(WarmupConfig, files, overrides)
    quieten()
    set_threads(config.threads)
    with new_folder(folder) as aside:
        _train(plan_of(config)).save(aside)
    Console().print(f"wrote {folder}", highlight=False, soft_wrap=True)


def _train(plan: WarmupPlan) -> VLM:
    total = plan.perception_steps + plan.habit_steps
    with Counter(Console(), "warm start", total) as counter:
        vlm = fresh(plan)

        def report(step: int, loss: float) -> None:
            counter.show(step, f"loss {loss:.4f}", line=f"step {step}/{total}  loss {loss:.4f}")

        warm_up(vlm, plan, report)
    return vlm


def measure(model: str, files: Sequence[Path], overrides: Sequence[str]) -> BaseFigures:
    """Print a base's five figures on the mixture's test problems."""
    config = load_as(WarmupConfig, files, overrides)
    quieten()
    set_threads(config.threads)
    vlm = load(model, device="cpu")
    mixture = [(part.family, part.level, 1.0) for part in config.mixture]
    source = GymSource(mixture, split="test", size=PROBLEMS)
    scorer = VerifierPool(workers=1, timeout_seconds=5.0, memory_bytes=1_000_000_000)
    try:
        figures = measure_base(
            [source[row] for row in range(len(source))],
            vlm=vlm,
            engine=TorchEngine(vlm),
            scorer=scorer,
            template=config.prompt,
            starts=(DIRECT_START, WORKED_START),
            max_tokens=MAX_TOKENS,
        )
    finally:
        scorer.close()
    show(figures)
    return figures


def plan_of(config: WarmupConfig) -> WarmupPlan:
    """The plan a configuration asks for."""
    return WarmupPlan(
        seed=config.seed,
        mixture=tuple((part.family, part.level) for part in config.mixture),
        template=config.prompt,
        examples=config.examples,
        perception_steps=config.perception_steps,
        perception_lr=config.perception_lr,
        habit_steps=config.habit_steps,
        habit_lr=config.habit_lr,
        direct_share=config.direct_share,
        direct_skill_share=config.direct_skill_share,
        second_look_share=config.second_look_share,
        trigger_share=config.trigger_share,
    )


def show(figures: BaseFigures) -> None:
    """Print the figures beside what a base should have."""
    table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False)
    table.add_column(f"{figures.problems} test problems")
    table.add_column("measured", justify="right")
    table.add_column("wanted", justify="right")
    rows = (
        ("direct answers on their own, greedy", figures.direct, "≤ 35 %"),
        ("worked answers on their own, greedy", figures.worked, "≥ 75 %"),
        ("greedy", figures.greedy, "20 – 50 %"),
        ("pass@8 − pass@1", figures.pass_at_8 - figures.pass_at_1, "≥ 30 points"),
        ("spontaneous rethinking", figures.rethinking, "≤ 5 %"),
        ("pass@1", figures.pass_at_1, ""),
        ("pass@8", figures.pass_at_8, ""),
        ("worked answers among the sampled", figures.worked_share, ""),
    )
    for name, value, wanted in rows:
        table.add_row(name, f"{value:.1%}", wanted)
    Console().print(table)
