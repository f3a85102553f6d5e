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

Normalise = Literal["sequence_mean", "token_mean", "constant"]

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
    truncated: Literal["score", "mask", "soft_penalty"] = "score"
    max_tokens: int = 2048  # of a first response
    buffer: int = 512  # under soft_penalty
    normalise: Normalise = "sequence_mean"
    divisor: int = 2048  # under constant
    ratio: Literal["token", "sequence"] = "token"
    clip_low: float = 0.2
    clip_high: float = 0.35
    dual_clip: float = math.inf  # c
    cap: float = 2.0  # C
    correction: Literal["token", "sequence", "none"] = "token"
    imitation_coefficient: float = 0.05
    kl_coefficient: float = 0.0
    entropy_coefficient: float = 0.0


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


def first_length(response: Response) -> int:
    """Tokens of the first response; of y = y1 ⊕ trigger ⊕ y2 those of y1, with the end token it lost."""
    return len(response.tokens) if response.trigger_at is None else response.trigger_at + 1


def soft_penalty(length: int, max_tokens: int, buffer: int) -> float:
    """DAPO's soft overlong punishment (arXiv 2503.14476, eq. 13): 0, then down to −1 over the last `buffer` tokens."""
    if length <= max_tokens - buffer:
        return 0.0
    if length <= max_tokens:
        return ((max_tokens - buffer) - length) / buffer
    return -1.0


def credited_reward(response: Response, settings: Settings) -> float:
    """What the advantage is made of: the verdict's reward, and what a long first response loses of it."""
    if settings.truncated != "soft_penalty":
        return response.reward
    return response.reward + soft_penalty(first_length(response), settings.max_tokens, settings.buffer)


def is_masked(response: Response, settings: Settings) -> bool:
    """A response that was cut is out of the loss; its reward still counts in its group's mean."""
    return settings.truncated == "mask" and not response.ended


def spread(counted: Sequence[bool], normalise: Normalise) -> list[float]:
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
    rewards = [credited_reward(response, settings) for response in group]
    return [
        Sample(
            response=response,
            advantage=0.0 if is_masked(response, settings) else advantage,
            rl=spread(
                [not forced and not is_masked(response, settings) for forced in response.forced], settings.normalise
            ),
            imitation=spread(is_imitated(response, settings.imitate), settings.normalise),
        )
        for response, advantage in zip(group, advantages(rewards, settings.advantage), strict=True)
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
    """Return −min(ρÂ, clip(ρ)Â); ρ of a sample replayed across a sync is capped at C, for both signs of Â.

    Dual clip (arXiv 1912.09729): where Â < 0 the objective is at least cÂ.
    """
    if replayed:
        ratio = min(ratio, settings.cap)
    clipped = min(max(ratio, 1 - settings.clip_low), 1 + settings.clip_high)
    objective = min(ratio * advantage, clipped * advantage)
    return -max(objective, settings.dual_clip * advantage) if advantage < 0 else -objective


def truncated(log_ratio: float, cap: float) -> float:
    """Weight min(old / behaviour, C) of what another engine or a stale policy sampled (difference of log-probs in)."""
    return cap if log_ratio > math.log(cap) else math.exp(log_ratio)


def k3(current: float, reference: float) -> float:
    """KL estimate r − log r − 1 with r = reference / current (log-probs in)."""
    return math.exp(reference - current) - (reference - current) - 1


@dataclass(frozen=True)
class Scored:
    """A chosen sample with the log-probs the loss needs; each redraw is one of its own."""

    sample: Sample
    current: list[float]
    old: list[float]
    reference: list[float] = field(default_factory=list)
    entropy: list[float] = field(default_factory=list)
    replayed: bool = False  # across a policy sync


Terms = list[tuple[float, float]]
"""(w, ℓ) of one response's tokens in one component; empty where none counts."""


def mean(responses: Sequence[Terms], settings: Settings) -> float:
    """Σ w ℓ / Σ w over the whole update, or over a constant for every response that has a token in the component.

    The constant is Dr.GRPO's (arXiv 2503.20783). A component that no token has is 0.
    """
    summed = sum(weight * loss for terms in responses for weight, loss in terms)
    total = sum(weight for terms in responses for weight, _ in terms)
    if settings.normalise == "constant":
        total = settings.divisor * sum(bool(terms) for terms in responses)
    return summed / total if total else 0.0


def ratios(scored: Scored, settings: Settings) -> list[float]:
    """ρ of every token: its own, or its response's exp(mean of log ρ over sampled tokens) (GSPO, arXiv 2507.18071)."""
    log_ratios = [current - old for current, old in zip(scored.current, scored.old, strict=True)]
    if settings.ratio == "token":
        return [math.exp(each) for each in log_ratios]
    sampled = [each for each, weight in zip(log_ratios, scored.sample.rl, strict=True) if weight]
    return [math.exp(sum(sampled) / len(sampled)) if sampled else 1.0] * len(log_ratios)


def corrections(scored: Scored, settings: Settings) -> list[float]:
    """Truncated weight of every token: its own, or of the product over its response's sampled tokens."""
    log_ratios = [old - behaviour for old, behaviour in zip(scored.old, scored.sample.response.behaviour, strict=True)]
    if settings.correction == "none":
        return [1.0] * len(log_ratios)
    if settings.correction == "token":
        return [truncated(each, settings.cap) for each in log_ratios]
    whole = sum(each for each, weight in zip(log_ratios, scored.sample.rl, strict=True) if weight)
    return [truncated(whole, settings.cap)] * len(log_ratios)


def policy_terms(scored: Scored, settings: Settings) -> Terms:
    """(w, ℓ) of the sampled tokens: the surrogate times the truncated weight, which is 1 where old is behaviour."""
    sample = scored.sample
    return [
        (
            weight,
            correction * surrogate(ratio, sample.advantage, settings, replayed=scored.replayed),
        )
        for weight, ratio, correction in zip(
            sample.rl, ratios(scored, settings), corrections(scored, settings), strict=True
        )
        if weight
    ]


def counted(weights: Sequence[float], losses: Sequence[float]) -> Terms:
    """(w, ℓ) of the tokens that count; none where the losses were not given."""
    return [(weight, loss) for weight, loss in zip(weights, losses, strict=False) if weight]


def loss(chosen: Sequence[Scored], settings: Settings) -> float:
    """Σ_k c_k · mean of ℓ_k over policy, imitation, KL and entropy, which is a bonus, each over the whole update."""
    policy = [policy_terms(each, settings) for each in chosen]
    imitation = [counted(each.sample.imitation, [-current for current in each.current]) for each in chosen]
    kl = [counted(each.sample.rl, list(map(k3, each.current, each.reference))) for each in chosen]
    entropy = [counted(each.sample.rl, each.entropy) for each in chosen]
    return (
        mean(policy, settings)
        + settings.imitation_coefficient * mean(imitation, settings)
        + settings.kl_coefficient * mean(kl, settings)
        - settings.entropy_coefficient * mean(entropy, settings)
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
