"""Where the next second would be won, said from the figures alone.

The rule: a pass of the model could be twice as fast, and no pass of the learner faster than the chip; what is done
beside the model could be hidden or left out, all of it. What saves the most by that is named first. It is a bound on
what there is to win, not a promise.
"""

from __future__ import annotations

from collections.abc import Callable

from rethinker.runs.profile_figures import LEARNER, Period, Profile
from rethinker.runs.stretches import PASSES

RULE = (
    "Reckoned so: a pass of the model could be twice as fast, though no faster than the chip's stated rate where that "
    "is known; all that is done beside the model could be hidden or left out. Steps out of line are not counted."
)


def next_second(profile: Profile) -> list[str]:
    """Sentences: the stretch with most to win, what is known of it, the next two, and what is out of line."""
    whole = profile.steady
    if whole is None:
        return ["No step was finished, so nothing can be said."]
    first, *others = sorted(whole.stretches, key=lambda name: -_winnable(name, profile, whole))
    spent, won = whole.stretches[first], _winnable(first, profile, whole)
    how = "Twice as fast" if first in PASSES else "Hidden or left out"
    if first in LEARNER and won < spent.seconds / 2:
        how = "At the chip's rate"
    said = [
        f"{first.capitalize()} takes {_percent(spent.share)} of the time, {_time(spent.seconds)} of a step's "
        f"{_time(whole.seconds)}. {how}, it would save {_time(won)}, and steps would be "
        f"{whole.seconds / max(whole.seconds - won, 0.01 * whole.seconds):.2f} times as fast."
    ]
    said += [fact] if (fact := _FACTS.get(first, _nothing)(profile)) else []
    then = [f"{name} (at most {_time(most)})" for name in others[:2] if (most := _winnable(name, profile, whole)) > 0]
    said += [f"Then {' and '.join(then)}."] if then else []
    return said + _out_of_line(profile)


def _winnable(name: str, profile: Profile, whole: Period) -> float:
    """Seconds a step."""
    seconds = whole.stretches[name].seconds
    if name not in PASSES:
        return seconds
    reached = profile.mfu if name in LEARNER and profile.mfu is not None else 0.0
    return seconds * min(0.5, max(0.0, 1 - reached))


def _out_of_line(profile: Profile) -> list[str]:
    """The longest of the odd steps."""
    if not profile.odd:
        return []
    worst = max(profile.odd, key=lambda odd: odd.seconds)
    others = f", and {len(profile.odd) - 1} more are out of line" if len(profile.odd) > 1 else ""
    return [
        f"Step {worst.step} took {worst.times:.1f} times as long as others like it, most of it for {worst.stretch} "
        f"({_time(worst.seconds)} more){others}."
    ]


# ---- what else is known of a stretch -----------------------------------------------------------------------------


def _nothing(_: Profile) -> str:
    return ""


def _decode(profile: Profile) -> str:
    if profile.rows is None:
        return ""
    return (
        f"A forward decodes {profile.rows:.0f} samples on average; what it costs is shared among them "
        "(engine.max_rows, sampler.queries, sampler.group_size)."
    )


def _verify(profile: Profile) -> str:
    busy = profile.overlapped.get("verify", 0.0)
    return f"The verifier's threads were busy for {_time(busy)} a step, all together (verifier.workers)."


def _learner(profile: Profile) -> str:
    padding = f"{_percent(profile.padding)} of attention's places are padding" if profile.padding is not None else ""
    reached = f"the learner reaches {_percent(profile.mfu)} of the chip's rate" if profile.mfu is not None else ""
    facts = "; ".join(fact for fact in (reached, padding) if fact)
    return f"{facts[0].upper()}{facts[1:]} (learner.micro_batch_tokens)." if facts else ""


def _says(text: str) -> Callable[[Profile], str]:
    return lambda _: text


_FACTS: dict[str, Callable[[Profile], str]] = {
    "decode": _decode,
    "verify": _verify,
    "forward": _learner,
    "backward": _learner,
    "evaluate": _says("How often is a setting: evaluation.every, evaluation.validation_problems."),
    "checkpoint": _says("How often is a setting: checkpoints.every."),
    "logprobs": _says("Whether it is done is a setting: learner.behaviour_logprobs, objective.kl_coefficient."),
    "other": _says("No stretch covers it; between which spans it lies, trace.json shows."),
}


def _percent(share: float) -> str:
    return f"{100 * share:.0f} %"


def _time(seconds: float) -> str:
    return f"{seconds:.2f} s" if seconds >= 1 else f"{1000 * seconds:.3g} ms"
