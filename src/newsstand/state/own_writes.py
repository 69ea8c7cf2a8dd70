"""The program's own writes to a node, while they are under way."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from newsstand.model import News, Published, Retracted, SeenItem


class Notified(NamedTuple):
    """The last notification of an item: when it was received, by `Inbox.received`, and what the item is now; None where
    it was retracted."""

    received: int
    item: SeenItem | None


class OwnWrites:
    """The program's own writes to one node that are under way, in one session of the stream."""

    __slots__ = ("_notified", "by_privilege", "under_way")

    def __init__(self) -> None:
        self.under_way = 0
        """How many writes the service has not acknowledged."""
        self.by_privilege = False
        """Whether there were writes in the name of an account that is not the stream's (XEP-0356): what is in doubt
        after them is handed to the worker that owns the node."""
        self._notified: dict[str, Notified] = {}
        """The last notification of each item; kept while a write is under way."""

    def begin(self, *, by_privilege: bool = False) -> None:
        """The program sends a write."""
        self.under_way += 1
        self.by_privilege |= by_privilege

    def end(self) -> None:
        """The service acknowledged a write, or refused it, or nobody knows."""
        self.under_way -= 1

    def keep_notified(self, news: Iterable[News], received: int) -> None:
        """Keep what notifications said of items, for when the service answers a write that is under way."""
        if not self.under_way:
            return
        for what in news:
            match what:
                case Published(items):
                    self._notified.update((item.id, Notified(received, item)) for item in items)
                case Retracted(item_ids):
                    self._notified.update((item_id, Notified(received, None)) for item_id in item_ids)
                case _:
                    pass

    def notified_since(self, received: int, item_id: str) -> Notified | None:
        """The last notification of an item, if it was received after `received`."""
        last = self._notified.get(item_id)
        return last if last is not None and last.received > received else None

    def forget_notified(self) -> None:
        """Forget the notifications that were kept, unless another write is under way."""
        if not self.under_way:
            self._notified.clear()
