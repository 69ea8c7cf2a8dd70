"""The inbox of a copy: notifications that were received, and are not stored yet."""

from __future__ import annotations

import asyncio
import math
from collections import deque
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from newsstand.model import News, Notification, Outline, Published, Retracted

CLOSE = 5.0
"""Seconds within which two notifications of an item are close together."""
GONE = 64
"""Items of a node of which it is remembered that they were removed."""


class Waiting:
    """The bytes of all notifications that wait to be stored, of all copies of a replica together."""

    def __init__(self, most: float = math.inf) -> None:
        self.bytes = 0
        self.most = most


class Recent(NamedTuple):
    """What a notification last said of an item (the digest of its content; None where it was retracted), and when, by
    the loop's clock."""

    at: float
    content: bytes | None


class Inbox:
    """The notifications of one node that are not stored yet, oldest first, and what is remembered of those before."""

    __slots__ = ("_emptied", "_gone", "_missed", "_queue", "_recent", "_waiting", "arriving", "received")

    def __init__(self, waiting: Waiting | None = None) -> None:
        self.received = 0
        """Goes up with each notification, and with whatever else makes older answers void; it never goes back. Two
        equal readings mean that what was asked between them may be believed."""
        self.arriving = False
        """Whether any notifications wait to be stored. It is kept as a value because each read asks it."""
        self._waiting = waiting or Waiting()
        self._queue: list[Notification] = []
        self._emptied = asyncio.Event()
        """Set when all is dealt with; each time there is a new one."""
        self._missed: tuple[News, ...] = ()
        self._recent: dict[str, Recent] = {}
        """What was last said of each item, for CLOSE seconds, oldest first."""
        self._gone: deque[str] = deque(maxlen=GONE)

    def __len__(self) -> int:
        return len(self._queue)

    def __iter__(self) -> Iterator[Notification]:
        return iter(self._queue)

    def __getitem__(self, part: slice) -> list[Notification]:
        return self._queue[part]

    def void_answers(self) -> None:
        """Make answers void that were asked for before this moment: something happened to the node, and they may be
        older."""
        self.received += 1

    def put(self, notification: Notification) -> bool:
        """Keep a notification. False where all inboxes together hold as much as they may: what this one holds is
        forgotten then, and the node must be listed."""
        self._waiting.bytes += notification.bytes
        if self._waiting.bytes > self._waiting.most:
            self._waiting.bytes -= notification.bytes
            self.empty()
            return False
        self._queue.append(notification)
        self.arriving = True
        return True

    def oldest(self, most: int, most_bytes: int) -> list[Notification]:
        """The oldest notifications: one at least, and not more than so many, nor than so many bytes."""
        size = 0
        for at, notification in enumerate(self._queue[:most]):
            size += notification.bytes
            if size > most_bytes:
                return self._queue[: max(1, at)]
        return self._queue[:most]

    def take(self, count: int) -> None:
        """Take out the oldest `count` notifications, which are dealt with."""
        self._waiting.bytes -= sum(notification.bytes for notification in self._queue[:count])
        del self._queue[:count]
        if not self._queue:
            self.arriving = False
            self._emptied.set()
            self._emptied = asyncio.Event()

    def empty(self) -> None:
        """Take out all notifications: they are dealt with, or will not be."""
        self.take(len(self._queue))

    def forget(self) -> None:
        """Forget everything, because there is a gap: what came before it is not stored, and says nothing about what
        comes after it."""
        self.empty()
        self._missed = ()
        self._recent.clear()
        self._gone.clear()

    def miss(self) -> None:
        """Do not store what came during a listing that failed: the next one will bring it."""
        self._missed += tuple(outlined(news) for notification in self._queue for news in notification.news)
        self.empty()

    def take_missed(self) -> tuple[News, ...]:
        """The news that were missed since this was last asked."""
        missed, self._missed = self._missed, ()
        return missed

    async def quiet(self) -> None:
        """Wait until all that has arrived is dealt with."""
        while self._queue:
            await self._emptied.wait()

    # What was said lately

    @property
    def recent(self) -> int:
        """Of how many items something was said within CLOSE seconds."""
        return len(self._recent)

    def note_close(self, news: Iterable[News], now: float) -> set[str]:
        """The items of which different things were said within CLOSE seconds: which one holds now is uncertain, because
        services may tell in another order than they store."""
        while self._recent and (oldest := next(iter(self._recent))) and self._recent[oldest].at < now - CLOSE:
            del self._recent[oldest]
        close: set[str] = set()
        for what in news:
            said: list[tuple[str, bytes | None]] = []
            if isinstance(what, Published):
                said = [(item.id, item.content_digest) for item in what.items]
            elif isinstance(what, Retracted):
                said = [(item_id, None) for item_id in what.item_ids]
            for item_id, content in said:
                before = self._recent.pop(item_id, None)
                self._recent[item_id] = Recent(now, content)
                if before is not None and before.content != content:
                    close.add(item_id)
        return close

    @property
    def gone(self) -> frozenset[str]:
        """Items that were lately removed: their retracts may come twice."""
        return frozenset(self._gone)

    def note_gone(self, item_ids: Iterable[str]) -> None:
        """Remember that these items were removed."""
        self._gone.extend(item_ids)


def outlined(news: News) -> News:
    """The same without payloads: what is kept of many nodes must be small."""
    return Published(tuple(map(Outline.of, news.items))) if isinstance(news, Published) else news
