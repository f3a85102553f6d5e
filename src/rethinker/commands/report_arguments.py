"""The arguments of `rethinker report` and `rethinker watch`."""

from __future__ import annotations

import argparse
from pathlib import Path

from rethinker.errors import ConfigError


def add_report_commands(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add `report` and `watch` to the commands."""
    report = commands.add_parser("report", help="a run as a page: did it learn, what it said, is it healthy")
    report.add_argument("runs", nargs="+", type=Path, metavar="RUN", help="run folders, or the folder of an ablation")
    report.add_argument("--to", type=Path, metavar="HTML", help="the page (default: report.html in the only RUN)")
    report.add_argument("--all", type=Path, metavar="DIR", help="write a new folder that holds every response instead")
    report.set_defaults(command=_report)

    watch = commands.add_parser("watch", help="the same page, live, while the run goes on")
    watch.add_argument("run", type=Path, metavar="RUN", help="the run's folder; it is only read")
    watch.add_argument("--host", default="127.0.0.1", metavar="H", help="address to listen on (default 127.0.0.1)")
    watch.add_argument("--port", type=int, default=0, metavar="P", help="port (default: a free one)")
    watch.add_argument("--token", metavar="T", help="what a viewer must know; needed for any other address")
    watch.set_defaults(command=_watch)


def _report(parsed: argparse.Namespace) -> None:
    from rethinker.commands.report import report

    if parsed.to and parsed.all:
        raise ConfigError("--to writes a page and --all a folder; give one of them")
    report(parsed.runs, to=parsed.to, everything=parsed.all)


def _watch(parsed: argparse.Namespace) -> None:
    from rethinker.commands.report import watch

    watch(parsed.run, host=parsed.host, port=parsed.port, token=parsed.token)
