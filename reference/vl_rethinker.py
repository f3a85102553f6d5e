"""VL-Rethinker in plain Python: the executable specification, and the oracle that `rethinker.algo` is tested against.

Everything is lists, floats and loops, one sentence of the specification after another; nothing is shared with the
package. Left out: the model, the verifier and the source of randomness, which are functions that the caller passes in,
and the optimiser. Order of reading: rewards become advantages, first responses get second looks, responses get
weights, replay chooses, the loss adds up, `run_episode` is the whole.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Literal, Protocol

# ---- what there is -----------------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class Response:
    """One scored response. `trigger_at` is where the forced trigger begins, None unless it is a second look."""

    sample: int
    tokens: list[int]
    behaviour: list[float]  # the engine's log-probs at sampling; 0 where nothing was sampled
    forced: list[bool]
    ended: bool  # by the end token, not by the length limit
    reward: float
    correct: bool  # verified as right, with a final answer of its own
    trigger_at: int | None = None


@dataclass(frozen=True, eq=False)
class Sample:
    """A response with its credit: advantage, and what each token weighs in the policy and the imitation component."""

    response: Response
    advantage: float
    rl: list[float]
    imitation: list[float]


@dataclass(frozen=True)
class Settings:
    """The recipe. Values the paper does not print are those of the authors' code."""

    group_size: int = 8
    updates: int = 16
    advantage: Literal["grpo", "grpo_std", "rloo"] = "grpo"
    replay: Literal["none", "filter", "ssr"] = "ssr"
    alpha: float = 1.0
    lifetime: int = 1  # episodes
    capacity: int = 100_000
    share: float = 0.65  # q
    max_kept: int = 2
    context: int = 6144
    second_look_tokens: int = 1024
    imitate: Literal["second_look", "trajectory"] = "second_look"
    normalise: Literal["sequence_mean", "token_mean"] = "sequence_mean"
    clip_low: float = 0.2
    clip_high: float = 0.35
    cap: float = 2.0  # C
    imitation_coefficient: float = 0.05
    kl_coefficient: float = 0.0


# ---- advantages --------------------------------------------------------------------------------------------------


def advantages(rewards: Sequence[float], kind: Literal["grpo", "grpo_std", "rloo"]) -> list[float]:
    """Â of one group. Equal rewards, and a group of one, give exactly 0; the std is the population's, without ε."""
    size = len(rewards)
    if all(reward == rewards[0] for reward in rewards):
        return [0.0] * size
    mean = sum(rewards) / size
    if kind == "grpo":
        return [reward - mean for reward in rewards]
    if kind == "grpo_std":
        std = math.sqrt(sum((reward - mean) ** 2 for reward in rewards) / size)
        return [(reward - mean) / std for reward in rewards]
    return [reward - (sum(rewards) - reward) / (size - 1) for reward in rewards]


# ---- forced rethinking -------------------------------------------------------------------------------------------

TRIGGERS = [
    "\n\nWait, does it seem right?",  # self-questioning
    "\n\nWait, there might be a mistake",  # self-correction
    "\n\nWait, let's double check",  # self-verification
]


def is_eligible(first: Response, prompt_length: int, trigger_length: int, settings: Settings) -> bool:
    """It ended by the end token, and a whole second look still fits; y1 loses its end token."""
    needed = prompt_length + len(first.tokens) - 1 + trigger_length + settings.second_look_tokens
    return first.ended and needed <= settings.context


def is_forced(uniform: float, share: float) -> bool:
    """Bernoulli(q), from a uniform draw in [0, 1) of the response's own."""
    return uniform < share


def splice(first: Response, trigger: list[int], second: Response) -> Response:
    """y1 without its end token ⊕ trigger ⊕ y2, as ids; the verdict is y2's."""
    body, body_logprobs = first.tokens[:-1], first.behaviour[:-1]
    return Response(
        sample=first.sample,
        tokens=body + trigger + second.tokens,
        behaviour=body_logprobs + [0.0] * len(trigger) + second.behaviour,
        forced=[False] * len(body) + [True] * len(trigger) + [False] * len(second.tokens),
        ended=second.ended,
        reward=second.reward,
        correct=second.correct,
        trigger_at=len(body),
    )


