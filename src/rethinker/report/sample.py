"""Which groups a page holds: those with a kept second look or a changed answer first, then others, evenly over steps.

Whole groups, since a response means little without its siblings.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from rethinker.report.digest import GroupDigest

TELLING_SHARE = 0.7
"""Most of the bytes for groups that look twice, while there are others to show."""

_ROW_BYTES, _TOKEN_BYTES = 220, 5


def chosen(groups: Sequence[GroupDigest], budget: int, *, image_bytes: Callable[[str], int]) -> list[GroupDigest]:
    """Groups of about `budget` bytes in all, in the order of their steps.

    Args:
        image_bytes: What an image takes on the page; each counts once.
    """
    telling = evenly([group for group in groups if group.kept or group.flips])
    others = evenly([group for group in groups if not (group.kept or group.flips)])
    purse = _Purse(image_bytes)
    kept = purse.take(telling, budget if not others else int(TELLING_SHARE * budget))
    kept |= purse.take(others, budget)
    kept |= purse.take(telling, budget)
    return [group for place, group in enumerate(groups) if id(group) in kept]


def evenly(groups: Iterable[GroupDigest]) -> list[GroupDigest]:
    """An order of which every beginning is spread over the steps."""
    places: dict[int, int] = {}
    ranked = []
    for group in groups:
        rank = places[group.step] = places.get(group.step, -1) + 1
        ranked.append((rank, group))
    order = {step: _reversed_bits(place) for place, step in enumerate(places)}
    return [group for rank, group in sorted(ranked, key=lambda each: (each[0], order[each[1].step]))]


def page_bytes(group: GroupDigest) -> int:
    """About what a group takes on a page, its images aside."""
    return group.size * _ROW_BYTES + group.characters + group.tokens * _TOKEN_BYTES


class _Purse:
    """Bytes that are spent group by group."""

    def __init__(self, image_bytes: Callable[[str], int]) -> None:
        self._image_bytes = image_bytes
        self._spent = 0
        self._images: set[str] = set()
        self._taken: set[int] = set()

    def take(self, groups: Iterable[GroupDigest], limit: int) -> set[int]:
        """Identities of those that fit below the limit; the first that does not ends it."""
        taken = set()
        for group in groups:
            if id(group) in self._taken:
                continue
            images = set(group.image_ids) - self._images
            cost = page_bytes(group) + sum(self._image_bytes(image) for image in images)
            if self._spent + cost > limit:
                break
            self._spent += cost
            self._images |= images
            taken.add(id(group))
        self._taken |= taken
        return taken


def _reversed_bits(place: int) -> float:
    """0, 1/2, 1/4, 3/4, 1/8, …: the van der Corput sequence, which fills an interval evenly at any length."""
    value, scale = 0.0, 0.5
    while place:
        value += scale * (place & 1)
        place >>= 1
        scale /= 2
    return value
