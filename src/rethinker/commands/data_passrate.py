"""`rethinker data passrate`: how often a model answers each row right, as a column that `select` reads."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from rich.console import Console

from rethinker.build import build_sampling, build_scorer
from rethinker.build_model import build_engine
from rethinker.commands.data_files import check_copy, check_writable, empty_table, opened_table, written
from rethinker.commands.data_model import load_model, settings_for
from rethinker.commands.data_section import opened_by
from rethinker.commands.row_progress import RowProgress
from rethinker.config import Config
from rethinker.data.rows import RowSource
from rethinker.data.statistics import histogram
from rethinker.data.tables import Table
from rethinker.errors import ConfigError, Interrupted
from rethinker.evaluation.pass_rates import Answered, AnswerLog, Rater
from rethinker.models.tiny import TINY_FOLDER
from rethinker.types import Outcome


def rate_file(
    file: str,
    *,
    images: Path | None,
    columns: Sequence[str],
    model: str,
    samples: int,
    to: Path,
    column: str,
    max_tokens: int | None,
    settings: Sequence[str],
) -> None:
    """Ask the model every row, going on where an earlier run with the same settings was stopped, and write the file.

    Raises:
        RethinkerError: the file or the model cannot be opened, the settings differ from the earlier run's, or a result
            cannot be written.
        Interrupted: Ctrl-C; what was answered is kept.
    """
    if samples < 1:
        raise ConfigError(f"--samples={samples} asks nothing; give 1 or more")
    table = opened_table(file)
    check_copy(table, to)
    check_writable(log_file(to), reads=table.files)
    if column in table.columns:
        raise ConfigError(f"--column {column}: {table.path} has such a column already; name another one")
    limit = [] if max_tokens is None else [f"sampler.first.max_tokens={max_tokens}"]
    config = settings_for(model, settings, limit)
    source = opened_by(config.data, file, images=images, columns=columns)
    vlm = load_model(config)
    log = AnswerLog(log_file(to), _settings(config, table, source, samples))
    try:
        scorer = build_scorer(config)
        try:
            rater = Rater(
                vlm=vlm,
                engine=build_engine(config, vlm),
                scorer=scorer,
                template=config.prompt.kind,
                max_prompt_tokens=config.prompt.max_tokens,
                sampling=build_sampling(config.sampler.first),
                samples=samples,
                seed=config.seed,
            )
            with RowProgress("answering rows", len(source), done=len(log.answered)) as progress:
                found = rater.measure(source, log, advance=progress.advance)
        finally:
            scorer.close()
        with written(to) as out:
            table.write(out, range(len(table)), added={column: found})
        _show(log.answered, found)
    except KeyboardInterrupt:
        kept = f"{len(log.answered):,} of {len(source):,} rows are noted in {log_file(to)}"
        raise Interrupted(f"stopped: {kept}; the same command goes on from there", exit_code=130) from None
    finally:
        log.close()
    console = Console()
    console.print(f"wrote {to} with the column {column!r}", highlight=False, soft_wrap=True, markup=False)


def log_file(to: Path) -> Path:
    """Where the answered rows are noted while it runs; kept, so that the same command again answers nothing."""
    return to.with_name(f"{to.name}.answers.jsonl")


def _settings(config: Config, table: Table, source: RowSource, samples: int) -> dict[str, Any]:
    """All that decides an answer: a run under others must not go on with these."""
    return {
        "data": table.digest(),
        "columns": sorted(source.reads),
        "model": config.model.model_dump(mode="json"),
        "weights": _weights(config.model.path),
        "samples": samples,
        "sampling": asdict(build_sampling(config.sampler.first)),
        "prompt": config.prompt.model_dump(mode="json"),
        "verifier": config.verifier.model_dump(mode="json", exclude={"workers"}),
        "seed": config.seed,
    }


def _weights(model: str) -> str:
    """Tells another content of a model folder, by its weight files' sizes and times; a hub's model goes by its name."""
    folder = TINY_FOLDER if model == "tiny" else Path(model)
    stats = [(path.name, path.stat()) for path in sorted(folder.glob("*.safetensors"))]
    return hashlib.sha256(repr([(name, stat.st_size, stat.st_mtime_ns) for name, stat in stats]).encode()).hexdigest()


def _show(answered: Mapping[int, Answered], rates: Sequence[float]) -> None:
    console = Console()
    table = empty_table("pass rate", "rows", "share")
    for label, count in histogram(rates).items():
        table.add_row(label, f"{count:,}", f"{count / len(rates):.1%}")
    console.print(table)
    outcomes = Counter[str]()
    for row in answered.values():
        outcomes.update(row.outcomes)
    shown = ", ".join(f"{outcomes[kind.value]:,} {kind.value}" for kind in Outcome if outcomes[kind.value])
    console.print(f"{sum(outcomes.values()):,} answers: {shown}", highlight=False)
    unasked = [row for row in answered.values() if row.reason]
    if unasked:
        console.print(
            f"{len(unasked):,} rows could not be asked, the first: {unasked[0].reason}", highlight=False, markup=False
        )
