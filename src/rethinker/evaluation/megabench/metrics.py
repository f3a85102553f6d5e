"""The official parsers, metrics and aggregation, called as the official evaluation calls them.

Imported in a worker whose path begins with the scorer environment. The official code counts a metric that raises as
0; that is kept, but a metric that could not have worked (a package, a corpus is missing) is found before scoring.
"""

from __future__ import annotations

import base64
import importlib
import io
import signal
import sys
import sysconfig
import types
from pathlib import Path
from typing import Any

from rethinker.evaluation.megabench import arithmetic, coding

JUDGED = ("gpt_4o_as_judge", "ascii_art_gpt4o_judge")
CODE = "program_judge"
WITH_CONTEXT = (CODE, "symbolic_planning_test", "constrained_generation", "xml_norm_point_in_bbox")
"""Metrics that compare with the evaluation context, not with the gold of their field."""

_ENTAILMENT = "metrics.scoring.nli_entailment"
_MOST_SECONDS = 1
"""What metrics give themselves, 10 and 15 s, is cut to this, of CPU time: their own way out decides, not a kill."""

Record = dict[str, Any]


class MetricsError(Exception):
    """The official metrics cannot be used as they are installed."""


class OfficialMetrics:
    """All official metrics, imported and checked.

    Args:
        folder: The scorer environment.
        run_code: Let programs be run, in the sandbox.

    Raises:
        ImportError: a metric's package is missing.
        MetricsError: a metric is no class with `match`, or a package came from elsewhere.
        SandboxError: programs are to be run and there is no sandbox.
    """

    def __init__(self, folder: Path, *, run_code: bool) -> None:
        sys.modules[_ENTAILMENT] = _without_model()
        self._package = importlib.import_module("metrics")
        for kind in self._package.MetricType:
            if kind.value != "unsupported" and not hasattr(kind.class_impl, "match"):
                raise MetricsError(f"the metric {kind.value} has no `match`")
        _tame()
        self.unusable = _unusable(self._package)
        if run_code:
            tester = importlib.import_module("metrics.scoring.program_judge").CodeTester
            tester.run_user_code = coding.run
            coding.check(lambda program: tester(program, []))
        else:
            self.unusable[CODE] = "it runs a model's program, which was not asked for (--run-code)"
        _check_origin(folder)

    def score(self, request: Record) -> Record:
        """Parse and score one response.

        Args:
            request: `rule` (the task's metric_info), `answer`, `context`, `response`, `extracted`, `question`, and
                `given`, the scores of fields that a judge has scored.

        Returns:
            `parsed`; `fields`, the scores by field; `notes`; `asks`, what a judge is to be shown by field; `unusable`,
            reasons by metric. `score` only where the last two are empty.
        """
        rule, given = request["rule"], request["given"]
        notes: list[str] = []
        parsed = self._parsed(request, notes)
        fields: Record = {}
        asks: Record = {}
        unusable: Record = {}
        for field, kind in rule["field_score_function"].items():
            if field in given:
                fields[field] = given[field]
            elif kind in JUDGED:
                asks[field] = _question(kind, _field(parsed, field), request["answer"].get(field, ""))
            elif kind in self.unusable:
                unusable[kind] = self.unusable[kind]
            else:
                fields[field] = self._field_score(kind, field, parsed, request, notes)
        reply = {"parsed": parsed, "fields": fields, "notes": notes, "asks": asks, "unusable": unusable}
        if not asks and not unusable:
            reply["score"] = self._aggregate(rule["aggregation"], fields)
        return reply

    def _parsed(self, request: Record, notes: list[str]) -> Any:
        answer, response = request["answer"], request["response"]
        parser = self._package.ResponseParseType.from_string(request["rule"]["response_parse_function"])
        names = [name for name in answer if not name.startswith("##")]
        try:
            if parser.is_single_field_parser():
                (name,) = names
                if request["extracted"]:
                    return {name: response}
                return parser.parse(
                    response,
                    name,
                    global_description="",
                    query_question=request["question"],
                    is_single_line_ans="\n" not in answer[name],
                )
            parsed = parser.parse(response)
        except MemoryError:
            raise
        except Exception as error:  # noqa: BLE001 (the official parsers raise whatever a strange text provokes)
            notes.append(f"the official parser raised {type(error).__name__}")
            return dict.fromkeys(answer, response)
        if parser.value == "json" and (not isinstance(parsed, dict) or not parsed):
            notes.append("no JSON was found: every field is given the whole response")
            return dict.fromkeys(answer, response)
        return parsed

    def _field_score(self, kind: str, field: str, parsed: Any, request: Record, notes: list[str]) -> float:
        metric = self._package.MetricType.from_string(kind).class_impl
        shown = parsed if kind == "constrained_generation" else _field(parsed, field)
        gold = request["answer"].get(field, "")
        against = request["context"] if kind in WITH_CONTEXT else self._evaluated(gold)
        try:
            score = metric.match(shown, against)
        except MemoryError:
            raise
        except Exception as error:  # noqa: BLE001 (officially a metric that raises scores 0)
            notes.append(f"{kind} raised {type(error).__name__} on {field!r}, which scores 0")
            return 0.0
        return float(score[0] if isinstance(score, tuple) else score)

    def _evaluated(self, gold: Any) -> Any:
        return importlib.import_module("metrics.parsing.common.utils").evaluate_as_string(gold)

    def _aggregate(self, aggregation: Record, fields: Record) -> float:
        """The query's score; below 0 where no field counts."""
        kind = self._package.AggregationType.from_string(aggregation["function"])
        return float(kind.aggregate(fields, aggregation["field_weights"]))


