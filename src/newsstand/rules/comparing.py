"""Compares a copy with a listing of its service, and says what differs. Pure: decides nothing, and changes nothing."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass

from newsstand.model import HeldItem, NodeKey, StorableItem


@dataclass(frozen=True, slots=True)
class Verification:
    """What differs between a copy and its service, by item id, in the service's order.

    `missing` are at the service only, `extra` in the copy only, `differing` have other contents here than there;
    `misplaced` is the smallest set of items that would have to be moved for the order to be the service's. `count` is
    how many items the service listed. `repaired`: it was mended, and compared equal afterwards.
    """

    key: NodeKey
    count: int
    missing: tuple[str, ...] = ()
    extra: tuple[str, ...] = ()
    differing: tuple[str, ...] = ()
    misplaced: tuple[str, ...] = ()
    repaired: bool = False

    @property
    def equal(self) -> bool:
        """Whether nothing differed."""
        return not (self.missing or self.extra or self.differing or self.misplaced)


def compare(key: NodeKey, held: Sequence[HeldItem], listed: Sequence[StorableItem]) -> Verification:
    """The copy's items, in its order, beside all that the service listed, in its."""
    ours = {item.id: item for item in held}
    theirs = {item.id for item in listed}
    both = [item for item in listed if item.id in ours]
    return Verification(
        key,
        len(listed),
        missing=tuple(item.id for item in listed if item.id not in ours),
        extra=tuple(item.id for item in held if item.id not in theirs),
        differing=tuple(item.id for item in both if ours[item.id].content_digest != item.content_digest),
        misplaced=_misplaced([(item.id, ours[item.id].position) for item in both]),
    )


def _misplaced(placed: Sequence[tuple[str, int]]) -> tuple[str, ...]:
    """Those that are not part of a longest run of rising positions."""
    ends: list[int] = []
    """The lowest position that a run of each length ends with."""
    lengths = []
    for _, position in placed:
        length = bisect_left(ends, position)
        ends[length : length + 1] = [position]
        lengths.append(length)
    wanted, wrong = len(ends) - 1, []
    for (item_id, _), length in zip(reversed(placed), reversed(lengths), strict=True):
        if length == wanted:
            wanted -= 1
        else:
            wrong.append(item_id)
    return tuple(reversed(wrong))
