"""What really passes a model: tokens through the language model while it is trained, patches through the tower."""

from __future__ import annotations

from types import TracebackType
from typing import Any, Self

import torch


class Passed:
    """While entered, counts what passes a module with gradients on; what a backward pass computes again counts once.

    Attributes:
        trained_tokens: Places of the language model's input, padding included.
        forwards: Passes of the language model.
    """

    def __init__(self, module: Any) -> None:
        self._decoder = module.get_decoder()
        self.trained_tokens = self.forwards = 0

    def __enter__(self) -> Self:
        self._hook = self._decoder.register_forward_pre_hook(self._count, with_kwargs=True)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._hook.remove()

    def _count(self, _: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        if torch.is_grad_enabled():
            embeds = kwargs.get("inputs_embeds")
            given = embeds if embeds is not None else [*args, kwargs.get("input_ids")][0]
            self.trained_tokens += given.shape[0] * given.shape[1]
            self.forwards += 1
