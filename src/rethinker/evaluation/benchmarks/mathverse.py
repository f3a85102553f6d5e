"""MathVerse (Zhang et al., ECCV 2024): 788 problems, each in five versions that move it from the text into the picture.

Officially a language model extracts the answer of a response, and judges whether it agrees with the gold. By rules
alone there is the repository's quick match, equality with the gold text. Gold is as published, garbled texts too.
Licence of the data: MIT.
"""

from __future__ import annotations

from pathlib import Path

from rethinker.errors import DatasetError
from rethinker.evaluation import unjudged
from rethinker.evaluation.benchmark import Question, RowVerdict
from rethinker.evaluation.benchmarks.settings import chosen
from rethinker.evaluation.columns import section, text
from rethinker.evaluation.judge import Judge, demonstration
from rethinker.evaluation.judged import JudgedBenchmark
from rethinker.evaluation.published import PublishedRow, published_rows
from rethinker.rewards.extract import plain, trim
from rethinker.rewards.numeric import read_number, same_number

VERSIONS = {
    "text_dominant": "Text Dominant",
    "text_lite": "Text Lite",
    "vision_intensive": "Vision Intensive",
    "vision_dominant": "Vision Dominant",
    "vision_only": "Vision Only",
}
"""Setting → version of the problems."""

ALL = "all"
"""The five versions, each problem five times: the overall score."""

TEXT_ONLY = "text_only"
"""The ablation without pictures, which the overall score leaves out."""

QUERIES = {"wo": "query_wo", "cot": "query_cot"}
"""Style → the column of its prompt."""

NEEDS = (
    "sample_index",
    "problem_version",
    "question",
    "image",
    "answer",
    "question_type",
    "metadata",
    *QUERIES.values(),
)

CHOICE = "multi-choice"
MOST_OPTIONS = 8

LAST_WORDS = 30
"""Of a response, which the judge sees; the authors' setting."""

JUDGE_TOKENS = 256


class MathVerse(JudgedBenchmark):
    """MathVerse's testmini in all five versions, in one of them, or its text-only ablation."""

    name = "mathverse"
    styles = ("cot", "wo")

    def __init__(self, setting: str = "") -> None:
        self._setting = chosen("mathverse", setting, (ALL, *VERSIONS, TEXT_ONLY))

    def read(self, path: Path) -> list[Question]:
        """Questions of the hub's parquet, or of the repository's JSON."""
        split = "testmini_text_only" if self._setting == TEXT_ONLY else "testmini"
        rows = published_rows(path, needs=NEEDS, within=(split,))
        questions = [_question(row) for row in rows]
        wanted = VERSIONS.get(self._setting)
        kept = [each for each in questions if wanted is None or each.labels["version"] == (wanted,)]
        if not kept:
            raise DatasetError(f"{path} holds no question of the version {wanted}")
        return kept

    def prompt(self, question: Question, style: str) -> str:
        """The published query, with reasoning (cot) or without (wo)."""
        return str(question.extra[QUERIES[style]])

    def verdict(self, question: Question, response: str, *, extracted: bool) -> RowVerdict:
        """Quick match for an extracted answer; for a response, ours."""
        if extracted:
            return RowVerdict(
                extracted=response,
                score=float(response == question.answer),
                why=f"quick match with {question.answer!r}",
            )
        if question.kind == CHOICE:
            found = unjudged.letter(response, MOST_OPTIONS)
        else:
            found = unjudged.marked(response) or unjudged.number(response)
        if found is None:
            return RowVerdict(extracted=None, score=0.0, why="the rules find no answer, and there is no judge")
        right, why = _agrees(str(question.answer), found, choice=question.kind == CHOICE)
        return RowVerdict(extracted=found, score=float(right), why=f"{why}; wanted {question.answer!r}")

    def prepare(self) -> None:
        """Load the reader of LaTeX."""
        from rethinker.rewards import latex  # noqa: F401

    def asks_judge(self, *, extracted: bool) -> bool:  # noqa: ARG002 (agreement is the judge's too)
        """Always."""
        return True

    def judged(self, question: Question, response: str, judge: Judge, *, extracted: bool) -> RowVerdict:
        """Score a response in the two official steps; an extracted answer skips the first."""
        answer = response if extracted else _extraction(response, judge)
        shown = demonstration("mathverse_score").format(
            question=question.extra["question_for_eval"], gt=question.answer, extraction=answer
        )
        judgement = judge.ask(shown, _judgement, max_tokens=JUDGE_TOKENS)
        return RowVerdict(
            extracted=answer, score=float(judgement), why=f"the judge finds {judgement} against {question.answer!r}"
        )


def _question(row: PublishedRow) -> Question:
    described = section(row, "metadata")
    subject, subfield = str(described.get("subject")), str(described.get("subfield"))
    kind, asked = text(row, "question_type"), text(row, "question")
    return Question(
        id=text(row, "sample_index"),
        text=asked,
        options=(),
        answer=text(row, "answer"),
        kind=kind,
        labels={
            "version": (text(row, "problem_version"),),
            "subject": (subject,),
            "subfield": (f"{subject}-{subfield}",),
            "question_type": (kind,),
        },
        images=row.images("image"),
        extra={
            **{column: text(row, column) for column in QUERIES.values()},
            "question_for_eval": text(row, "question_for_eval", asked),
        },
    )


def _extraction(response: str, judge: Judge) -> str:
    """What the judge takes for the answer of a response's last words."""
    last = " ".join(response.split(" ")[-LAST_WORDS:])
    shown = f"{demonstration('mathverse_extract')}\n\nModel response: '{last}'\nExtracted Answer: "
    return judge.ask(shown, str.strip, max_tokens=JUDGE_TOKENS).replace("Extracted Answer: ", "").strip()


def _judgement(answer: str) -> str | None:
    """0 or 1; None for anything else."""
    said = answer.replace("Judgement:", "").strip()
    return said if said in ("0", "1") else None


def _agrees(gold: str, given: str, *, choice: bool) -> tuple[bool, str]:
    """Whether an answer that rules found agrees with the gold, and by which rule."""
    if choice or gold == given:
        return gold.strip("() \n") == given, "our rule for a letter" if choice else "quick match"
    wanted, found = plain(trim(gold)), plain(trim(given))
    one, other = read_number(wanted), read_number(found)
    if one is not None and other is not None:
        return same_number(one, other), "our rule for a number"
    from rethinker.rewards.latex import read_latex, same_latex  # loaded before the clock runs

    parsed, meant = read_latex(gold), read_latex(given)
    return wanted == found or bool(parsed and meant and same_latex(parsed, meant)), "our rule for a formula"