def _field(parsed: Any, field: str) -> Any:
    return parsed.get(field) if isinstance(parsed, dict) else parsed


def _question(kind: str, shown: Any, gold: str) -> Record:
    """What a judge is shown: the answer's text, or two pictures of ASCII art, made as officially."""
    if kind != "ascii_art_gpt4o_judge":
        return {"shown": shown if isinstance(shown, str) else str(shown)}
    if not isinstance(shown, str) or not shown.strip():
        return {"score": 0.0}
    return {"pictures": [_picture(shown), _picture(gold)]}


def _picture(text: str) -> str:
    """A text in a font of fixed width, 224 × 224, JPEG in base64."""
    image = importlib.import_module("metrics.scoring.common.conversions").ascii_text_to_image(text, 224, 224)
    with io.BytesIO() as output:
        image.convert("RGB").save(output, format="JPEG")
        return base64.b64encode(output.getvalue()).decode("ascii")


def _without_model() -> types.ModuleType:
    """In place of the one metric that loads a language model while it is imported; no task uses it."""

    class NliEntailment:
        @staticmethod
        def match(*_: object) -> float:
            raise MetricsError("nli_entailment needs a language model's weights")

    module = types.ModuleType(_ENTAILMENT)
    vars(module)["NliEntailment"] = NliEntailment
    return module


def _tame() -> None:
    """Have no metric execute a response, none wait longer than a row may, and start what they load at first use."""
    numbers = importlib.import_module("metrics.scoring.general_numerical_match")
    vars(numbers)["eval_with_timeout"] = _calculated
    vars(signal)["SIGALRM"] = signal.SIGVTALRM
    vars(signal)["alarm"] = lambda seconds: signal.setitimer(signal.ITIMER_VIRTUAL, min(seconds, _MOST_SECONDS))
    importlib.import_module("sympy.parsing.latex").parse_latex(r"\frac{1}{2}")
    importlib.import_module("jieba").initialize()


def _calculated(expression: str) -> Any:
    try:
        return arithmetic.calculate(expression)
    except arithmetic.NotArithmeticError as error:
        return error


def _unusable(package: Any) -> dict[str, str]:
    """Metrics that would score 0 whatever the answer, with the reason."""
    reasons = {
        "nli_entailment": "it needs a language model's weights",
        "geo_proximity_location_dict": "it asks a service on the network",
    }
    try:
        package.MetricType.CONSTRAINED_GENERATION.class_impl.match("Two cats. One dog.", {"contain": "[cat]"})
    except LookupError:
        reasons["constrained_generation"] = (
            "NLTK's punkt_tab and wordnet are not in the scorer environment; `python -m nltk.downloader -d "
            "SCORERS/megabench/nltk_data punkt_tab wordnet` puts them there"
        )
    return reasons


def _check_origin(folder: Path) -> None:
    """Every package must come from the environment: one from elsewhere may be of any version.

    Raises:
        MetricsError: one does not.
    """
    ours = Path(__file__).parents[2]
    standard = [Path(sysconfig.get_path(name)) for name in ("stdlib", "platstdlib")]
    for name, module in list(sys.modules.items()):
        file = Path(vars(module).get("__file__") or __file__)
        in_standard = any(map(file.is_relative_to, standard)) and "site-packages" not in file.parts
        if not (in_standard or file.is_relative_to(folder) or file.is_relative_to(ours)):
            raise MetricsError(f"the module {name} came from {file}: it is missing in {folder}")
