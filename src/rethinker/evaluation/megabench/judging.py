"""What MEGA-Bench shows its judge, and how it reads the judge's reply."""

from __future__ import annotations

import base64
import io
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from rethinker.errors import DatasetError, RethinkerError
from rethinker.evaluation.benchmark import Question
from rethinker.evaluation.image_refs import ImageRef

Message = Mapping[str, Any]
Ask = Callable[[Sequence[Message]], str]
"""Chat messages → the judge's reply."""

ASCII_QUESTION = (
    "Determine if the following two ASCII art images depict the same object. Your answer should be either "
    '"yes" or "no", but without the quotation marks.'
)
_SCORE = re.compile(r"\*\*Score\*\*\s*:\s*(\d+)")
_FULL = 10
_LONGEST_SIDE = 1000


class JudgeReplyError(RethinkerError):
    """The judge's reply has no score of the form asked for."""


def judge_score(question: Question, shown: Mapping[str, Any], ask: Ask) -> float:
    """One field's score in [0, 1].

    Args:
        shown: What the metrics' worker says that a judge is to see.

    Raises:
        JudgeReplyError: the reply has no score; officially it would count as 0.
        DatasetError: the task's rule lacks the judge's instructions.
    """
    if "score" in shown:
        return float(shown["score"])
    pictures = shown.get("pictures")
    content = _content(question, str(shown["shown"])) if pictures is None else _pictures(pictures)
    reply = ask([{"role": "user", "content": content}])
    score = read_score(reply) if pictures is None else read_yes(reply)
    if score is None:
        raise JudgeReplyError(f"the judge's reply has no score: {reply[:120]!r}")
    return score


def read_score(reply: str) -> float | None:
    """The score from 0 to 10 of a reply, as a share of 10; None where it has none."""
    found = _SCORE.search(reply)
    return None if found is None or int(found[1][:4]) > _FULL else int(found[1][:4]) / _FULL


def read_yes(reply: str) -> float | None:
    """1 for a reply with a yes, 0 for one with a no; None where it has neither."""
    lower = reply.lower()
    return 1.0 if "yes" in lower else 0.0 if "no" in lower else None


def _content(question: Question, shown: str) -> list[Message]:
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
        raise DatasetError(
            f"question {question.id}: the task's rule lacks what its judge is told ({type(error).__name__}: {error})"
        ) from error
    count = question.extra["query_images"]
    assert isinstance(count, int)
    images = question.images[len(question.images) - count :] if seen else ()
    return [*map(_image, images), {"type": "text", "text": text}]


def _source(source: str, question: Question, shown: str, context: Any) -> str:
    """What stands in one place of the instructions."""
    kind, _, name = source.partition(".")
    answer: Any = question.answer
    values = {"model_output": lambda: shown, "example_question": lambda: question.text}
    named = {"answers": answer, "eval_context": context}
    return str(named[kind][name] if kind in named else values[kind]())


def _image(ref: ImageRef) -> Message:
    """An image at most 1000 pixels long, as a JPEG in the message itself."""
    from PIL import Image

    picture = Image.fromarray(ref.decode().pixels)
    if (longest := max(picture.size)) > _LONGEST_SIDE:
        scale = _LONGEST_SIDE / longest
        picture = picture.resize((int(picture.width * scale), int(picture.height * scale)))
    with io.BytesIO() as output:
        picture.save(output, format="JPEG")
        return _shown_image(base64.b64encode(output.getvalue()).decode("ascii"))


def _shown_image(encoded: str) -> Message:
    return {"type": "image_url", "image_url": {"url": f"data:image/jpeg;base64,{encoded}"}}


def _pictures(pictures: Sequence[str]) -> list[Message]:
    return [*map(_shown_image, pictures), {"type": "text", "text": ASCII_QUESTION}]
