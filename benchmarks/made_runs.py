"""Run folders as training leaves them, made up: for measuring what reads one, and for trying what it might hold."""

from __future__ import annotations

import gzip
import json
import math
from hashlib import sha256
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
import yaml

DIFFERENT_STEPS = 50
"""After so many steps their responses come again, or making a long run would take minutes."""

TRIGGER = "\n\nWait, does it seem right?"
WORDS = [
    "look",
    "first",
    "row",
    "holds",
    "two",
    "red",
    "circles",
    "and",
    "one",
    "blue",
    "square",
    "so",
    "that",
    "makes",
    "three",
    "of",
    "them",
    "in",
    "all",
]


def make_run(
    folder: Path,
    *,
    steps: int,
    groups: int,
    size: int = 8,
    tokens: int = 120,
    problems: int = 400,
    side: int = 112,
    answer: str = "6",
    says: str = "",
) -> None:
    """Write a run's folder.

    Args:
        groups: Problems of a step; `size` responses to each, of about `tokens` tokens.
        problems: Different ones; they come round again.
        answer: Of every problem.
        says: Begins every response.
    """
    rng = np.random.default_rng(0)
    images = folder / "rollouts" / "images"
    images.mkdir(parents=True)
    names = [_image(images, rng, side) for _ in range(problems)]
    for step in range(1, steps + 1):
        if step > DIFFERENT_STEPS:
            same = folder / "rollouts" / f"{step - DIFFERENT_STEPS:06d}.jsonl.gz"
            (folder / "rollouts" / f"{step:06d}.jsonl.gz").write_bytes(same.read_bytes())
            continue
        rows = []
        for place in range(groups):
            number = ((step - 1) * groups + place) % problems
            ease = 0.2 + 0.6 * step / steps
            rows += _group(rng, number, names[number], size=size, tokens=tokens, ease=ease, answer=answer, says=says)
        with gzip.GzipFile(folder / "rollouts" / f"{step:06d}.jsonl.gz", "wb", mtime=0) as file:
            file.writelines(json.dumps(row, ensure_ascii=False).encode() + b"\n" for row in rows)
    lines = [json.dumps(_metrics(rng, step, steps)) for step in range(1, steps + 1)]
    (folder / "metrics.jsonl").write_text("".join(f"{line}\n" for line in lines))
    (folder / "summary.json").write_text(json.dumps(SUMMARY))
    (folder / "config.yaml").write_text(yaml.safe_dump({"seed": 0, "learner": {"lr": 1e-6}, "train": {"steps": steps}}))


SUMMARY = {
    "problems": 1000,
    "accuracy_before": 0.27,
    "accuracy_after": 0.74,
    "accuracy_before_interval": [0.24, 0.3],
    "accuracy_after_interval": [0.71, 0.77],
    "rethinking_before": 0.0,
    "rethinking_after": 0.8,
    "wrong_to_right": 0.4,
    "right_to_wrong": 0.05,
    "seconds": 1776.0,
    "peak_memory_bytes": 2_400_000_000,
}


