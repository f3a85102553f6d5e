"""Work counted as it passes a model: the guard against an update or an engine that does too much of it."""

from __future__ import annotations

from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

from torch import Tensor

from rethinker.models.vlm import VLM


@dataclass(eq=False, slots=True, kw_only=True)
class Counts:
    """What passed.

    Attributes:
        forwards: Passes of the language model.
        tokens: Tokens through it, padding included.
        towers: Passes of the vision tower.
        images: Images through it.
        score_bytes: Of all scores over the vocabulary.
        most_score_bytes: Of those made at once.
    """

    forwards: int = 0
    tokens: int = 0
    towers: int = 0
    images: int = 0
    score_bytes: int = 0
    most_score_bytes: int = 0


class Counted:
    """While entered, counts what passes a Qwen model."""

    def __init__(self, vlm: VLM) -> None:
        self._module = vlm.module
        self.counts = Counts()

    def __enter__(self) -> Self:
        decoder, tower = self._module.get_decoder(), self._module.get_encoder(modality="image")
        head = self._module.get_output_embeddings()
        self._hooks = [
            decoder.register_forward_pre_hook(self._decoded, with_kwargs=True),
            tower.register_forward_pre_hook(self._seen, with_kwargs=True),
            head.register_forward_hook(self._scored),
        ]
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for hook in self._hooks:
            hook.remove()

    def _decoded(self, _: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        embedded = kwargs.get("inputs_embeds")
        given = embedded if embedded is not None else [*args, kwargs.get("input_ids")][0]
        self.counts.forwards += 1
        self.counts.tokens += given.shape[0] * given.shape[1]

    def _seen(self, _: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        grids = kwargs.get("grid_thw")
        self.counts.towers += 1
        self.counts.images += len(grids if grids is not None else args[1])

    def _scored(self, _: Any, __: Any, scores: Tensor) -> None:
        self.counts.score_bytes += scores.nbytes
        self.counts.most_score_bytes = max(self.counts.most_score_bytes, scores.nbytes)
