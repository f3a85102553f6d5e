"""A VLM: its module, its processor, and the few things the loop asks of them.

Nothing here knows a model family by name: the processor expands placeholders and makes pixel tensors, and the model
itself says where its positions are. What differs between families is which keyword arguments travel along, and those
pass through untouched.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from rethinker.errors import DataError
from rethinker.models.attention import Layout, use_layouts
from rethinker.models.templates import Template, messages
from rethinker.types import Problem, Prompt

_TEXT_KEYS = frozenset({"input_ids", "attention_mask", "mm_token_type_ids", "token_type_ids"})


class VLM:
    """One loaded model; shared by the learner and the in-process engine.

    Args:
        module: A Hugging Face vision-language model for generation.
        processor: Its processor.
        pixel_cache_bytes: Pixel tensors kept between the engine and the learner, so that each is made once per prompt.
    """

    def __init__(self, module: Any, processor: Any, *, pixel_cache_bytes: int = 256_000_000) -> None:
        use_layouts(module)
        self.module = module
        self.processor = processor
        self.tokenizer = processor.tokenizer
        self.eos_ids = _end_ids(module, self.tokenizer)
        self.pad_id = int(self.tokenizer.pad_token_id if self.tokenizer.pad_token_id is not None else self.eos_ids[0])
        self.forbidden_ids = _forbidden_ids(module, self.tokenizer, self.eos_ids)
        self._special = tuple(token for token in self.tokenizer.all_special_tokens if token)
        self._cache: OrderedDict[int, tuple[Prompt, dict[str, Tensor], Tensor]] = OrderedDict()
        self._cache_bytes = 0
        self._cache_limit = pixel_cache_bytes

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return next(self.module.parameters()).device

    @property
    def vocabulary(self) -> int:
        """Size of the output layer."""
        return int(self.module.get_output_embeddings().weight.shape[0])

    @property
    def position_axes(self) -> int:
        """Axes of the position ids: 3 under multimodal RoPE, else 1."""
        return 3 if hasattr(self.module.model, "get_rope_index") else 1

    @property
    def text_layers(self) -> int:
        """Decoder layers, each of which keeps a cache."""
        return int(self.module.config.get_text_config().num_hidden_layers)

    # ---- problems to prompts ----

    def encode(self, problem: Problem, template: Template, *, max_tokens: int = 1_000_000) -> Prompt:
        """Render a problem, expand its images to placeholders, and tokenise.

        Raises:
            DataError: the question holds one of the model's special tokens, or the prompt is longer than `max_tokens`.
        """
        for token in self._special:
            if token in problem.question:
                raise DataError(
                    f"problem {problem.id}: the question holds the model's special token {token}; remove it"
                )
        text = self.processor.apply_chat_template(
            messages(problem, template), tokenize=False, add_generation_prompt=True
        )
        images = [image.pixels for image in problem.images]
        inputs = self.processor(text=[text], images=images or None, return_tensors="pt")
        ids = inputs["input_ids"][0]
        if len(ids) > max_tokens:
            raise DataError(
                f"problem {problem.id}: its prompt has {len(ids)} tokens, more than prompt.max_tokens={max_tokens}; "
                "raise the limit or lower model.max_pixels"
            )
        prompt = Prompt(problem_id=problem.id, token_ids=ids.numpy().astype(np.int64), images=problem.images, text=text)
        self._remember(prompt, inputs)
        return prompt

    def vision(self, prompts: Sequence[Prompt]) -> dict[str, Tensor]:
        """Pixel tensors of the prompts' images, concatenated in order, on the model's device; empty for text alone."""
        parts = [self._prepared(prompt)[0] for prompt in prompts if prompt.images]
        if not parts:
            return {}
        return {name: torch.cat([part[name] for part in parts]).to(self.device) for name in parts[0]}

    def positions(self, prompt: Prompt) -> Int[Tensor, "axes prompt"]:
        """Position ids of a prompt: 3 axes under multimodal RoPE, else 1. A response goes on after their maximum."""
        return self._prepared(prompt)[1]

    def _prepared(self, prompt: Prompt) -> tuple[dict[str, Tensor], Tensor]:
        """Pixels and positions from the cache, or made again (a resumed or long-stored prompt)."""
        held = self._cache.get(id(prompt))
        if held is not None and held[0] is prompt:
            self._cache.move_to_end(id(prompt))
            return held[1], held[2]
        images = [image.pixels for image in prompt.images]
        inputs = self.processor(text=[prompt.text], images=images or None, return_tensors="pt")
        return self._remember(prompt, inputs)

    def _remember(self, prompt: Prompt, inputs: Any) -> tuple[dict[str, Tensor], Tensor]:
        pixels = {name: value for name, value in inputs.items() if name not in _TEXT_KEYS} if prompt.images else {}
        positions = self._positions(inputs, pixels)
        self._cache[id(prompt)] = (prompt, pixels, positions)
        self._cache_bytes += _nbytes(pixels)
        while self._cache_bytes > self._cache_limit and len(self._cache) > 1:
            _, (_, dropped, _) = self._cache.popitem(last=False)
            self._cache_bytes -= _nbytes(dropped)
        return pixels, positions

    def _positions(self, inputs: Any, pixels: dict[str, Tensor]) -> Tensor:
        length = inputs["input_ids"].shape[1]
        if self.position_axes == 1 or not pixels:
            return torch.arange(length).expand(self.position_axes, length)
        positions, _ = self.module.model.get_rope_index(
            inputs["input_ids"], mm_token_type_ids=inputs["mm_token_type_ids"], **_grids(pixels)
        )
        return positions[:, 0]

    # ---- forward ----

    def hidden(
        self,
        input_ids: Int[Tensor, "batch length"],
        *,
        positions: Int[Tensor, "axes batch length"],
        mask: Float[Tensor, "batch 1 length keys"] | None = None,
        layout: Layout | None = None,
        vision: dict[str, Tensor],
        cache: Any = None,
    ) -> Float[Tensor, "batch length width"]:
        """Final hidden states; who sees whom is said by a layout, or by a float mask added to the attention scores."""
        if layout is not None:
            mask = torch.zeros(1, 1, 1, 1)  # never read: a mask of four axes keeps the model from making one
        output = self.module.model(
            input_ids=input_ids,
            attention_mask=mask,
            layout=layout,
            position_ids=positions if len(positions) > 1 else positions[0],
            past_key_values=cache,
            use_cache=cache is not None,
            **vision,
        )
        hidden: Tensor = output.last_hidden_state
        return hidden

    def logits(self, hidden: Float[Tensor, "*rows width"]) -> Float[Tensor, "*rows vocabulary"]:
        """Output scores in float32."""
        scores: Tensor = self.module.get_output_embeddings()(hidden)
        return scores.float()

    # ---- text ----

    def decode(self, token_ids: Sequence[int] | np.ndarray) -> str:
        """Text of response ids, without special tokens."""
        text: str = self.tokenizer.decode(
            [int(i) for i in token_ids], skip_special_tokens=True, clean_up_tokenization_spaces=False
        )
        return text

    def tokenize(self, text: str) -> np.ndarray:
        """Ids of plain text (a trigger), without special tokens."""
        return np.array(self.tokenizer.encode(text, add_special_tokens=False), dtype=np.int64)

    def save(self, folder: Path) -> None:
        """Write a Hugging Face folder (safetensors, tokenizer, processor)."""
        self.module.save_pretrained(folder)
        self.processor.save_pretrained(folder)


def _grids(pixels: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name: value for name, value in pixels.items() if name.endswith("grid_thw")}


def _nbytes(pixels: dict[str, Tensor]) -> int:
    return sum(value.numel() * value.element_size() for value in pixels.values())


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
    padding = range(len(tokenizer), int(module.get_output_embeddings().weight.shape[0]))
    return tuple(sorted((special | set(padding)) - set(eos_ids)))