def _image(folder: Path, rng: np.random.Generator, side: int) -> str:
    """A grid of coloured cells."""
    cells = rng.integers(0, 255, (4, 4, 3), dtype=np.uint8)
    buffer = BytesIO()
    PIL.Image.fromarray(cells.repeat(side // 4, 0).repeat(side // 4, 1)).save(buffer, format="PNG")
    name = sha256(buffer.getvalue()).hexdigest()
    (folder / f"{name}.png").write_bytes(buffer.getvalue())
    return name


def _group(
    rng: np.random.Generator, number: int, image: str, *, size: int, tokens: int, ease: float, answer: str, says: str
) -> list[dict[str, Any]]:
    right = rng.random(size) < ease
    looks = rng.random(size)
    mean = float(right.mean())
    return [
        _response(
            rng, sample, ok=bool(right[sample]), look=float(looks[sample]), tokens=tokens, answer=answer, says=says
        )
        | {
            "problem_id": f"gym/{('counting', 'bars', 'spatial')[number % 3]}-{1 + number % 2}/train/{number}",
            "question": f"<image>How many cells of problem {number} are red?",
            "answer": answer,
            "category": "counting",
            "source": f"gym/{('counting', 'bars', 'spatial')[number % 3]}-{1 + number % 2}",
            "advantage": float(right[sample]) - mean,
            "image_ids": [image],
        }
        for sample in range(size)
    ]


def _response(
    rng: np.random.Generator, sample: int, *, ok: bool, look: float, tokens: int, answer: str, says: str
) -> dict[str, Any]:
    words = [says] if says else []
    words += [f"{WORDS[place]} " for place in rng.integers(0, len(WORDS), int(tokens * (0.5 + rng.random())))]
    trigger = first = None
    if look < 0.1 and ok:
        trigger, first = TRIGGER, "5"
    elif look < 0.3:
        first = "5" if ok else answer
    if first is not None:
        words += [f"\\boxed{{{first}}}"]
        words += [TRIGGER if trigger else "\n\nWait, I look again. ", *words[:10]]
    words += [f"\\boxed{{{answer if ok else '5'}}}"]
    start = words.index(TRIGGER) if trigger else 0
    logprobs = np.where(rng.random(len(words)) < 0.8, -0.01, -1.5) * rng.random(len(words))
    return {
        "sample": sample,
        "prompt": "<|im_start|>user\n<|image_pad|>How many?<|im_end|>\n<|im_start|>assistant\n",
        "response": "".join(words),
        "token_ids": rng.integers(0, 32000, len(words)).tolist(),
        "token_lengths": [len(word) for word in words],
        "logprobs": [round(float(value), 7) for value in logprobs],
        "reward": float(ok),
        "outcome": "ok" if ok else "wrong",
        "extracted": answer if ok else "5",
        "detail": "",
        "first_answer": first,
        "first_outcome": "wrong" if trigger else None,
        "length_penalty": None,
        "forced_span": [start, start + 1] if trigger else None,
        "trigger": trigger,
        "finish_reason": "stop",
        "policy_version": 0,
    }


def _metrics(rng: np.random.Generator, step: int, steps: int) -> dict[str, float | int]:
    """A line of every name that the page draws."""
    done = step / steps
    mixed = 0.9 - 0.4 * done
    found: dict[str, float | int] = {
        "step": step,
        "reward/mean": 0.25 + 0.5 * done,
        "groups/mixed": mixed,
        "groups/all_correct": 0.3 * done,
        "groups/all_wrong": 1 - mixed - 0.3 * done,
        "replay/effective": mixed,
        "replay/size": 200 * done,
        "replay/drawn": 30 * done,
        "replay/age_mean": 2 * done,
        "policy/ratio_mean": 1 + 0.01 * rng.random(),
        "policy/clip_fraction": 0.05 * rng.random(),
        "policy/entropy": math.exp(-done),
        "policy/grad_norm": 0.5 + 0.3 * rng.random(),
        "policy/loss": 0.01 * rng.random(),
        "policy/imitation_loss": 1 - 0.5 * done,
        "policy/engine_gap_mean": 1e-6 * (1 + rng.random()),
        "policy/engine_gap_max": 1e-4 * (1 + rng.random()),
        "policy/skipped": 0,
        "tokens/response": 100 + 50 * done,
        "tokens/prompt": 60.0,
        "tokens/truncated": 0.02,
        "tokens/padding": 0.03,
        "reward/unparsed": 0.02 * rng.random(),
        "system/memory_bytes": 2.1e9,
        "rethink/forced": 0.4,
        "rethink/kept": 0.35,
        "rethink/spontaneous": 0.8 * done,
        "rethink/wrong_to_right": 0.3 * done,
        "rethink/right_to_wrong": 0.05 * done,
        "rethink/stayed_right": 0.25 * done,
        "rethink/stayed_wrong": 0.2 * done,
        "rethink/accuracy_with": 0.7,
        "rethink/accuracy_without": 0.5,
        "rethink/forced_wrong_to_right": 0.3,
        "rethink/forced_right_to_wrong": 0.1,
        "rethink/forced_stayed_right": 0.2,
        "rethink/forced_stayed_wrong": 0.4,
    }
    found |= {
        f"time/{part}": 0.2 + rng.random() for part in ("generate", "verify", "rethink", "update", "sync", "save")
    }
    for when in ("raw", "chosen"):
        shares = rng.dirichlet((1, 4, 4, 2, 1, 0.2))
        edges = ("0", "0.25", "0.5", "0.75", "1", "above")
        found |= {f"replay/magnitude_{when}/{edge}": float(share) for edge, share in zip(edges, shares)}
    if step % max(1, steps // 5) == 0:
        found |= {"eval/accuracy": 0.27 + 0.45 * done, "eval/problems": 200, "eval/rethinking": 0.8 * done}
    return found
