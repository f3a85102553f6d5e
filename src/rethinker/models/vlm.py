"""A VLM: its module, its processor, and the few things the loop asks of them.

Nothing here knows a model family by name: the processor expands placeholders and makes pixel tensors, and the model
itself says where its positions are. Keyword arguments of the vision tower pass through untouched; the little that
differs otherwise is in `families.py`, and a model that cannot share prompts (`sharing.py`) runs by separate forwards.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int, Int64
from torch import Tensor
from transformers import PreTrainedTokenizerBase

from rethinker.errors import DataError, ModelError
from rethinker.models import adapters
from rethinker.models.attention import Layout
from rethinker.models.costs import Costs
from rethinker.models.encoder import Ahead, Encoded, Encoder, asked, refusal
from rethinker.models.families import family
from rethinker.models.outlines import Placeholders
from rethinker.models.patches import embed_patches_by_products
from rethinker.models.pixels import PixelCache, Pixels, Prepared, join
from rethinker.models.places import Place, directly
from rethinker.models.sharing import try_out
from rethinker.models.templates import Template
from rethinker.models.text import TextProcessor
from rethinker.types import IMAGE_MARK, Dialogue, Image, Outline, Problem, Prompt

_TEXT_KEYS = frozenset({"input_ids", "attention_mask"})
_TYPE_KEYS = frozenset({"mm_token_type_ids", "token_type_ids"})

PIXEL_BYTES = 2_000_000_000
"""Of pixel tensors, where nothing else is said."""


class VLM:
    """One loaded model; shared by the learner and the in-process engine.

    Args:
        module: A Hugging Face model for generation, with or without a vision tower.
        processor: Its processor; a text-only model's tokenizer.
        pixel_bytes: Most bytes of tensors kept between the engine and the learner, so that each is made once per
            prompt; and as many again of problems encoded ahead.
        blank_image: Give a batch without images a blank one that nothing sees, so that every rank of a sharded vision
            tower takes part in every pass.
        sharing: `shares_prompts` and `plain_scores`, told; None tries them out.
        place: Where and how it computes, if its weights do not say.

    Attributes:
        shares_prompts: Whether the responses to a prompt share its forward; where not, each is a forward of its own.
        plain_scores: Whether scores are those of the output layer on the final hidden states, and nothing more.
        blank: The prompt with the blank image.
        inside: Calls a function where the whole model can be read, and returns what it returns.

    Raises:
        ModelError: a blank image is asked for and cannot be had.
    """

    def __init__(
        self,
        module: Any,
        processor: Any,
        *,
        pixel_bytes: int = PIXEL_BYTES,
        blank_image: bool = False,
        sharing: tuple[bool, bool] | None = None,
        place: Place | None = None,
    ) -> None:
        embed_patches_by_products(module)
        self.module = module
        self.inside = place.inside if place else directly
        self._place = place
        self.processor = TextProcessor(processor) if isinstance(processor, PreTrainedTokenizerBase) else processor
        self.tokenizer = self.processor.tokenizer
        self.eos_ids = _end_ids(module, self.tokenizer)
        self.pad_id = int(self.tokenizer.pad_token_id if self.tokenizer.pad_token_id is not None else self.eos_ids[0])
        self.forbidden_ids = _forbidden_ids(module, self.tokenizer, self.eos_ids)
        self._encoder = Encoder(self.processor, model=type(module).__name__)
        self._ahead = Ahead(self._encoder, prepare=self._prepare, limit=pixel_bytes)
        self._family = family(module.config.model_type)
        self._placeholders = self._placeholders_by_size()
        self._cache = PixelCache(pixel_bytes)
        with torch.no_grad():
            self.shares_prompts, self.plain_scores = sharing or self.inside(try_out, self)
        self.blank = self._blank_prompt() if blank_image else None

    @property
    def device(self) -> torch.device:
        """Where it computes: where its weights are, unless it was told."""
        return self._place.device if self._place else next(self.module.parameters()).device

    @property
    def dtype(self) -> torch.dtype:
        """What it computes in, likewise."""
        return self._place.dtype if self._place else self.module.dtype

    @property
    def vocabulary(self) -> int:
        """Size of the output layer."""
        return int(self.module.get_output_embeddings().weight.shape[0])

    @property
    def position_axes(self) -> int:
        """Axes of the position ids: 3 under multimodal RoPE, else 1."""
        return 3 if hasattr(self.module.base_model, "get_rope_index") else 1

    @property
    def text_layers(self) -> int:
        """Decoder layers, each of which keeps a cache."""
        return int(self.module.config.get_text_config().num_hidden_layers)

    @property
    def cache_token_bytes(self) -> int:
        """Bytes of one token's keys and values over all layers; 0 where responses do not share a cache."""
        if not self.shares_prompts:
            return 0
        text = self.module.config.get_text_config()
        width = text.to_dict().get("head_dim") or text.hidden_size // text.num_attention_heads
        return int(2 * self.text_layers * text.num_key_value_heads * width * self.dtype.itemsize)

    @property
    def sees_images(self) -> bool:
        """Whether the model has a vision tower."""
        return self._encoder.sees_images

    # ---- problems to prompts ----

    def encode(self, problem: Problem | Dialogue, template: Template, *, max_tokens: int = 1_000_000) -> Prompt:
        """Render a problem, expand its images to placeholders, and tokenise.

        Raises:
            DataError: the question holds one of the model's special tokens, there are images and no vision tower, the
                processor refuses an image, or the prompt is longer than `max_tokens`.
        """
        encoded, prepared = self._ahead.take(problem, template) or self._encode(problem, template)
        ids = encoded.inputs["input_ids"][0]
        if len(ids) > max_tokens:
            raise DataError(
                f"problem {problem.id}: its prompt has {len(ids)} tokens, more than prompt.max_tokens={max_tokens}; "
                "raise the limit or lower model.max_pixels"
            )
        token_ids = ids.numpy().astype(np.int64)
        prompt = Prompt(problem_id=problem.id, token_ids=token_ids, images=problem.images, text=encoded.text)
        self._cache.put(prompt, prepared)
        return prompt

    def _encode(self, problem: Problem | Dialogue, template: Template) -> tuple[Encoded, Prepared]:
        encoded = self._encoder.encode(problem, template)
        return encoded, self._prepare(encoded)

    def encode_ahead(self, problem: Problem | Dialogue, template: Template) -> None:
        """Do what `encode` will be asked for, on another thread; what it would refuse is left to it."""
        self._ahead.put(problem, template)

    def forget(self, problem: Problem | Dialogue, template: Template) -> None:
        """Nobody will ask to encode this problem."""
        self._ahead.take(problem, template)

    def prompt_length(self, outline: Outline, template: Template) -> int:
        """Tokens that `encode` would make of a problem, from its question and image sizes alone.

        Raises:
            DataError: as `encode`.
        """
        text = self._encoder.rendered(outline.id, asked(outline.question), template)
        if not outline.image_sizes:
            return self._encoder.count(text)
        try:
            if self._placeholders is not None:
                short, left_out = self._placeholders.expanded(text, outline.image_sizes)
                return self._encoder.count(short) + left_out
            blanks = [_blank(size) for size in outline.image_sizes]
            return len(self._encoder.processed(text, blanks)["input_ids"][0])
        except ValueError as error:
            raise refusal(outline.id, error) from error

    def _placeholders_by_size(self) -> Placeholders | None:
        """None where the family's are not known from sizes, or there are none."""
        if self._family.outlined is None or not self.sees_images:
            return None
        return Placeholders(self.processor, self.module.config.image_token_id, self._family.outlined)

    def _blank_prompt(self) -> Prompt:
        if not (self.sees_images and self.shares_prompts):
            raise ModelError(
                f"{type(self.module).__name__} cannot take a blank image: it has no vision tower, or it cannot share "
                "prompts; train it without sharding its vision tower"
            )
        blank = Problem(id="blank", images=(_blank((32, 32)),), question=IMAGE_MARK, answer="none", verifier="text")
        return self.encode(blank, "plain")

    # ---- prompts to tensors ----

    def vision(self, prompts: Sequence[Prompt]) -> Pixels:
        """Pixel tensors of the prompts' images, joined in order, on the model's device; empty for text alone."""
        joined = join([self.prepared(prompt).pixels for prompt in prompts if prompt.images])
        return {name: tensor.to(self.device) for name, tensor in joined.items()}

    def positions(self, prompt: Prompt) -> Int[Tensor, "axes prompt"]:
        """Position ids of a prompt: 3 axes under multimodal RoPE, else 1. A response goes on after their maximum."""
        return self.prepared(prompt).positions

    def blocks(self, prompt: Prompt) -> Int64[np.ndarray, " prompt"]:
        """Of each token the number of the image that it belongs to, −1 for none."""
        shown = prompt.token_ids == self.module.config.image_token_id
        starts = shown & ~np.concatenate([[False], shown[:-1]])
        return np.where(shown, np.cumsum(starts) - 1, -1)

    def image_blocks(self, prompts: Sequence[Prompt]) -> list[Int64[np.ndarray, " prompt"]] | None:
        """The prompts' blocks where an image's tokens see each other both ways, else None."""
        if not self._family.image_blocks or not any(prompt.images for prompt in prompts):
            return None
        return [self.blocks(prompt) for prompt in prompts]

    def cost(self, prompt: Prompt, responses: Sequence[int]) -> float:
        """What a prompt and responses of these lengths cost together, in passes of one token (`costs.Costs`)."""
        return self._costs.of(len(prompt.token_ids), responses, pixel_values=self._pixel_values(prompt))

    def operations(self, prompt: Prompt, responses: Sequence[int]) -> float:
        """Floating-point operations that an update needs for them, forward and backward."""
        return self._costs.operations(len(prompt.token_ids), responses, pixel_values=self._pixel_values(prompt))

    def _pixel_values(self, prompt: Prompt) -> int:
        return max((pixels.numel() for pixels in self.prepared(prompt).pixels.values()), default=0)

    @cached_property
    def _costs(self) -> Costs:
        return Costs(self.module, sees_images=self.sees_images)

    def prepared(self, prompt: Prompt) -> Prepared:
        """What the processor made of a prompt: from the cache, or made again (a resumed or long-stored prompt)."""
        held = self._cache.get(prompt)
        if held is None:
            inputs = self._encoder.processed(prompt.text, prompt.images)
            held = self._prepare(Encoded(text=prompt.text, inputs=inputs, images=len(prompt.images)))
            self._cache.put(prompt, held)
        return held

    def adopt(self, prompt: Prompt, prepared: Prepared) -> None:
        """Take what another process prepared of a prompt, as if it had been encoded here."""
        self._cache.put(prompt, prepared)

    def _prepare(self, encoded: Encoded) -> Prepared:
        inputs = encoded.inputs
        types = {name: inputs[name] for name in inputs if name in _TYPE_KEYS}
        others = {name: inputs[name] for name in inputs if name not in _TEXT_KEYS | _TYPE_KEYS}
        pixels = others if encoded.images else {}
        return Prepared(pixels=pixels, token_types=types, positions=self._positions(inputs, pixels))

    def _positions(self, inputs: Any, pixels: Pixels) -> Tensor:
        length = inputs["input_ids"].shape[1]
        if self.position_axes == 1 or not pixels:
            return torch.arange(length).expand(self.position_axes, length)
        grids = {name: value for name, value in pixels.items() if name.endswith("grid_thw")}
        positions, _ = self.module.base_model.get_rope_index(
            inputs["input_ids"], mm_token_type_ids=inputs["mm_token_type_ids"], **grids
        )
        return positions[:, 0]

    # ---- forward ----

    def hidden(
        self,
        input_ids: Int[Tensor, "batch length"],
        *,
        positions: Int[Tensor, "axes batch length"],
        layout: Layout,
        vision: Pixels,
        cache: Any = None,
    ) -> Float[Tensor, "batch length width"]:
        """Final hidden states; the layout says who sees whom."""
        output = self.module.base_model(
            input_ids=input_ids,
            attention_mask=torch.zeros(1, 1, 1, 1),  # never read: a mask of four axes keeps the model from making one
            layout=layout,
            position_ids=positions if len(positions) > 1 else positions[0],
            past_key_values=cache,
            use_cache=cache is not None,
            **vision,
        )
        hidden: Tensor = output.last_hidden_state
        return hidden

    def logits(self, hidden: Float[Tensor, "*rows width"]) -> Float[Tensor, "*rows vocabulary"]:
        """Output scores in float32, or wider where the model is."""
        scores: Tensor = self.module.get_output_embeddings()(hidden)
        return _at_least_float32(scores)

    def separate_scores(
        self, prompt: Prompt, responses: Int[Tensor, "rows tokens"], *, last: int
    ) -> Float[Tensor, "rows last vocabulary"]:
        """Output scores by the model's own forward, one row per response, of so many positions at the end."""
        output = self.module(**self._separate(prompt, responses), logits_to_keep=last)
        scores: Tensor = output.logits[:, -last:]
        return _at_least_float32(scores)

    def separate_hidden(
        self, prompt: Prompt, responses: Int[Tensor, "rows tokens"]
    ) -> Float[Tensor, "rows length width"]:
        """Final hidden states likewise, of every position; `plain_scores` says whether they tell the scores."""
        hidden: Tensor = self.module.base_model(**self._separate(prompt, responses)).last_hidden_state
        return hidden

    def _separate(self, prompt: Prompt, responses: Int[Tensor, "rows tokens"]) -> dict[str, Any]:
        """What the model's own forward reads of one prompt and some responses."""
        rows = len(responses)
        ids = torch.cat([torch.from_numpy(prompt.token_ids).to(self.device).expand(rows, -1), responses], dim=1)
        types = {
            name: torch.cat([marks.to(self.device).expand(rows, -1), torch.zeros_like(responses)], dim=1)
            for name, marks in self.prepared(prompt).token_types.items()
        }
        return {
            "input_ids": ids,
            "attention_mask": torch.ones_like(ids),
            "use_cache": False,
            **types,
            **self.vision([prompt] * rows),
        }

    # ---- text ----

    def decode(self, token_ids: Sequence[int] | np.ndarray) -> str:
        """Text of response ids, without special tokens."""
        text: str = self.tokenizer.decode(
            [int(i) for i in token_ids], skip_special_tokens=True, clean_up_tokenization_spaces=False
        )
        return text

    def token_text(self, token_id: int) -> str:
        """Text of one token; empty for a special one, with U+FFFD where it holds a part of a character."""
        return self.decode([token_id])

    def tokenize(self, text: str) -> np.ndarray:
        """Ids of plain text (a trigger), without special tokens."""
        return np.array(self.tokenizer.encode(text, add_special_tokens=False), dtype=np.int64)

    def save(self, folder: Path) -> None:
        """Write a Hugging Face folder: the model or its adapter alone as safetensors, the tokenizer and processor."""
        adapters.save(self.module, folder)
        self.processor.save_pretrained(folder)


