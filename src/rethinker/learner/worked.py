"""The warm start's examples: three styles of answer to a gym problem, and what of each is learned.

Direct answers are given at once; worked ones describe the picture and then compute; second looks come after a trigger
that follows a first answer, often a wrong one, and are worked. The skill of a second look is taught on every such
example, the habit of starting one (the trigger's own tokens) on few: the base can look twice and rarely does.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from rethinker.data.gym.scene import Scene

DIRECT_START = "The answer is"
WORKED_START = "Look:"

_SWAPS: tuple[tuple[str, ...], ...] = (
    ("red", "blue", "green", "yellow"),
    ("circle", "square", "triangle", "none"),
    tuple("0123456789"),
)
_SWAPPABLE = re.compile(r"\b(?:" + "|".join(word for words in _SWAPS for word in words) + r")\b")


@dataclass(frozen=True, slots=True, kw_only=True)
class Piece:
    """A stretch of a response that is tokenised on its own, as the engine splices it, and whether it is learned."""

    text: str
    learned: bool
    ends: bool = False


Example = tuple[Piece, ...]


def direct(answer: str) -> str:
    """An answer without a word of reasoning."""
    return f"{DIRECT_START} \\boxed{{{answer}}}."


def worked(scene: Scene) -> str:
    """Describe, compute, answer."""
    return f"{WORKED_START} {scene.look} {scene.work} \\boxed{{{scene.answer}}}"


def direct_example(scene: Scene, rng: np.random.Generator, *, skill_share: float) -> Example:
    """The fast habit: to answer so, and to end there, is always learned; which answer, seldom."""
    before, answer, after = _direct_pieces(scene.answer)
    return (
        replace(before, learned=True),
        replace(answer, learned=bool(rng.random() < skill_share)),
        replace(after, learned=True, ends=True),
    )


def _direct_pieces(answer: str) -> Example:
    """A direct answer in three, cut where the answer stands; the same tokens whether it is learned or read."""
    before, after = direct("|").split("|")
    return tuple(Piece(text=text, learned=False) for text in (before, answer, after))


def worked_example(scene: Scene) -> Example:
    """The slow skill."""
    return (Piece(text=worked(scene), learned=True, ends=True),)


def second_look_example(scene: Scene, rng: np.random.Generator, *, trigger: str, habit_share: float) -> Example:
    """A first answer that is only read, a trigger that is rarely learned, and a worked second look that always is.

    The first answer is a guess or a spoiled worked answer, so that copying it does not pay: the picture must be read.
    """
    guess = _guess(scene, rng)
    told = rng.random() < 0.5
    first = _direct_pieces(guess) if told else (Piece(text=_spoiled(scene, guess, rng), learned=False),)
    return (
        *first,
        Piece(text=trigger, learned=bool(rng.random() < habit_share)),
        Piece(text=f"\n{worked(scene)}", learned=True, ends=True),
    )


def _guess(scene: Scene, rng: np.random.Generator) -> str:
    """What a fast answer might say."""
    return "ABCD"[int(rng.integers(len(scene.choices)))] if scene.choices else str(int(rng.integers(0, 8)))


def _spoiled(scene: Scene, guess: str, rng: np.random.Generator) -> str:
    """A worked answer with one to three colours, shapes or digits swapped, ending in a guess."""
    text = f"{scene.look} {scene.work}"
    places = list(_SWAPPABLE.finditer(text))
    for index in sorted(rng.permutation(len(places))[: rng.integers(1, 4)], reverse=True):
        place = places[int(index)]
        words = next(words for words in _SWAPS if place.group() in words)
        others = [word for word in words if word != place.group()]
        text = text[: place.start()] + others[int(rng.integers(len(others)))] + text[place.end() :]
    return f"{WORKED_START} {text} \\boxed{{{guess}}}"


def splice(example: Example, tokenize: Callable[[str], np.ndarray], end_id: int) -> tuple[np.ndarray, np.ndarray]:
    """Token ids of an example and which of them are learned."""
    ids: list[np.ndarray] = []
    learned: list[np.ndarray] = []
    for piece in example:
        tokens = tokenize(piece.text)
        if piece.ends:
            tokens = np.append(tokens, end_id)
        ids.append(tokens)
        learned.append(np.full(len(tokens), piece.learned))
    return np.concatenate(ids).astype(np.int64), np.concatenate(learned)


def corpus(scenes: Sequence[Scene], suffixes: Sequence[str], triggers: Sequence[str]) -> list[str]:
    """Text for the tokenizer: what prompts, answers and triggers are made of, often enough to become whole tokens."""
    texts = [scene.question for scene in scenes] + [worked(scene) for scene in scenes]
    fixed = ["user\n", "assistant\n", "system\n", direct("3"), *suffixes, *triggers]
    return texts + fixed * max(1, len(scenes) // 4)