def replace_kept(group: list[Response], second_looks: Sequence[Response], max_kept: int) -> list[Response]:
    """Second looks that ended and are right, the lowest sample indices first, take the places of their y1."""
    successful = sorted((look for look in second_looks if look.ended and look.correct), key=lambda look: look.sample)
    kept = {look.sample: look for look in successful[:max_kept]}
    return [kept.get(response.sample, response) for response in group]


# ---- credit ------------------------------------------------------------------------------------------------------


def spread(counted: Sequence[bool], normalise: Literal["sequence_mean", "token_mean"]) -> list[float]:
    """w of one response in one component: 1 / (its counted tokens) or 1, and 0 on what is not counted."""
    number = sum(counted)
    if number == 0:
        return [0.0] * len(counted)
    weight = 1.0 / number if normalise == "sequence_mean" else 1.0
    return [weight if counts else 0.0 for counts in counted]


def is_imitated(response: Response, imitate: Literal["second_look", "trajectory"]) -> list[bool]:
    """Tokens of the imitation term: of a kept second look the trigger and y2, or the whole trajectory."""
    if response.trigger_at is None:
        return [False] * len(response.tokens)
    start = response.trigger_at if imitate == "second_look" else 0
    return [position >= start for position in range(len(response.tokens))]


def credit(group: Sequence[Response], settings: Settings) -> list[Sample]:
    """Advantages over the final responses; forced tokens have no policy weight and no share in the length."""
    return [
        Sample(
            response=response,
            advantage=advantage,
            rl=spread([not forced for forced in response.forced], settings.normalise),
            imitation=spread(is_imitated(response, settings.imitate), settings.normalise),
        )
        for response, advantage in zip(group, advantages([r.reward for r in group], settings.advantage), strict=True)
    ]


# ---- replay ------------------------------------------------------------------------------------------------------


@dataclass
class Buffer:
    """B of SSR: samples with |Â| > 0, each with the number of policy syncs seen when it was stored, oldest first."""

    lifetime: int = 1
    capacity: int = 100_000
    syncs: int = 0
    stored: list[tuple[Sample, int]] = field(default_factory=list)

    def add(self, samples: Sequence[Sample]) -> None:
        """B ← B ∪ D_eff; beyond the capacity the oldest go."""
        self.stored += [(sample, self.syncs) for sample in samples]
        self.stored = self.stored[max(0, len(self.stored) - self.capacity) :]

    def policy_synced(self) -> None:
        """With a lifetime of one episode this clears B."""
        self.syncs += 1
        self.stored = [entry for entry in self.stored if self.syncs - entry[1] < self.lifetime]

    def draw(self, uniform: float, alpha: float) -> Sample:
        """One draw: the j at which the running sum of |Â|^α first exceeds u times the whole sum."""
        powers = [abs(sample.advantage) ** alpha for sample, _ in self.stored]
        target, running = uniform * sum(powers), 0.0
        for (sample, _), power in zip(self.stored, powers, strict=True):
            running += power
            if running > target:
                return sample
        return self.stored[-1][0]


def select(
    raw: Sequence[Sample], buffer: Buffer, uniforms: Callable[[int], Sequence[float]], settings: Settings
) -> list[Sample]:
    """What one update trains on: D_raw, D_eff, or D_eff and n = max(0, N − |D_eff|) draws with replacement from B."""
    if settings.replay == "none":
        return list(raw)
    effective = [sample for sample in raw if abs(sample.advantage) > 0]
    if settings.replay == "filter":
        return effective
    buffer.add(effective)
    missing = max(0, len(raw) - len(effective))
    if missing == 0 or not buffer.stored:
        return effective  # an empty buffer: train on what there is
    return effective + [buffer.draw(uniform, settings.alpha) for uniform in uniforms(missing)]


# ---- loss --------------------------------------------------------------------------------------------------------


def surrogate(ratio: float, advantage: float, settings: Settings, *, replayed: bool = False) -> float:
    """Return −min(ρÂ, clip(ρ)Â); ρ of a sample replayed across a sync is capped at C, for both signs of Â."""
    if replayed:
        ratio = min(ratio, settings.cap)
    clipped = min(max(ratio, 1 - settings.clip_low), 1 + settings.clip_high)
    return -min(ratio * advantage, clipped * advantage)


def truncated(old: float, behaviour: float, cap: float) -> float:
    """Weight min(old / behaviour, C) of a token sampled by another engine or a stale policy (log-probs in)."""
    return min(math.exp(old - behaviour), cap)


