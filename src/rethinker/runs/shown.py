"""What a tracker is shown of a step: a few of its responses, with their images, as plain values."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import PIL.Image

from rethinker.types import Experience, Image, Rethought

_LARGEST_SIDE = 256
"""Pixels; a service is sent a picture to recognise a problem by, not to solve it from."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ShownResponse:
    """One response, as a person reads it.

    Attributes:
        trigger: What was put in to make it look again; empty where nothing was.
        image: A PNG of the problem's first image, None where it has none.
    """

    problem_id: str
    prompt: str
    response: str
    trigger: str
    extracted: str
    outcome: str
    reward: float
    advantage: float
    image: bytes | None

    def to_json(self) -> dict[str, Any]:
        """Plain values; the image in base64."""
        return asdict(self) | {"image": base64.b64encode(self.image).decode() if self.image else None}


COLUMNS = ("problem_id", "prompt", "response", "trigger", "extracted", "outcome", "reward", "advantage")
"""What there is to a response besides its image."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Showing:
    """Which responses of a run a tracker shows.

    Attributes:
        every: Steps between those whose responses are shown; 0 shows none.
        count: Responses shown of such a step.
    """

    every: int = 0
    count: int = 0

    def of(self, step: int, experiences: Sequence[Experience]) -> list[ShownResponse]:
        """Of a step that is one of those: what was made to look twice first, then one of each problem, in order."""
        if not self.every or step % self.every:
            return []
        first = {each.rollout.prompt.problem_id: each for each in reversed(experiences)}
        looked = [each for each in experiences if isinstance(each.rollout, Rethought)]
        others = [each for each in experiences if first[each.rollout.prompt.problem_id] is each and each not in looked]
        return [_shown(each) for each in (looked + others)[: self.count]]


NOTHING_SHOWN = Showing()


def _shown(experience: Experience) -> ShownResponse:
    rollout = experience.rollout
    images = rollout.prompt.images
    return ShownResponse(
        problem_id=rollout.prompt.problem_id,
        prompt=rollout.prompt.text,
        response=rollout.text,
        trigger=rollout.trigger if isinstance(rollout, Rethought) else "",
        extracted=rollout.verdict.extracted or "",
        outcome=rollout.verdict.outcome.value,
        reward=float(rollout.verdict.reward),
        advantage=float(experience.advantage),
        image=_png(images[0]) if images else None,
    )


def _png(image: Image) -> bytes:
    small = PIL.Image.fromarray(image.pixels)
    small.thumbnail((_LARGEST_SIDE, _LARGEST_SIDE))
    buffer = io.BytesIO()
    small.save(buffer, format="PNG")
    return buffer.getvalue()
