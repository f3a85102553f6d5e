"""What decides an answer, as a result names it: two results compare where this is the same."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from rethinker.evaluation.answering import Answering
from rethinker.evaluation.benchmarks.catalogue import Protocol

SCHEMA = 1

PACKAGES = ("rethinker", "torch", "transformers", "vllm")


def described(
    answering: Answering,
    *,
    model: Mapping[str, Any],
    protocol: Protocol,
    style: str,
    marker: str,
    engine: str,
    limit: int | None,
) -> dict[str, Any]:
    """The settings of an evaluation, and what was used to make it.

    Args:
        model: Its path, what stands for its weights, and how it is read.
        limit: Questions of each benchmark, None for all.
    """
    sampling = answering.sampling
    return {
        "schema": SCHEMA,
        "model": dict(model),
        "protocol": protocol,
        "style": style,
        "sampling": {
            "temperature": sampling.temperature,
            "top_p": sampling.top_p,
            "max_new_tokens": sampling.max_tokens,
            "max_prompt_tokens": answering.max_prompt_tokens,
            "samples": answering.samples,
        },
        "rethink": answering.rethink,
        "marker": marker,
        "engine": engine,
        "seed": answering.seed,
        "limit": limit,
        "versions": {name: _installed(name) for name in PACKAGES},
    }


def _installed(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None
