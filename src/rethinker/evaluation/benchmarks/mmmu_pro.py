"""MMMU-Pro (Yue et al., 2024): MMMU's questions that need their image, with up to ten options, or inside a screenshot.

The hub has the configurations "standard (4 options)", "standard (10 options)" and "vision"; the repository's mix_data
has both lists of options in one row. The paper's MMMU-Pro score is the mean of standard10 and vision, each with the
better of the prompts cot and direct. Licence of the data: Apache-2.0.
"""

from __future__ import annotations

from pathlib import Path

from rethinker.evaluation.benchmark import Benchmark, Question, RowVerdict
from rethinker.evaluation.benchmarks.mmmu import CHOICE, marked_images, subject_labels
from rethinker.evaluation.benchmarks.settings import chosen
from rethinker.evaluation.columns import is_hub, text, texts
from rethinker.evaluation.letters import bracketed, letters, padded, quoted, spaced
from rethinker.evaluation.published import PublishedRow, published_rows

FOLDERS = {"standard10": "standard (10 options)", "standard4": "standard (4 options)", "vision": "vision"}
"""Setting → the hub's configuration."""

FORMAT = (
    "The last line of your response should be of the following format: 'Answer: $LETTER' (without quotes) where LETTER "
    "is one of options."
)
STEPS = "Think step by step before answering."
LETTER = "Answer with the option letter from the given choices directly."

INSTRUCTIONS = {
    ("cot", False): f"Answer the preceding multiple choice question. {FORMAT} {STEPS}",
    ("direct", False): LETTER,
    ("cot", True): f"Write out the multiple-choice question in the image and then solve it. {FORMAT} {STEPS}",
    ("direct", True): f"{LETTER} {FORMAT}",
}
"""(style, whether the question is in the image) → what the model is told."""


class MMMUPro(Benchmark):
    """MMMU-Pro in one of its settings; standard10 unless another is named."""

    name = "mmmu_pro"
    styles = ("cot", "direct")

    def __init__(self, setting: str = "") -> None:
        self._setting = chosen("mmmu_pro", setting, tuple(FOLDERS))

    def read(self, path: Path) -> list[Question]:
        """Questions of the hub's parquet, of mix_data, or of a published file of outputs."""
        needs = ["id", "options", "answer"]
        if is_hub(path):
            needs += ["image"] if self._setting == "vision" else ["question", "image_1"]
        rows = published_rows(path, needs=needs, within=(FOLDERS[self._setting],))
        return [self._question(row) for row in rows]

    def prompt(self, question: Question, style: str) -> str:
        """The question with its options and the instruction behind it; in the vision setting the instruction alone."""
        if self._setting == "vision":
            return INSTRUCTIONS[style, True]
        options = (f"{letter}. {option}" for letter, option in zip(letters(len(question.options)), question.options))
        return "\n".join((question.text, *options, INSTRUCTIONS[style, False]))

    def verdict(self, question: Question, response: str, *, extracted: bool) -> RowVerdict:
        """The letter behind the last "Answer:", else the one that MMMU's rule finds."""
        letter, why = (response.strip(), "given") if extracted else _chosen(response, question.options)
        if letter is None:
            return RowVerdict(extracted=None, score=None, why="no option is named: the official code draws one")
        return RowVerdict(extracted=letter, score=float(letter == question.answer), why=why)

    def _question(self, row: PublishedRow) -> Question:
        name, asked = text(row, "id"), text(row, "question")
        mixed = "shuffled_" if "shuffled_options" in row.fields and self._setting != "standard4" else ""
        options = texts(row, f"{mixed}options")
        vision = self._setting == "vision"
        labels = subject_labels(name, row)
        if vision and row.fields.get("category") in ("screenshot", "photo"):
            labels["picture"] = (text(row, "category"),)
        return Question(
            id=name,
            text=asked,
            options=options,
            answer=text(row, "shuffled_options_answer" if mixed else "answer"),
            kind=CHOICE,
            labels=labels,
            images=row.images("image") if vision else marked_images(row, asked + "".join(options)),
            extra={},
        )


def _chosen(response: str, options: tuple[str, ...]) -> tuple[str | None, str]:
    """The letter of the option that a response names, and by what."""
    given = letters(len(options))
    _, mark, tail = response.rpartition("Answer:")
    named = [letter for letter in given if letter in tail] if mark else []
    if len(named) == 1:
        return named[0], "the only letter behind the last 'Answer:'"
    answer = padded(response)
    if letter := bracketed(answer, given):
        return letter, "a letter in brackets"
    for end in (" ", "."):
        if letter := spaced(answer, [letter for letter in given if letter + end in answer]):
            return letter, f"a letter before {'a space' if end == ' ' else 'a full stop'}"
    return quoted(answer, options), "the text of an option"
