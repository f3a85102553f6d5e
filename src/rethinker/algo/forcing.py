"""Forced Rethinking, the decisions: who must look twice, with which words, and which second looks are kept.

Pure, and every draw is keyed (`seeding`), so the answers do not depend on batch order. Generating and splicing is for
`rollout/rethink.py`, weighing what was kept for `credit.py` (ALGORITHM: Forced Rethinking).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

from rethinker.seeding import Purpose, generator
from rethinker.types import Group, Rethought, Rollout

TRIGGERS: dict[str, str] = {
    "self_questioning": "\n\nWait, does it seem right?",
    "self_correction": "\n\nWait, there might be a mistake",
    "self_verification": "\n\nWait, let's double check",
}
"""The text of each trigger category (paper)."""


def eligible(rollout: Rollout, room: int) -> bool:
    """Whether a response may be made to look twice: it ended by its end token, and a second look still fits.

    Args:
        room: Most tokens prompt and first response may take together, the end token not counted because it is cut off:
            context length − trigger − `second_look.max_tokens`.
    """
    taken = len(rollout.prompt.token_ids) + len(rollout.token_ids) - 1
    return rollout.finish_reason == "stop" and taken <= room


def forced_samples(seed: int, number: int, problem_id: str, samples: Iterable[int], share: float) -> list[int]:
    """Draw which of a problem's eligible samples in round `number` are forced: each alone, with probability `share`."""
    return [
        sample
        for sample in samples
        if generator(seed, Purpose.FORCE, step=number, problem_id=problem_id, sample=sample).random() < share
    ]


def trigger_category(seed: int, number: int, problem_id: str, sample: int, categories: Sequence[str]) -> str:
    """Draw the trigger category of one forced sample, uniformly; a category listed twice is twice as likely."""
    drawn = generator(seed, Purpose.TRIGGER, step=number, problem_id=problem_id, sample=sample)
    return categories[int(drawn.integers(len(categories)))]


def keep(second_looks: Iterable[Rethought], max_kept: int) -> list[Rethought]:
    """Choose what is kept of one problem's second looks: the right ones that ended, lowest samples first.

    The verdict must be the second look's own, and it must hold a final answer of its own (a user's verifier may find
    right what holds none), or the model would be taught empty second looks. One that was cut off by the token limit is
    not kept even if right, or it would be taught to stop nowhere.
    """
    return sorted((look for look in second_looks if _succeeded(look)), key=lambda look: look.sample)[:max_kept]


def _succeeded(look: Rethought) -> bool:
    return look.verdict.correct and look.verdict.extracted is not None and look.finish_reason == "stop"


def with_kept(group: Group, kept: Iterable[Rethought]) -> Group:
    """Put kept second looks in the place of their first responses; all others stay as they were sampled."""
    by_sample = {look.sample: look for look in kept}
    return replace(group, rollouts=tuple(by_sample.get(rollout.sample, rollout) for rollout in group.rollouts))
