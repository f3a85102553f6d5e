"""MEGA-Bench's own results beside ours: golden vectors, means of a task's queries, means and breakdowns of tasks.

Its authors publish no responses to the tasks that rules score, only what came of them. So the vectors were made with
their code, from answers right, wrong and odd; published scores of tasks and queries check the sums.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import isclose

from tests.evaluation.megabench_files import GIVEN, given, request

from rethinker.evaluation.benchmark import Question, RowVerdict
from rethinker.evaluation.benchmarks.megabench import MegaBench
from rethinker.evaluation.megabench.process import MetricsProcess
from rethinker.evaluation.scoring import summed_up
from rethinker.evaluation.verdicts import Scored, outcome_of

PAGES = GIVEN / "gt" / "task_metric_info.json.gz"
RUNS = ("Qwen2_VL_7B", "SI_results_Grok-2-vision-1212")
EXACT = 1e-12

Cells = dict[tuple[str, str], tuple[int, float]]
"""(breakdown, cell) → its tasks, their mean score."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """One thing compared, and what of it differs."""

    name: str
    compared: int
    differing: list[str]


def line(part: Part) -> str:
    """A part's line of the page's table."""
    return f"| {part.name} | {part.compared:,} | {part.compared - len(part.differing):,} |\n"


def questions() -> dict[str, Question]:
    """The benchmark's tasks, by name."""
    return {question.id: question for question in MegaBench().read(PAGES)}


def golden(metrics: MetricsProcess) -> Part:
    """Parsed fields, every field's score and the query's score of each vector."""
    differing = []
    vectors = given("open/golden_vectors.jsonl.gz")
    for vector in vectors:
        info = {
            "field_score_function": vector["metrics"],
            "aggregation": vector["aggregation"],
            "response_parse_function": vector["parser"],
        }
        reply = metrics.score(request(vector["response"], info, vector["correct_answer"]))
        official = (vector["parsed"], vector["field_scores"], vector["query_score"])
        if (reply["parsed"], reply["fields"], reply["score"]) != official:
            differing.append(f"{vector['task']}/{vector['variant']}")
    tasks = len({vector["task"] for vector in vectors})
    return Part(
        name=f"responses of {tasks} tasks: fields, their scores, the query's",
        compared=len(vectors),
        differing=differing,
    )


def queries(metrics: MetricsProcess) -> list[Part]:
    """The score of each query of a judged run from its fields' scores, and each task's mean of them."""
    benchmark, pages = MegaBench(), questions()
    tasks = given("open/Grok-2_SI_open_half.json.gz")["data"]
    of_queries, of_tasks, compared = [], [], 0
    for task in tasks:
        page = pages[task["task_name"]]
        scores = []
        for query in task["query_response"]:
            asked = request(query["response"], page.extra["rule"], query["correct_answer"])
            score = metrics.score({**asked, "given": query["scores"]["field"]})["score"]
            scores.append((page, score))
            if score != query["scores"]["query"]:
                of_queries.append(f"{page.id}/{len(scores)}")
        if not isclose(benchmark.mean(scores), task["mean_task_score"], abs_tol=EXACT):
            of_tasks.append(page.id)
        compared += len(scores)
    return [
        Part(name="queries of a judged run: the score from its fields'", compared=compared, differing=of_queries),
        Part(name="tasks of a judged run: the mean of its queries", compared=len(tasks), differing=of_tasks),
    ]


def breakdowns(run: str) -> Part:
    """The macro mean, those of both subsets, and every cell of the five breakdowns, from the tasks' scores."""
    pages = questions()
    tasks = given(f"open/{run}.task_results.json.gz")
    found = summed_up(MegaBench(), [(pages[task["name"]], _scored(task["score"])) for task in tasks])
    ours = {
        (dimension, name): (cell.predicted, cell.accuracy)
        for dimension, cells in {**found.breakdowns, "": {"": found.overall}}.items()
        for name, cell in cells.items()
        if cell is not None
    }
    official = _published(run)
    differing = [
        "/".join(cell)
        for cell, (tasks_in_it, score) in official.items()
        if cell not in ours or ours[cell][0] != tasks_in_it or not isclose(ours[cell][1], score, abs_tol=EXACT)
    ]
    return Part(name=f"{run}: {len(tasks)} tasks' cells", compared=len(official), differing=differing)


def _published(run: str) -> Cells:
    content = given(f"open/{run}.summary_and_keyword_stats.json.gz")
    summary = content["model_summary"].get("model_summary", content["model_summary"])
    subsets = {name: summary[name] for name in ("core", "open")}
    cells = {("subset", name): (cell["num_eval_tasks"], cell["macro_mean_score"]) for name, cell in subsets.items()}
    cells["", ""] = (sum(count for count, _ in cells.values()), summary["overall_score"])
    for dimension, values in content["keyword_stats"].items():
        cells |= {(dimension, name): (cell["count"], cell["average_score"]) for name, cell in values.items()}
    return cells


def _scored(score: float) -> Scored:
    verdict = RowVerdict(extracted="", score=score, why="")
    return Scored(verdict=verdict, outcome=outcome_of(verdict))


def parts() -> list[Part]:
    """All that is compared."""
    metrics = MetricsProcess()
    try:
        return [golden(metrics), *queries(metrics), *map(breakdowns, RUNS)]
    finally:
        metrics.close()
