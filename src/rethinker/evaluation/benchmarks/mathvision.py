"""MATH-Vision: 3,040 competition problems in 16 subjects and 5 levels; scored by rule alone.

Source: https://github.com/mathllm/MATH-V (MIT), whose rule this is, written anew: the same verdict on every response.
The answer is looked for in plain text before any box, and compared as text, then as numbers of two decimals.
"""

from __future__ import annotations

from pathlib import Path

from rethinker.errors import DatasetError
from rethinker.evaluation.benchmark import Benchmark, Question, RowVerdict
from rethinker.evaluation.benchmarks.mathvision_text import cleaned, pick
from rethinker.evaluation.benchmarks.settings import chosen
from rethinker.evaluation.published import PublishedRow, published_rows

LETTERS = "ABCDE"

_BOXED = 'put your answer in one "\\boxed{}". If it is a multiple choice question, only one letter is allowed in the '
_GEMINI = (
    "Please first solve the problem step by step, then put your final answer or a single letter (if it is a multiple "
    'choice question) in one "\\boxed{}". \n'
)
INSTRUCTIONS = {
    "cot": f'Please solve the problem and {_BOXED}"\\boxed{{}}".\n',
    "cot_steps": f'Please solve the problem step by step and {_BOXED}"\\boxed{{}}".\n',
    "cot_gemini": _GEMINI,
}
"""What stands before the question: as GPT-4V, Qwen-VL and Gemini were asked."""

SPLITS = ("test", "testmini")


class MathVision(Benchmark):
    """MATH-Vision's test split, or testmini, whose questions are among the former's."""

    name = "mathvision"
    scorer = "latex2sympy"
    styles = ("cot", "direct", "cot_steps", "cot_gemini")

    def __init__(self, setting: str = "") -> None:
        self._split = chosen("mathvision", setting, SPLITS)

    def read(self, path: Path) -> list[Question]:
        """The questions of test.jsonl, testmini.jsonl or a split of the hub's parquet, one (merged) image each."""
        needs = ("id", "question", "options", "level", "subject")
        return [_question(row) for row in published_rows(path, needs=needs, within=(self._split,))]

    def prompt(self, question: Question, style: str) -> str:
        """The prompt of one of the authors' model scripts; only Gemini's lists options that are mere letters."""
        listed = question.options and ("".join(question.options) != LETTERS or style == "cot_gemini")
        options = "".join(f"({letter}) {text}\n" for letter, text in zip(LETTERS, question.options)) if listed else ""
        if style == "direct":
            return f"{question.text}\n{options}\nAnswer the question using a single word or phrase."
        return f"{INSTRUCTIONS[style]}{question.text}\n{options}"

    def verdict(self, question: Question, response: str, *, extracted: bool) -> RowVerdict:
        """Compare the answer with the gold, and with the text of the gold's option."""
        answer = response if extracted else cleaned(pick(response))
        letter = str(question.answer)
        golds = [letter, question.options[ord(letter) - ord("A")]] if question.options else [letter]
        reasons = []
        for name, gold in zip(("the answer", "the option's text"), golds):
            same, why = equal(gold, answer)
            if same:
                return RowVerdict(extracted=answer, score=1.0, why=f"{name} {gold!r}: {why}")
            reasons.append(f"{name} {gold!r}: {why}")
        return RowVerdict(extracted=answer or None, score=0.0, why="; ".join(reasons))

    def prepare(self) -> None:
        """Import latex2sympy."""
        from rethinker.evaluation import latex_values  # noqa: F401 (imported for the calls to come)


def equal(gold: str, answer: str) -> tuple[bool, str]:
    """Whether two answers are the same, and by what: text, tuples of values, or values of two decimals."""
    gold, answer = gold.lower(), answer.lower()
    if not gold.replace(" ", "") or not answer.replace(" ", ""):
        return False, "there is nothing to compare"
    if gold.strip() == answer.strip():
        return True, "the same text"
    gold, answer = _tuple(gold), _tuple(answer)
    if gold == answer:
        return True, "the same tuple"
    from rethinker.evaluation.latex_values import two_decimals  # imported by the first answer that text cannot decide

    values: dict[str, int | float] = {}
    for text in sorted((gold, answer), key=len):  # a lone letter has no value, and spares reading the other
        value = two_decimals(text)
        if value is None:
            return False, f"another text, and {text!r} is no number"
        values[text] = value
    wanted, given = values[gold], values[answer]
    return wanted == given, f"{'both are' if wanted == given else f'{given} is not'} {wanted}, to two decimals"


def _tuple(text: str) -> str:
    """A tuple or list with each element's value in place of its text; anything else as it is."""
    parts = text[1:-1].split(",")
    if len(parts) < 2 or (text[0], text[-1]) not in (("(", ")"), ("[", "]")):
        return text
    values = [_element(part) for part in parts]
    return text if None in values else f"{text[0]}{','.join(str(value) for value in values)}{text[-1]}"


def _element(text: str) -> str | int | float | None:
    if "infty" in text or text in ("a", "-a"):
        return text
    from rethinker.evaluation.latex_values import two_decimals

    return two_decimals(text)


def _question(row: PublishedRow) -> Question:
    fields = row.fields
    options = fields["options"]
    answer = str(fields.get("answer"))
    if not isinstance(options, list) or (options and (len(answer) != 1 or not 0 <= ord(answer) - 65 < len(options))):
        raise DatasetError(
            f"{row.file}, question {fields['id']}: the answer {answer!r} names none of the options {options!r}"
        )
    level, subject = str(fields["level"]), str(fields["subject"])
    return Question(
        id=str(fields["id"]),
        text=str(fields["question"]),
        options=tuple(str(option) for option in options),
        answer=answer,
        kind="multiple-choice" if options else "free-form",
        labels={"level": (level,), "subject": (subject,), "subject_level": (f"{subject}_level{level}",)},
        images=row.images("decoded_image") or row.images("image"),
        extra={},
    )