def k3(current: float, reference: float) -> float:
    """KL estimate r − log r − 1 with r = reference / current (log-probs in)."""
    return math.exp(reference - current) - (reference - current) - 1


@dataclass(frozen=True)
class Scored:
    """A chosen sample with the log-probs the loss needs; each redraw is one of its own."""

    sample: Sample
    current: list[float]
    old: list[float]
    reference: list[float] | None = None
    replayed: bool = False  # across a policy sync


def weighted_mean(terms: Sequence[tuple[float, float]]) -> float:
    """Σ w ℓ / Σ w over (w, ℓ) of the whole update; a component that no token has is 0."""
    total = sum(weight for weight, _ in terms)
    return sum(weight * loss for weight, loss in terms) / total if total else 0.0


def policy_terms(scored: Scored, settings: Settings) -> list[tuple[float, float]]:
    """(w, ℓ) of the sampled tokens: the surrogate times the truncated weight, which is 1 where old is behaviour."""
    sample = scored.sample
    return [
        (
            weight,
            truncated(old, behaviour, settings.cap)
            * surrogate(math.exp(current - old), sample.advantage, settings, replayed=scored.replayed),
        )
        for weight, current, old, behaviour in zip(
            sample.rl, scored.current, scored.old, sample.response.behaviour, strict=True
        )
        if weight
    ]


def loss(chosen: Sequence[Scored], settings: Settings) -> float:
    """Σ_k c_k · Σ w_k ℓ_k / Σ w_k over policy, imitation and KL, each over all tokens of the update."""
    policy = [term for scored in chosen for term in policy_terms(scored, settings)]
    imitation = [
        (weight, -current)
        for scored in chosen
        for weight, current in zip(scored.sample.imitation, scored.current, strict=True)
        if weight
    ]
    kl = [
        (weight, k3(current, reference))
        for scored in chosen
        for weight, current, reference in zip(scored.sample.rl, scored.current, scored.reference or [], strict=False)
        if weight
    ]
    return (
        weighted_mean(policy)
        + settings.imitation_coefficient * weighted_mean(imitation)
        + settings.kl_coefficient * weighted_mean(kl)
    )


# ---- the whole ---------------------------------------------------------------------------------------------------


class World(Protocol):
    """What the method does not decide: the frozen behaviour policy, the verifier inside it, and keyed uniform draws."""

    def prompt_length(self, problem: str) -> int:
        """Tokens of the problem's prompt."""

    def respond(self, problem: str, sample: int, prefix: list[int]) -> Response:
        """Sample on from a prefix and score what was sampled, alone."""

    def encode(self, text: str) -> list[int]:
        """Token ids of a trigger."""

    def uniform(self, purpose: str, problem: str, sample: int) -> float:
        """One draw in [0, 1), keyed by its purpose and what it belongs to."""

    def uniforms(self, count: int) -> list[float]:
        """The one global draw of an update's replay."""


def look_twice(problem: str, group: list[Response], world: World, settings: Settings) -> list[Response]:
    """Force a second look on a share of the eligible responses; keep what gets it right."""
    looks = []
    longest = max(len(world.encode(trigger)) for trigger in TRIGGERS)
    for first in group:
        drawn = int(world.uniform("trigger", problem, first.sample) * len(TRIGGERS))
        trigger = world.encode(TRIGGERS[drawn])
        if not is_eligible(first, world.prompt_length(problem), longest, settings):
            continue
        if is_forced(world.uniform("force", problem, first.sample), settings.share):
            second = world.respond(problem, first.sample, first.tokens[:-1] + trigger)
            looks.append(splice(first, trigger, second))
    return replace_kept(group, looks, settings.max_kept)


def run_episode(
    problems: Sequence[str], world: World, buffer: Buffer, settings: Settings, update: Callable[[list[Sample]], None]
) -> None:
    """Generate, verify, rethink and credit all groups with one policy; train batch by batch; then sync."""
    groups = []
    for problem in problems:
        firsts = [world.respond(problem, sample, []) for sample in range(settings.group_size)]
        groups.append((problem, credit(look_twice(problem, firsts, world, settings), settings)))
    groups.sort(key=lambda group: world.uniform("shuffle", group[0], 0))  # whole groups, so that siblings stay together
    size = len(groups) // settings.updates
    for start in range(0, size * settings.updates, size):
        raw = [sample for _, group in groups[start : start + size] for sample in group]
        update(select(raw, buffer, world.uniforms, settings))
    buffer.policy_synced()
