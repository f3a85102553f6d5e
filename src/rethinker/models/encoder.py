"""Problems to token ids and pixel tensors, by a model's own processor; and ahead of time, on the threads that read."""

from __future__ import annotations

import copy
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from jinja2 import TemplateError
from PIL.Image import fromarray
from transformers import PreTrainedTokenizerFast

from rethinker.errors import DataError
from rethinker.models.pixels import Prepared
from rethinker.models.templates import Template, chat
from rethinker.models.text import TextProcessor
from rethinker.types import IMAGE_MARK, Dialogue, Image, Problem, Turn


@dataclass(frozen=True, eq=False, slots=True, kw_only=True)
class Encoded:
    """A rendered prompt and what the processor made of it.

    Attributes:
        inputs: Tensors with a batch axis of one.
        images: How many it shows.
    """

    text: str
    inputs: Any
    images: int


class Encoder:
    """Renders, expands images to placeholders, and tokenises.

    Args:
        model: The model's name, for messages.
    """

    def __init__(self, processor: Any, *, model: str) -> None:
        self.processor = processor
        self._tokenizer = processor.tokenizer
        self._model = model
        self._special = _special_tokens(self._tokenizer)

    @property
    def sees_images(self) -> bool:
        """Whether the processor takes images."""
        return not isinstance(self.processor, TextProcessor)

    def encode(self, problem: Problem | Dialogue, template: Template) -> Encoded:
        """One problem's prompt.

        Raises:
            DataError: the question holds one of the model's special tokens, there are images and no vision tower, or
                the processor refuses an image.
        """
        text = self.rendered(problem.id, _turns(problem), template)
        try:
            return Encoded(text=text, inputs=self.processed(text, problem.images), images=len(problem.images))
        except ValueError as error:
            raise refusal(problem.id, error) from error

    def rendered(self, problem_id: str, turns: Sequence[Turn], template: Template) -> str:
        """The prompt's text, a placeholder for each image.

        Raises:
            DataError: as `encode`.
        """
        parts = [part for turn in turns for part in turn.text.split(IMAGE_MARK)]
        if (images := len(parts) - len(turns)) and not self.sees_images:
            raise DataError(
                f"problem {problem_id} has {images} images and {self._model} reads text alone; choose a model "
                "with a vision tower in model.path, or data without images"
            )
        for token in self._special:
            if any(token in part for part in parts):
                raise DataError(
                    f"problem {problem_id}: the question holds the model's special token {token}; remove it"
                )
        try:
            text: str = self._tokenizer.apply_chat_template(
                chat(turns, template, in_parts=self.sees_images),
                chat_template=self.processor.chat_template,
                tokenize=False,
                add_generation_prompt=True,
            )
        except TemplateError as error:
            raise DataError(f"problem {problem_id}: the model's chat template refuses it: {error}") from error
        return text

    def processed(self, text: str, images: Sequence[Image]) -> Any:
        """What the processor makes of a rendered prompt.

        Pictures go in as pictures: of an array of 1 or 3 rows a processor would guess that they are its channels.
        """
        pictures = [fromarray(image.pixels) for image in images]
        return self.processor(
            text=[text],
            images=[pictures] if pictures else None,
            return_tensors="pt",
            add_special_tokens=self._adds_special(text),
        )

    def count(self, text: str) -> int:
        """Tokens of a text; nothing but their number is asked for, which the fast tokenizers tell faster."""
        adds_special = self._adds_special(text)
        if not isinstance(self._tokenizer, PreTrainedTokenizerFast):
            return len(self._tokenizer(text, add_special_tokens=adds_special)["input_ids"])
        return len(self._tokenizer.backend_tokenizer.encode_batch_fast([text], add_special_tokens=adds_special)[0].ids)

    def _adds_special(self, text: str) -> bool:
        """Whether the tokenizer puts its start token before a rendered prompt: not twice, where the template did."""
        start = self._tokenizer.bos_token
        return start is None or not text.startswith(start)


class Ahead:
    """Problems encoded before anybody asks for them, until somebody does.

    A tokenizer must not be used by two threads at once, so this has a copy of the processor, and one thread at a time.

    Args:
        encoder: Copied when it is first used.
        prepare: What else is to be made of an encoded problem; must bear another thread.
        limit: Nothing more is encoded while so many bytes are held; whoever asks then does it himself.
    """

    def __init__(self, encoder: Encoder, *, prepare: Callable[[Encoded], Prepared], limit: int) -> None:
        self._original = encoder
        self._prepare = prepare
        self._own: Encoder | None = None
        self._limit = limit
        self._held: dict[int, tuple[Problem | Dialogue, Template, Encoded, Prepared]] = {}
        self._bytes = 0
        self._encoding = threading.Lock()
        self._holding = threading.Lock()

    @property
    def bytes_held(self) -> int:
        """Of what nobody has taken yet."""
        return self._bytes

    def put(self, problem: Problem | Dialogue, template: Template) -> None:
        """Encode a problem; one that cannot be is left for `Encoder.encode` to refuse."""
        with self._encoding:
            if self._bytes >= self._limit:
                return
            if self._own is None:
                self._own = copy.deepcopy(self._original)
            try:
                encoded = self._own.encode(problem, template)
                prepared = self._prepare(encoded)
            except DataError:
                return
        with self._holding:
            self._held[id(problem)] = (problem, template, encoded, prepared)
            self._bytes += prepared.nbytes

    def take(self, problem: Problem | Dialogue, template: Template) -> tuple[Encoded, Prepared] | None:
        """What was made of this very problem, once."""
        with self._holding:
            held = self._held.pop(id(problem), None)
            if held is None:
                return None
            _, made_for, encoded, prepared = held
            self._bytes -= prepared.nbytes
        return (encoded, prepared) if made_for == template else None


def asked(question: str) -> tuple[Turn, ...]:
    """A question alone, as the one turn of a dialogue."""
    return (Turn(role="user", text=question),)


def _turns(problem: Problem | Dialogue) -> tuple[Turn, ...]:
    return problem.turns if isinstance(problem, Dialogue) else asked(problem.question)


def refusal(problem_id: str, error: ValueError) -> DataError:
    """What a processor's complaint becomes."""
    return DataError(f"problem {problem_id}: the model's processor refuses it: {error}")


def _special_tokens(tokenizer: Any) -> tuple[str, ...]:
    """What a question must not hold, the placeholders of images among it."""
    added = (token.content for token in tokenizer.added_tokens_decoder.values() if token.special)
    return tuple(dict.fromkeys(token for token in (*tokenizer.all_special_tokens, *added) if token))
