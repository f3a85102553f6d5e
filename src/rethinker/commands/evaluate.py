"""`rethinker eval`: a model asked the questions of benchmarks, and its answers scored."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markup import escape

from rethinker.build_model import build_engine
from rethinker.commands.data_files import empty_table, threads
from rethinker.commands.data_model import load_model, settings_for
from rethinker.commands.row_progress import RowProgress
from rethinker.config import Config
from rethinker.data.tables import json_bytes
from rethinker.errors import ConfigError, Interrupted
from rethinker.evaluation.answering import Answerer, Answering, Rethinking
from rethinker.evaluation.asking import Exam, style_of
from rethinker.evaluation.benchmarks.catalogue import Protocol, Rule
from rethinker.evaluation.benchmarks.places import place
from rethinker.evaluation.evaluate import Evaluated, evaluate, refuse_withheld
from rethinker.evaluation.folder import claim
from rethinker.evaluation.judge import Judge
from rethinker.evaluation.settings import described
from rethinker.evaluation.summing_up import ORACLE
from rethinker.evaluation.weights import fingerprint
from rethinker.interfaces import Sampling
from rethinker.models.tiny import TINY_FOLDER
from rethinker.rollout.second_looks import Marker
from rethinker.runs.files import write_atomically

INCOMPLETE = 3
"""Exit status when a judge left answers without a verdict."""

SHOWN = 3
"""Questions named of those that could not be asked."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What the command line asks for.

    Attributes:
        benchmarks: Name → setting, empty for the usual one.
        settings: YAML files and overrides of the configuration.
    """

    model: str
    benchmarks: Mapping[str, str]
    data: Path
    protocol: Protocol
    style: str
    limit: int | None
    samples: int
    temperature: float
    top_p: float
    max_tokens: int
    max_prompt_tokens: int
    rethink: Rethinking
    engine: str
    seed: int
    to: Path
    settings: Sequence[str]


def evaluate_model(wanted: Wanted, *, judge: Judge | None, workers: int | None) -> int:
    """Evaluate, going on where an earlier call was stopped, and print the table; return the exit status.

    Raises:
        RethinkerError: the model or a benchmark cannot be had, or the folder holds other answers.
        Interrupted: Ctrl-C; what was answered is kept.
    """
    _refuse_empty(wanted)
    exams = [_exam(wanted, name, setting) for name, setting in wanted.benchmarks.items()]
    config = _config(wanted)
    settings = _settings(wanted, config)
    claim(wanted.to, settings)
    vlm = load_model(config)
    engine = build_engine(config, vlm)
    try:
        answerer = Answerer(vlm, engine, _answering(wanted))
        about = {"model": settings["model"], "settings": settings}
        marker = Marker(config.evaluation.marker)

        def run(exam: Exam, advance: Callable[[], object]) -> Evaluated:
            return evaluate(
                exam,
                answerer,
                wanted.to / exam.name,
                about=about,
                marker=marker,
                workers=threads(workers),
                judge=judge,
                advance=advance,
            )

        found = {exam.name: _with_progress(exam, wanted, run) for exam in exams}
    except KeyboardInterrupt:
        kept = f"what was answered is kept in {wanted.to}"
        raise Interrupted(f"stopped: {kept}; the same command goes on from there", exit_code=130) from None
    finally:
        engine.close()
    results = {name: each.result for name, each in found.items()}
    write_atomically(wanted.to / "results.json", json_bytes(overview(settings, results), indent=2) + b"\n")
    show(wanted, found, judge)
    return INCOMPLETE if any(result["counts"].get("unjudged") for result in results.values()) else 0


def overview(settings: Mapping[str, Any], results: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """`results.json`: the overall numbers of all benchmarks."""
    names = ("accuracy", "interval", "scoring", "protocol", "style", "samples", "pass_at", "majority", "rethinking")
    return {
        "model": settings["model"],
        "settings": settings,
        "benchmarks": {
            name: {key: result[key] for key in names}
            | {"questions": result["counts"]["questions"], "unasked": len(result["unasked"])}
            for name, result in results.items()
        },
    }


def show(wanted: Wanted, found: Mapping[str, Evaluated], judge: Judge | None) -> None:
    """Print the table, and what was not asked or not scored."""
    console = Console(width=None if sys.stdout.isatty() else 120)
    several = wanted.samples > 1
    console.print(f"[bold]{escape(wanted.model)}[/bold]  {wanted.protocol} protocol{_how(wanted)}", highlight=False)
    extra = (f"pass@{wanted.samples}", "majority") if several else ("95 %",)
    table = empty_table("", "accuracy", *extra, "questions", "not asked", "rethinks", "tokens", "scored by")
    table.columns[-1].justify = "left"
    for name, each in found.items():
        table.add_row(name, *_figures(each.result, wanted.samples))
    console.print(table)
    for name, each in found.items():
        _show_gaps(console, name, each)
    if judge is not None:
        counts = "  ".join(f"{name} {count:,}" for name, count in asdict(judge.counts).items())
        console.print(f"judge {escape(judge.model)} at {escape(judge.url)}: {counts}", highlight=False)
    console.print(f"answers, rows and results are in {wanted.to}", highlight=False, soft_wrap=True, markup=False)


def _figures(result: Mapping[str, Any], samples: int) -> list[str]:
    rethinking, answered = result["rethinking"], result["tokens"]["generated"]
    if samples > 1:
        extra = [_share(result["pass_at"][str(samples)]), _share(result["majority"])]
    else:
        extra = [" – ".join(f"{end:.1%}" for end in result["interval"]) if result["interval"] else "–"]
    asked = rethinking["responses"] - samples * len(result["unasked"])
    return [
        _share(result["accuracy"]),
        *extra,
        f"{result['counts']['questions']:,}",
        f"{len(result['unasked']):,}",
        _share(rethinking["ratio"]),
        f"{answered / asked:,.0f}" if asked else "–",
        result["scoring"],
    ]


def _show_gaps(console: Console, name: str, each: Evaluated) -> None:
    """Say what was asked again, not asked, or not scored."""
    if each.dropped:
        console.print(f"[yellow]{name}[/yellow]  a half-written answer was dropped and asked again", highlight=False)
    unasked = each.result["unasked"]
    for id_, why in list(unasked.items())[:SHOWN]:
        console.print(f"[yellow]{name}[/yellow]  {escape(id_)} counts as wrong: {escape(why)}", highlight=False)
    if len(unasked) > SHOWN:
        console.print(f"[yellow]{name}[/yellow]  {len(unasked) - SHOWN:,} more count as wrong so", highlight=False)
    if videos := each.result["videos"]:
        said = f"{videos:,} questions show a video; only pictures are shown to a model here, so they count as wrong"
        console.print(f"[yellow]{name}[/yellow]  {said}", highlight=False)
    without = each.result["examples"].get("unjudged", [])
    for row in without[:SHOWN]:
        console.print(f"[yellow]{name}[/yellow]  unjudged: {escape(row)}", highlight=False)
    if without:
        count = each.result["counts"]["unjudged"]
        console.print(
            f"[yellow]{name}[/yellow]  {count:,} answers are unjudged and in no accuracy; the same command asks again",
            highlight=False,
        )
    for why, kinds in each.result["not_scored"].items():
        rows = f"{sum(kinds.values()):,} rows not scored"
        console.print(f"[yellow]{name}[/yellow]  {rows}: {escape(why)}", highlight=False)


def _share(value: float | None) -> str:
    return "–" if value is None else f"{value:.2%}"


def _how(wanted: Wanted) -> str:
    drawn = "greedy" if wanted.temperature == 0 else f"temperature {wanted.temperature:g}"
    several = f", mean of {wanted.samples} samples" if wanted.samples > 1 else ""
    looks = {"off": "", "forced": ", forced rethinking", "oracle": f", {ORACLE}"}[wanted.rethink]
    return f", {drawn}{several}{looks}"


def _with_progress(exam: Exam, wanted: Wanted, run: Callable[[Exam, Callable[[], object]], Evaluated]) -> Evaluated:
    total = len(exam.questions) * wanted.samples
    file = wanted.to / exam.name / "answers.jsonl"
    done = min(total, file.read_bytes().count(b"\n")) if file.exists() else 0
    with RowProgress(f"answering {exam.name}", total, done=done) as progress:
        return run(exam, progress.advance)


def _refuse_empty(wanted: Wanted) -> None:
    counts = {"--samples": wanted.samples, "--max-tokens": wanted.max_tokens, "--limit": wanted.limit or 1}
    if wanted.limit is not None:
        counts["--limit"] = wanted.limit
    for option, count in counts.items():
        if count < 1:
            raise ConfigError(f"{option} {count} asks nothing; give 1 or more")


def _exam(wanted: Wanted, name: str, setting: str) -> Exam:
    rule = Rule(name=name, setting=setting, protocol=wanted.protocol)
    style = style_of(rule, wanted.style)
    questions = rule.benchmark().read(place(wanted.data, name))
    exam = Exam(rule=rule, style=style, questions=questions[: wanted.limit])
    refuse_withheld(exam)
    return exam


def _config(wanted: Wanted) -> Config:
    """Model and engine, with room for what is asked."""
    limit, prompt = wanted.max_tokens, wanted.max_prompt_tokens
    overrides = [
        f"engine.kind={wanted.engine}",
        f"prompt.max_tokens={prompt}",
        f"sampler.first.max_tokens={limit}",
        f"evaluation.max_tokens={limit}",
        f"seed={wanted.seed}",
        f"rethink.kind={'none' if wanted.rethink == 'off' else 'forced'}",
    ]
    if wanted.rethink != "off":
        overrides += [f"rethink.second_look.max_tokens={limit}", f"rethink.max_total_tokens={prompt + 2 * limit + 64}"]
    return settings_for(wanted.model, wanted.settings, overrides)


def _answering(wanted: Wanted) -> Answering:
    return Answering(
        sampling=Sampling(temperature=wanted.temperature, top_p=wanted.top_p, max_tokens=wanted.max_tokens),
        samples=wanted.samples,
        seed=wanted.seed,
        max_prompt_tokens=wanted.max_prompt_tokens,
        rethink=wanted.rethink,
    )


def _settings(wanted: Wanted, config: Config) -> dict[str, Any]:
    """All that decides an answer, and what was used to make it."""
    model = config.model
    return described(
        _answering(wanted),
        model={
            "path": model.path,
            "weights": fingerprint(TINY_FOLDER if model.path == "tiny" else Path(model.path)),
            "dtype": model.dtype,
            "min_pixels": model.min_pixels,
            "max_pixels": model.max_pixels,
        },
        protocol=wanted.protocol,
        style=wanted.style,
        marker=config.evaluation.marker,
        engine=wanted.engine,
        limit=wanted.limit,
    )
