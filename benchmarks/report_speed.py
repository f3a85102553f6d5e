"""How long the report of a long run takes to build, to open and to filter, in a real browser.

    python -m benchmarks.report_speed --to docs/results/report_speed.json

Makes a run of 1,000 steps × 128 responses, builds its page in a process of its own (seconds and peak memory), and opens
it in Chromium, three times from nothing: until the first screen is drawn and the page takes keys, then the longest of
several filters, from the change to the list on the screen. Last, what `rethinker watch` spends on a step of that run.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from benchmarks.chromium import browser
from benchmarks.machine import record
from benchmarks.made_runs import make_run

from rethinker.report.reading import RunReader
from rethinker.report.watching import LiveRun

FILTERS = (
    ("select[name=change]", "wrong → right"),
    ("select[name=look]", "forced"),
    ("select[name=outcome]", "not"),
    ("input[name=text]", "problem 7"),
    ("input[name=text]", "nothing holds this"),
    ("input[name=from]", "500"),
)
FILTER = """([selector, value]) => new Promise((done) => {
  const control = document.querySelector(selector), began = performance.now();
  control.value = value;
  control.dispatchEvent(new Event(control.tagName === "SELECT" ? "change" : "input", { bubbles: true }));
  requestAnimationFrame(() => setTimeout(() => done(performance.now() - began), 0));
})"""


def main() -> None:
    """Measure, print and write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--steps", type=int, default=1000)
    parser.add_argument("--to", type=Path)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        run = Path(folder) / "run"
        make_run(run, steps=asked.steps, groups=16, size=8)
        built = build(run)
        opened = browse(run / "report.html")
        watched = watch(run)
    result = {
        "machine": record(),
        "steps": asked.steps,
        "responses": asked.steps * 128,
        **built,
        **opened,
        **watched,
    }
    text = json.dumps(result, indent=2, ensure_ascii=False) + "\n"
    print(text)
    if asked.to:
        asked.to.write_text(text)


def build(run: Path) -> dict[str, Any]:
    """Seconds, peak memory and size of `rethinker report`."""
    began = time.perf_counter()
    subprocess.run([sys.executable, "-m", "rethinker", "report", str(run)], check=True, env=os.environ)
    seconds = time.perf_counter() - began
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024
    return {
        "build_seconds": round(seconds, 2),
        "build_peak_bytes": peak,
        "page_bytes": (run / "report.html").stat().st_size,
    }


def watch(run: Path) -> dict[str, Any]:
    """Processor seconds that `rethinker watch` spends on a new step, and on a question when nothing is new, by now."""
    steps = sorted((run / "rollouts").glob("*.gz"))
    lines = (run / "metrics.jsonl").read_bytes().splitlines(keepends=True)
    last, aside = steps[-1], run / "last"
    last.rename(aside)
    (run / "metrics.jsonl").write_bytes(b"".join(lines[:-1]))
    live = LiveRun(RunReader(run))
    told = json.loads(live.page().split('id="data">')[1].split("</script>")[0])["live"]
    asked = {"after": len(lines) - 1, "mark": told["mark"], "seen": told["seen"], "ended": True}
    began = time.process_time()
    assert live.changes(**asked) == {"changed": False}
    idle = time.process_time() - began
    aside.rename(last)
    with (run / "metrics.jsonl").open("ab") as file:
        file.write(lines[-1])
    began = time.process_time()
    news = live.changes(**asked)
    json.dumps(news)
    busy = time.process_time() - began
    assert news["metrics"]["step"] == [len(lines)]
    return {"watch_seconds_per_question": round(idle, 4), "watch_seconds_per_new_step": round(busy, 4)}


def browse(page_file: Path) -> dict[str, Any]:
    """Seconds to open the page, milliseconds of each filter."""
    opens, filters = [], []
    for _ in range(3):
        with browser() as started:
            page = started.new_page()
            began = time.perf_counter()
            page.goto(page_file.resolve().as_uri())
            page.wait_for_selector("#rollouts .response.open")
            page.evaluate("() => new Promise((done) => requestAnimationFrame(() => setTimeout(done, 0)))")
            opens.append(time.perf_counter() - began)
            filters.append({f"{name} {value}": page.evaluate(FILTER, [name, value]) for name, value in FILTERS})
            shown = page.inner_text("#rollouts .lead")
            version = started.version
    longest = {name: max(each[name] for each in filters) for name in filters[0]}
    return {
        "browser": f"chromium {version}",
        "shown": shown,
        "open_seconds": [round(each, 2) for each in opens],
        "open_seconds_median": round(statistics.median(opens), 2),
        "filter_milliseconds": {name: round(value, 1) for name, value in longest.items()},
        "filter_milliseconds_longest": round(max(longest.values()), 1),
    }


if __name__ == "__main__":
    main()
