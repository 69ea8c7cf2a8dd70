"""The program's own writes to a node, while they are under way."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from newsstand.model import News, Published, Retracted, SeenItem


class Told(NamedTuple):
    """The last word on an item: when, by `Inbox.heard`, and what it is now; None where it was retracted."""

    heard: int
    item: SeenItem | None


class OwnWrites:
    """The program's own writes to one node that are under way, in one session of the stream."""

    __slots__ = ("_told", "under_way")

    def __init__(self) -> None:
        self.under_way = 0
        """How many the service has not acknowledged."""
        self._told: dict[str, Told] = {}
        """What was last said of each item; kept while a write is under way."""

    def begin(self) -> None:
        self.under_way += 1

    def end(self) -> None:
        """The service acknowledged one, or refused it, or nobody knows."""
        self.under_way -= 1

    def keep_told(self, news: Iterable[News], heard: int) -> None:
        """Keep what was said of items, for when the service answers a write that is under way."""
        if not self.under_way:
            return
        for what in news:
            match what:
                case Published(items):
                    self._told.update((item.id, Told(heard, item)) for item in items)
                case Retracted(item_ids):
                    self._told.update((item_id, Told(heard, None)) for item_id in item_ids)
                case _:
                    pass

    def told_since(self, heard: int, item_id: str) -> Told | None:
        """The last word on an item, if it came after `heard`."""
        told = self._told.get(item_id)
        return told if told is not None and told.heard > heard else None

    def forget_told(self) -> None:
        """What was said is of no use any more, unless another write is under way."""
        if not self.under_way:
            self._told.clear()