def _at_least_float32(scores: Tensor) -> Tensor:
    """In half precision the normaliser of a large vocabulary would be lost."""
    return scores.to(torch.promote_types(scores.dtype, torch.float32))


def _blank(size: tuple[int, int]) -> Image:
    return Image(pixels=np.zeros((*size, 3), dtype=np.uint8))


def _end_ids(module: Any, tokenizer: Any) -> tuple[int, ...]:
    """Ids that end a response: the generation configuration's and the tokenizer's."""
    ends = module.generation_config.eos_token_id if module.generation_config is not None else None
    listed = ends if isinstance(ends, list) else [] if ends is None else [ends]
    if tokenizer.eos_token_id is not None:
        listed = [tokenizer.eos_token_id, *listed]
    return tuple(dict.fromkeys(int(i) for i in listed))


def _forbidden_ids(module: Any, tokenizer: Any, eos_ids: tuple[int, ...]) -> tuple[int, ...]:
    """Ids that are never sampled: special tokens but the end, and rows of the output layer that are no token.

    A policy that emits an image placeholder makes the learner's image features and tokens disagree, and the run dies.
    """
    special = {int(i) for i in tokenizer.all_special_ids}
    special |= {int(i) for i, token in tokenizer.added_tokens_decoder.items() if token.special}
    named = module.config.to_dict().items()
    special |= {i for name, i in named if name.endswith(("_token_id", "_token_index")) and isinstance(i, int)}
    rows = int(module.get_output_embeddings().weight.shape[0])
    padding = range(len(tokenizer), rows)
    return tuple(sorted(i for i in (special | set(padding)) - set(eos_ids) if 0 <= i < rows))
