"""What MEGA-Bench shows its judge, and how it reads the judge's reply."""

from __future__ import annotations

import base64
import io
import re
from collections.abc import Mapping, Sequence
from typing import Any

from rethinker.errors import DataError
from rethinker.evaluation.benchmark import NotScoredError, Question
from rethinker.evaluation.image_refs import ImageRef
from rethinker.evaluation.judge import Judge

Part = Mapping[str, Any]
"""Of a chat message: a text or an image."""

ASCII_QUESTION = (
    "Determine if the following two ASCII art images depict the same object. Your answer should be either "
    '"yes" or "no", but without the quotation marks.'
)
_SCORE = re.compile(r"\*\*Score\*\*\s*:\s*(\d+)")
_FULL = 10
_LONGEST_SIDE = 1000

JUDGE_TOKENS = 2048
"""Officially without a bound; the score follows an explanation of a few sentences."""


def judge_score(question: Question, shown: Mapping[str, Any], judge: Judge) -> float:
    """One field's score in [0, 1].

    Args:
        shown: What the metrics' worker says that a judge is to see.

    Raises:
        JudgeError: there was no reply with a score; officially one without counts as 0.
        NotScoredError: the task's rule lacks the judge's instructions, or the images that it is to see cannot be shown.
    """
    if "score" in shown:
        return float(shown["score"])
    pictures = shown.get("pictures")
    if pictures is not None:
        return float(judge.ask(_pictures(pictures), read_yes, max_tokens=JUDGE_TOKENS))
    return float(judge.ask(_content(question, str(shown["shown"])), read_score, max_tokens=JUDGE_TOKENS))


def read_score(reply: str) -> str | None:
    """The score from 0 to 10 of a reply, as a share of 10; None where it has none."""
    found = _SCORE.search(reply)
    return None if found is None or int(found[1][:4]) > _FULL else str(int(found[1][:4]) / _FULL)


def read_yes(reply: str) -> str | None:
    """1 for a reply with a yes, 0 for one with a no; None where it has neither."""
    lower = reply.lower()
    return "1" if "yes" in lower else "0" if "no" in lower else None


def _content(question: Question, shown: str) -> list[Part]:
    """The images of the query where the task's judge sees them, and the authors' instructions, filled in."""
    rule: Any = question.extra["rule"]
    context: Any = question.extra["context"]
    try:
        instructions = rule["gpt4o_eval_configs"]
        sources = instructions["template_mapping"]
        filled = {key: _source(source, question, shown, context) for key, source in sources.items()}
        text = instructions["eval_criteria_prompt"].format(**filled)
        seen = instructions["judge_model_type"] == "with image"
    except (KeyError, IndexError, AttributeError, TypeError) as error:
        raise NotScoredError(
            f"the task's rule lacks what its judge is told ({type(error).__name__}: {error}); the hub's parquet has it"
        ) from error
    count = question.extra["query_images"]
    assert isinstance(count, int)
    if seen and len(question.images) < count:
        raise NotScoredError("its judge is to see the question's images, which are not beside the problems")
    images = question.images[len(question.images) - count :] if seen else ()
    try:
        return [*map(_image, images), {"type": "text", "text": text}]
    except DataError as error:
        raise NotScoredError(f"its judge is to see a picture that cannot be shown: {error}") from error


def _source(source: str, question: Question, shown: str, context: Any) -> str:
    """What stands in one place of the instructions."""
    kind, _, name = source.partition(".")
    answer: Any = question.answer
    values = {"model_output": lambda: shown, "example_question": lambda: question.text}
    named = {"answers": answer, "eval_context": context}
    return str(named[kind][name] if kind in named else values[kind]())


def _image(ref: ImageRef) -> Part:
    """An image at most 1000 pixels long, as a JPEG in the message itself."""
    from PIL import Image

    picture = Image.fromarray(ref.decode().pixels)
    if (longest := max(picture.size)) > _LONGEST_SIDE:
        scale = _LONGEST_SIDE / longest
        picture = picture.resize((int(picture.width * scale), int(picture.height * scale)))
    with io.BytesIO() as output:
        picture.save(output, format="JPEG")
        return _shown_image(base64.b64encode(output.getvalue()).decode("ascii"))


def _shown_image(encoded: str) -> Part:
    return {"type": "image_url", "image_url": {"url": f"data:image/jpeg;base64,{encoded}"}}


def _pictures(pictures: Sequence[str]) -> list[Part]:
    return [*map(_shown_image, pictures), {"type": "text", "text": ASCII_QUESTION}]
