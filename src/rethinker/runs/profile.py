"""`profile.html`, `profile.json` and `trace.json`: where a run's time went, for people, for programs, for viewers."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from html import escape
from pathlib import Path

from rethinker.runs.files import write_atomically
from rethinker.runs.next_second import RULE, next_second
from rethinker.runs.profile_figures import Period, Profile, measured
from rethinker.runs.profile_style import STYLE
from rethinker.runs.stretches import STRETCHES, Stretch
from rethinker.runs.trace import trace
from rethinker.timing import Recorder

_POLICY = "default-src 'none'; style-src 'unsafe-inline'"
_STRIPS = 40
"""Most steps drawn one by one; the last ones are."""
_NONE = "–"
_WORTH_A_NAME = 0.07
"""Smallest share whose name stands in the bar."""
_NAMED_ON_A_PHONE = 0.25


def write_profile(folder: Path, recorder: Recorder, *, device: str | None) -> None:
    """Write the three files, of the steps that were finished; the trace has what came after them too.

    Args:
        device: The GPU's name, None on the CPU.

    Raises:
        RunFolderError: a file cannot be written.
    """
    profile = measured(recorder.laps, device=device)
    figures = asdict(profile) | {"next_second": next_second(profile)}
    write_atomically(folder / "profile.json", json.dumps(figures, indent=1, allow_nan=False) + "\n")
    write_atomically(folder / "profile.html", page(profile, title=folder.resolve().name))
    write_atomically(folder / "trace.json", json.dumps(trace(list(recorder.events)), separators=(",", ":")))


def page(profile: Profile, *, title: str) -> str:
    """The page, which needs no network, no script and no other file."""
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{_POLICY}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{escape(title)}: where the time goes</title>
<style>{STYLE}</style>
</head>
<body>
<header>
<h1>Where the time goes</h1>
<p class="muted">{escape(title)} · {_extent(profile)} · {escape(profile.device or "CPU")}</p>
</header>
<main>
{_next(profile)}
{_facts(profile)}
{_bars(profile)}
{_table(profile)}
{_strips(profile)}
</main>
</body>
</html>
"""


def _extent(profile: Profile) -> str:
    whole = profile.whole
    if whole is None:
        return "no step was finished"
    return f"steps {whole.first} to {whole.last}, {_time(whole.seconds * len(profile.steps))}"


def _next(profile: Profile) -> str:
    first, *others = next_second(profile)
    rest = f"<p>{escape(' '.join(others))}</p>" if others else ""
    return (
        '<section class="next"><h2>Where the next second would be won</h2>'
        f'<p>{escape(first)}</p>{rest}<p class="muted">{RULE}</p></section>'
    )


def _facts(profile: Profile) -> str:
    whole = profile.whole
    if whole is None:
        return ""
    rates = {name: spent.tokens_per_second for name, spent in whole.stretches.items()}
    facts = [
        ("A step, on average", _time(whole.seconds)),
        ("Decoded, tokens a second", _count(rates["decode"])),
        ("Forward, tokens a second", _count(rates["forward"])),
        ("Backward, tokens a second", _count(rates["backward"])),
        ("Learner, operations a second", _operations(profile.operations_per_second)),
        ("MFU", _share(profile.mfu)),
        ("Padding in attention", _share(profile.padding)),
    ]
    facts += [(f"Meanwhile, {name}, a step", _time(seconds)) for name, seconds in profile.overlapped.items()]
    shown = [f"<div><dt>{escape(name)}</dt><dd>{value}</dd></div>" for name, value in facts if value != _NONE]
    return f"<dl>{''.join(shown)}</dl>"


# ---- bars --------------------------------------------------------------------------------------------------------


def _bars(profile: Profile) -> str:
    if profile.typical is None or profile.whole is None:
        return ""
    usual, whole = profile.typical, profile.whole
    named = f"step {usual.first}" if usual.first == usual.last else f"steps {usual.first} to {usual.last}"
    return (
        '<figure class="bars">'
        f"<figcaption><span>A median step ({named})</span><span>{_time(usual.seconds)}</span></figcaption>"
        f"{_bar(_shares(usual), named=True)}"
        "<figcaption><span>All steps, the first and every save and validation included</span>"
        f"<span>{_time(whole.seconds)} on average</span></figcaption>"
        f"{_bar(_shares(whole), named=True)}</figure>"
    )


