"""When a service was last seen to say what a copy says."""

from __future__ import annotations

from collections.abc import Iterable

COVERED = 1_000
"""How many items of a node it is remembered of when an answer last showed them."""


class Checked:
    """When the service was last seen to say what one copy says."""

    __slots__ = ("answered_at", "covered")

    def __init__(self) -> None:
        self.answered_at = 0.0
        """By the loop's clock, when the service last answered about the node: then the account could read it."""
        self.covered: dict[str, int] = {}
        """By item id, when an answer last showed that item, in microseconds since the epoch; oldest first."""

    def answered(self, at: float) -> None:
        """The service answered about the node at this moment, by the loop's clock."""
        self.answered_at = at

    def cover(self, item_ids: Iterable[str], now: int) -> None:
        """An answer showed these items as they are stored."""
        for item_id in item_ids:
            self.covered.pop(item_id, None)
            self.covered[item_id] = now
        while len(self.covered) > COVERED:
            del self.covered[next(iter(self.covered))]

    def forget_covered(self) -> None:
        """Forget when items were last shown: they may have changed."""
        self.covered.clear()
