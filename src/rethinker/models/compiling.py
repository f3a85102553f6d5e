"""torch.compile for the layers of the language model: what lies between the matrix products becomes few kernels.

A layer at a time, so that the layers of a model share what was compiled; for lengths that vary, so that it is compiled
once. Attention by layout stays outside: a layout holds its own tensors, and on CUDA its own compiled kernel. Decoding
is never compiled: its shapes change with every row that ends.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any, TypeVar

import torch

F = TypeVar("F", bound=Callable[..., Any])


def uncompiled() -> AbstractContextManager[None]:
    """Inside, compiled layers run as they were written."""
    stance: AbstractContextManager[None] = torch.compiler.set_stance("force_eager")
    return stance


def outside(function: F) -> F:
    """A function that no layer is compiled with; what it calls may be."""
    left_out: F = torch.compiler.disable(function, recursive=False)
    return left_out


def wholly_outside(function: F) -> F:
    """Likewise, with all that it calls."""
    left_out: F = torch.compiler.disable(function)
    return left_out


def compile_layers(module: Any) -> None:
    """Compile every layer of the language model when it first runs, in place; names of weights stay as they are."""
    for layer in module.get_decoder().layers:
        layer.compile(dynamic=True)
