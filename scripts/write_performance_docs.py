"""Write `docs/performance.md` from the results of the benchmarks: `python -m scripts.write_performance_docs`.

No number on that page is typed by hand: its tables are the benchmarks' own, made again from `docs/results/*.json`. A
test compares the page with what this makes. A benchmark without a result, or with one of an older form, is said to be
not measured.
"""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "performance.md"
RESULTS = ROOT / "docs" / "results"

INTRODUCTION = """\
# Performance

How fast the learner and the engine are, beside others on the same work, in one run, and beside the arithmetic that the
work cannot do without. Written from `docs/results/*.json` by `python -m scripts.write_performance_docs`: run it after a
measurement.

Every script takes `--json OUT`, `--picture OUT` and `--quick`; `pip install -e '.[benchmark]'` brings trl. Arms run in
processes of their own and step in turn; numbers are medians, ratios are medians of pairs, above 1 where ours is faster.
Seconds belong to the machine they were measured on, which stands over each table with a yardstick: the product of two
512 × 512 float32 matrices, and a loop in plain Python.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Section:
    """One benchmark on the page.

    Attributes:
        benchmark: Its script, whose `tables` are shown.
        arguments: What the command that makes its result says besides where to write.
        picture: What the picture shows, for those who do not see it.
    """

    title: str
    benchmark: str
    arguments: str
    text: str
    picture: str

    @property
    def command(self) -> str:
        """What makes the result and the picture."""
        name = f"docs/results/{self.benchmark}"
        said = f"{self.arguments} " if self.arguments else ""
        return f"python benchmarks/{self.benchmark}.py {said}--json {name}.json --picture {name}.png"


SECTIONS = (
    Section(
        title="One step beside trl",
        benchmark="vs_trl",
        arguments="--tune",
        text="""\
A whole GRPO step of the embedded model: encode 16 prompts, sample G responses to each, score them, one update. A case's
name says G, tokens of each response, and images of each prompt; *natural* responses end where they end. trl runs with
the number of rows in its learner that is fastest for the case. Memory is the process's peak resident set, imports
included, and what of it came after model, optimiser and prompts were loaded.""",
        picture="seconds and peak memory of a step, ours and trl, by case",
    ),
    Section(
        title="Engine",
        benchmark="engine",
        arguments="",
        text="""\
Tokens returned a second for 16 prompts × G responses of unequal length (16 to 128 tokens, uniform; the same lengths in
every arm). Hugging Face's `generate` takes all rows as one batch with its cache. With `--vllm-python PATH` vLLM runs
beside them.""",
        picture="tokens a second of each engine, by G",
    ),
    Section(
        title="Learner beside the arithmetic",
        benchmark="scaling",
        arguments="",
        text="""\
One update of 16 prompts × 8 responses × 48 tokens, then with one thing growing at a time. *Counted* are the operations
of all matrix products that ran, *minimum* those that no learner can do without; the floor is either over the rate of a
512³ product on this machine, measured in turn with the updates. 1.00 would be nothing but such products.""",
        picture="seconds of an update and both floors, by responses, prompt, response and vocabulary",
    ),
    Section(
        title="The learner's settings",
        benchmark="settings",
        arguments="",
        text="""\
The same update under each setting, in turn with the defaults. The first update includes what is done once, compilation
above all. The defaults are what was fastest here without that price: float32, no recomputation, not compiled. On a CPU
bfloat16 saves memory and costs time; on CUDA it is what the recipes train in.""",
        picture="seconds and memory of an update under each setting",
    ),
    Section(
        title="Generating while learning",
        benchmark="overlap",
        arguments="",
        text="""\
Runs in Ray with one learner rank and one engine, each on a core of its own, at sizes at which generation takes about as
long as the learner's work: 16 × 8 responses of up to 96 tokens, one update a step. Staleness 1 samples the next batch
during the update and asks the learner for the log-probs of what is stale; the ratio counts that.""",
        picture="seconds of a step and its parts with staleness 0 and 1",
    ),
    Section(
        title="The loop in Ray",
        benchmark="loop_overhead",
        arguments="",
        text="""\