def _shares(period: Period) -> dict[str, float]:
    return {name: spent.share for name, spent in period.stretches.items()}


def _bar(shares: Mapping[str, float], *, named: bool, width: float = 1.0) -> str:
    """One bar; of `width` of the room there is."""
    pieces = "".join(_piece(stretch, shares[stretch.name], named=named) for stretch in STRETCHES)
    return f'<div class="bar" style="width:{100 * width:.2f}%">{pieces}</div>'


def _piece(stretch: Stretch, share: float, *, named: bool) -> str:
    if share < 0.0005:
        return ""
    text = stretch.name if named and share >= _WORTH_A_NAME else ""
    kinds = [*(["light"] if stretch.colour[1] < 100 else []), *(["short"] if share < _NAMED_ON_A_PHONE else [])]
    return (
        f'<i class="{" ".join(kinds)}" style="flex:{share:.5f} 0 0;background:{_colour(stretch)}" '
        f'title="{stretch.name}: {_share(share)}">{text}</i>'
    )


def _colour(stretch: Stretch) -> str:
    number, strength = stretch.colour
    colour = f"var(--c{number})"
    return colour if strength == 100 else f"color-mix(in oklab, {colour} {strength}%, var(--card))"


# ---- table and strips --------------------------------------------------------------------------------------------


def _table(profile: Profile) -> str:
    if profile.typical is None or profile.whole is None:
        return ""
    rows = "".join(_row(stretch, profile.typical, profile.whole) for stretch in STRETCHES)
    head = "".join(
        f'<th scope="col">{name}</th>' for name in ("", "Median step", "All steps", "Share of all", "Tokens a second")
    )
    return f'<table class="spent"><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>'


def _row(stretch: Stretch, usual: Period, whole: Period) -> str:
    spent, colour = whole.stretches[stretch.name], _colour(stretch)
    none = ' class="none"' if not spent.seconds else ""
    return (
        f'<tr{none}><th scope="row"><i class="swatch" style="background:{colour}"></i>{stretch.name}'
        f"<span>{escape(stretch.what)}</span></th>"
        f"<td>{_time(usual.stretches[stretch.name].seconds)}</td><td>{_time(spent.seconds)}</td>"
        f'<td>{_share(spent.share)}<b style="--fill:{colour};--at:{100 * spent.share:.1f}%"></b></td>'
        f"<td>{_count(spent.tokens_per_second)}</td></tr>"
    )


def _strips(profile: Profile) -> str:
    """A bar for each step, as long as it took."""
    if not profile.steps:
        return ""
    shown = profile.steps[-_STRIPS:]
    longest = max(step.seconds for step in shown)
    rows = "".join(
        f"<span>{step.step}</span>"
        f"{_bar(_parts(step.stretches, step.seconds), named=False, width=step.seconds / longest)}"
        f"<span>{_time(step.seconds)}</span>"
        for step in shown
    )
    which = f"The last {len(shown)} of {len(profile.steps)}. " if len(shown) < len(profile.steps) else ""
    note = (
        f"{which}An episode's first step has generated for all of its steps. Every span of the latest ones is in "
        "trace.json, which ui.perfetto.dev opens."
    )
    return f'<h2 class="section">Step by step</h2><p class="muted">{note}</p><div class="steps">{rows}</div>'


def _parts(seconds: Mapping[str, float], total: float) -> dict[str, float]:
    return {name: part / total for name, part in seconds.items()}


# ---- figures -----------------------------------------------------------------------------------------------------


def _time(seconds: float) -> str:
    if seconds >= 100:
        return f"{seconds:,.0f} s"
    if seconds >= 1:
        return f"{seconds:.2f} s"
    if seconds >= 0.01:
        return f"{1000 * seconds:.0f} ms"
    return f"{max(0.1, 1000 * seconds):.1f} ms" if seconds else _NONE


def _share(share: float | None) -> str:
    return _NONE if share is None else f"{100 * share:.1f} %"


def _count(count: float | None) -> str:
    return _NONE if count is None else f"{count:,.0f}"


def _operations(rate: float | None) -> str:
    if rate is None:
        return _NONE
    return f"{rate / 1e12:,.1f} T" if rate >= 1e12 else f"{rate / 1e9:,.1f} G"
