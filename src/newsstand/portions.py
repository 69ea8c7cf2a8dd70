"""How much a service is asked for at a time, so that its answers arrive: what is too large for a server on the way is
dropped there, and whoever asked never hears of it (docs/decisions/005-listings-and-doubts.md)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from newsstand.model import SeenItem

LARGE = 250_000
"""Bytes of items that surely arrive: half of what Prosody takes of another server, or of a component."""
FEWER = 20
"""By how much fewer items are asked for when an answer did not arrive: each try takes as long as a request may."""
ID_BATCH = 20
"""Ids in a request, at most."""


class Portion:
    """How many items of a node to ask for next: `most`, until something is lost. All listings of the node share it."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._fitting = most
        """How many arrive, by the size of what came last."""
        self._cap = most
        """How many may arrive, by what was lost in this listing."""
        self._losses = 0
        self._answered = False
        """Since then something came."""
        self._came = 0

    @property
    def size(self) -> int:
        return min(self._fitting, self._cap)

    def begin(self) -> None:
        """A listing begins. What was lost in one before may have been so for other reasons than its size; where less
        was asked for then and nobody could answer, that is asked for still."""
        if self._answered:
            self._forget()

    def _forget(self) -> None:
        self._cap, self._losses, self._answered = self._most, 0, False

    def arrived(self, asked: int, items: Sequence[SeenItem]) -> None:
        """So many were asked for, and these came."""
        self._came = max(self._came, asked)
        if not (self._losses or self._fitting < self._most) or not items:
            return  # nothing was ever lost: there is no reason to ask for less
        fitting = LARGE * len(items) // max(1, _size(items))
        self._fitting = max(1, min(fitting, self._most))
        self._answered = True
        if self._losses == 1:
            self._cap = self._most  # it was too large by the sizes of these; or it was not, and is tried once more

    def lost(self, asked: int) -> bool:
        """So many were asked for, and did not come: whether to ask for fewer."""
        if asked > self.size:
            return True  # another listing has learnt that meanwhile
        if asked <= self._came:
            self._came = 0
            return False  # it came before: the service is in trouble. If it is lost again, it has grown
        if asked == 1:
            self._forget()  # the size was not the reason
            return False
        self._losses += 1
        self._cap = max(1, asked // FEWER)
        self._answered = False
        return True


class Portions:
    """Of a node."""

    def __init__(self, page_size: int) -> None:
        self.pages = Portion(page_size)
        self.ids = Portion(ID_BATCH)
        self.by_ids = False
        """By pages nothing arrived, and by ids everything did, of more than arrives at once."""

    def begin(self) -> None:
        self.pages.begin()
        self.ids.begin()

    def listed_by_ids(self, items: Iterable[SeenItem]) -> None:
        """These are all."""
        self.by_ids = _size(items) > LARGE


def _size(items: Iterable[SeenItem]) -> int:
    return sum(len(item.xml.encode()) for item in items)