Runs of the tiny recipe, in one process of one thread and in Ray with one learner rank and one engine. Overhead is all
of a step but generating (second looks too), verifying and updating: prompts, credit, replay, sync, the record of
responses. What calls between processes cost lies in the stretches that wait for them, and shows in the whole step
beside one process's.""",
        picture="seconds of a step and of the work in it, in one process and in Ray",
    ),
    Section(
        title="Host memory over a run",
        benchmark="host_memory",
        arguments="",
        text="""\
500 steps in Ray, an episode ahead, with small batches, an image in every prompt, a checkpoint every 50 steps and the
record of responses. First and last are the ends of a line fitted over the last 400 steps. Each process counts what it
shares with no other, the whole tree everything once.""",
        picture="memory of the whole tree, of each process and of Ray, by step",
    ),
    Section(
        title="Precision: engine beside learner",
        benchmark="precision_gap",
        arguments="",
        text="""\
What float32 and bfloat16 make of the same weights in an engine and in the learner, per token and, as a product, per
response; then three updates at a learning rate of 1e-5 on these responses, advantages drawn by coin. *Beyond the
clip* are tokens whose ratio leaves 0.8 to 1.35 before anything was learned, if old log-probs are the engine's. *Off
the unbiased move* is how far the weights' way differs from that of updates which multiply by old / behaviour without
a bound, as a share of its length; AdamW's first steps have nearly the same size for every weight, so it counts turned
signs of small gradients, too. The embedded model is trained; the deep one has 28 layers and random weights,
which rounding moves further than it would a trained model's.""",
        picture="mean gap of each pair of engine and learner, and how far updates are from the unbiased ones",
    ),
    Section(
        title="Real shapes on a GPU",
        benchmark="real_shapes",
        arguments="--device cuda",
        text="""\
Qwen2.5-VL's published shapes with random weights in bf16: prompts of 1,200 tokens, 1,024 of them an image, 8 responses
of 500. The learner's time is forward, backward, clipping and AdamW on given responses, each learner at the fastest of
the settings tried. MFU counts the operations of tokens that really passed, tower included, nothing computed twice, over
the chip's stated dense bf16 rate.""",
        picture="learner speed, peak memory and engine speed at the real shapes",
    ),
)


def document() -> str:
    """The whole page."""
    return "\n".join([INTRODUCTION, *(part for section in SECTIONS for part in _section(section))])


def _section(section: Section) -> list[str]:
    parts = [f"## {section.title}\n", f"{section.text}\n", f"    {section.command}\n"]
    report = result(section.benchmark)
    if report is None:
        return [*parts, "*Not measured with this script yet.*\n"]
    parts += [f"{measured_on(report)}\n", f"{benchmark(section.benchmark).tables(report)}\n"]
    if (RESULTS / f"{section.benchmark}.png").is_file():
        parts.append(f"![{section.title}: {section.picture}](results/{section.benchmark}.png)\n")
    return parts


def result(benchmark: str) -> dict[str, Any] | None:
    """A benchmark's result, None without one of the present form."""
    file = RESULTS / f"{benchmark}.json"
    if not file.is_file():
        return None
    report: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    return report if report.get("benchmark") == benchmark else None


def measured_on(report: dict[str, Any]) -> str:
    """Where, when and with what a result was measured."""
    machine, yardstick = report["machine"], report["yardstick"]
    versions = ", ".join(f"{name} {version}" for name, version in machine["versions"].items() if version)
    processor = f"{machine['cpu']}, {report['threads']} threads of {machine['cores']} cores"
    where = f"{machine['gpu']}; {processor}" if report["device"] != "cpu" else processor
    return (
        f"Measured {machine['date'][:10]} on {where}; {report['repeats']} counted rounds; {versions}. Yardstick: "
        f"{1e3 * yardstick['matmul_s']:.2f} ms the product, {1e3 * yardstick['python_s']:.1f} ms the loop."
    )


def benchmark(name: str) -> Any:
    """A benchmark's module; benchmarks are scripts, whose folder is on the path when they run."""
    folder = str(ROOT / "benchmarks")
    if folder not in sys.path:
        sys.path.insert(0, folder)
    return import_module(name)


if __name__ == "__main__":
    PAGE.write_text(document(), encoding="utf-8")
