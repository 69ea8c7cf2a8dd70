"""The copies as this process knows them: what the database remembers of each node, and what only this moment
knows. Mutable, and touched in the event loop only, so that `decide` can be synchronous."""

from __future__ import annotations

import asyncio
import dataclasses
import itertools
import math
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from newsstand.model import (
    Counts,
    News,
    NodeKey,
    NodeRecord,
    Notification,
    Outline,
    Published,
    Purged,
    Retracted,
    SeenItem,
    StorableItem,
    SyncState,
    Verdict,
)
from newsstand.rules.batch_sizes import BatchSizes
from newsstand.rules.policy import Situation
from newsstand.state.cursors import Cursors
from newsstand.state.pages import Pages
from newsstand.state.spool import Spool

HISTORY = 50
"""News above which a change of order teaches nothing."""
CLOSE = 5.0
"""Seconds within which two notifications of an item are close together."""
COVERED = 1_000
"""How many items of a node it is remembered of when an answer last showed them."""
ORDER = 10_000
"""Items of a node above which its order teaches nothing: comparing orders takes time."""


_tickets = itertools.count(1)


def ticket() -> int:
    """Taken before the database is asked how a copy stands: what was asked earlier never replaces what was asked, or
    written, later."""
    return next(_tickets)


class Told(NamedTuple):
    """The last word on an item: when, by `Copy.heard`, and what it is now; None where it was retracted."""

    heard: int
    item: SeenItem | None


class Recent(NamedTuple):
    """What was said of an item, and when, by the loop's clock; None where it was retracted."""

    at: float
    content: bytes | None


class Awaited(NamedTuple):
    """What a copy will say of an item (its content's digest; None where it was retracted), and since when that is
    known, by the loop's clock."""

    at: float
    content: bytes | None


class Waiting:
    """The bytes of all notifications that wait to be stored, of all copies of a replica together."""

    def __init__(self, most: float = math.inf) -> None:
        self.bytes = 0
        self.most = most


class Copy:
    """One node's copy."""

    portions: BatchSizes | None = None
    """How much of it is asked for at a time; None before its first listing."""
    answered_at: float = 0.0
    """By the loop's clock, when the service last answered about it: so long ago the account could read it."""
    revalidate: bool = False
    """It is to be asked for again, though nothing is in doubt."""
    confirmed_at: float = 0.0
    """By the loop's clock, when the service last said that we are subscribed to it."""
    confirm: bool = False
    """Whether we still are is to be asked, though nothing speaks against it."""
    skips_missing: bool = False
    """The service was seen, in this session, to answer a read of this node without an item that is not there."""

    stocked: bool = False
    """In this session its ids were compared with the service's."""
    took: float = 0.0
    """Seconds that the service took over the last listing."""
    dropped: bool = False
    """Forgotten: its rows are no longer its own."""
    left: bool = False
    """The program unsubscribed by itself: not followed again until it asks for it."""
    urgent: bool = False
    """Somebody waits for its listing: it is not put off for others."""

    progress: Callable[[int, int | None], None] | None = None
    """Told how far a listing has come, where somebody waits for it: as `newsstand.model.Progress`."""

    generation: int = 0
    """What we know of the node was so under this generation of its lease."""
    leader: str | None = None
    """The worker that follows it, as far as we know."""
    led: bool = False
    """It is us."""
    doubted: bool = False
    """Of a copy that another worker follows: something of it is in doubt."""
    asking: int = 0
    """Doubts are on their way to that worker."""
    saving: int = 0
    """What is remembered of it is newer than what the database says, and on its way there."""
    closing: bool = False
    """It is closed, and the database does not say so yet."""
    settling: int = 0
    """It is being told."""
    releasing: bool = False
    """It is being given up: nobody's, until the database says so."""
    raising: int = 0
    """Doubts of our own are on their way to the database."""
    seen: int = 0
    """The ticket of what is remembered of it."""

    missed: tuple[News, ...] = ()
    """News that came during the listing that just failed."""
    failed_at: float = -math.inf
    """By the loop's clock, when its synchronisation failed last."""

    disturbed: int = 0
    """How many listings in a row could not be believed."""

    rest_until: float = 0.0
    """By the loop's clock: before, it is not listed again, so that it does not take all of its service's time."""

    ends: int = 0
    """How often the service said that the subscription, or the node, ended."""

    def __init__(self, record: NodeRecord, waiting: Waiting | None = None) -> None:
        self.record = record
        self._waiting = waiting or Waiting()
        self.covered: dict[str, int] = {}
        """By item id, when an answer last showed that item while the copy was not live, in microseconds since the
        epoch; oldest first."""
        self.awaited: dict[str, Awaited] = {}
        """News that we heard of a node which another worker follows, until they are in its copy; by item."""
        self.inbox: list[Notification] = []
        """Notifications that are not stored yet, oldest first."""
        self.heard = 0
        """How many notifications ever came: two equal readings mean that nothing came between."""
        self.told: dict[str, Told] = {}
        """What was last said of each item; kept while a write is under way."""
        self.writing = 0
        """The program's own writes that the service has not acknowledged."""
        self.behind = False
        """A write of the program's own is acknowledged, and what it did is still to be looked up."""
        self.relist = False
        """Doubt: only a listing can tell what the node holds."""
        self.refetch: set[str] = set()
        """Doubt: items whose contents must be asked for."""
        self.check_ids = False
        """Doubt: some items may have been evicted."""
        self.listing = False
        """A listing is under way: notifications wait for it."""
        self.pages: Pages | None = None
        """What came of a listing that the stream's end interrupted: if the session is resumed, it goes on there. Until
        then notifications wait as they do during a listing."""
        self.subscribed = False
        """In this session."""
        self.work: asyncio.Task[None] | None = None
        self.failure: Exception | None = None
        """Why the last synchronisation failed."""
        self.cursors = Cursors()
        self.recent: dict[str, Recent] = {}
        """What was last said of each item, for CLOSE seconds, oldest first."""
        self.removed: deque[str] = deque(maxlen=64)
        """Items lately removed: their retracts may come twice."""
        self.order: list[str] | None = None
        """The ids of the last listing, where its order still teaches something; `history` is the news since."""
        self.history: list[News] = []
        self.payloads: dict[str, bytes] = {}
        """Digests of what the items of that order said, by item."""
        self._stored: asyncio.Event = asyncio.Event()
        self.changed = asyncio.Event()
        """Set when something of it was committed, or it was dropped; each time there is a new one. Taken before
        looking at the log, it cannot be missed."""

    @property
    def ahead(self) -> bool:
        """What is remembered of it is newer than what the database says."""
        return self.closing or self.releasing or self.saving > 0

    @property
    def key(self) -> NodeKey:
        return self.record.key

    @property
    def followed(self) -> bool:
        """Whether notifications of this node concern us."""
        wanted = self.record.verdict is Verdict.WANTED and self.record.state is not SyncState.GONE
        return wanted and not self.dropped

    def is_closed(self) -> bool:
        """Whether nothing of it may be given to anybody any more."""
        return self.dropped or self.record.state in (SyncState.GONE, SyncState.UNSYNCED)

    @property
    def doubtful(self) -> bool:
        if self.listing or self.pages is not None or self.has_doubts():
            return True
        return not self.led and (self.doubted or self.asking > 0 or bool(self.awaited))

    @property
    def at_rest(self) -> bool:
        """Live, and nothing is on its way into it, as far as is known."""
        arriving = self.inbox or self.writing or self.behind or self.doubtful
        return self.record.state is SyncState.LIVE and not arriving

    def has_doubts(self) -> bool:
        """Of our own, which are not looked into, nor handed to anybody."""
        return self.relist or self.check_ids or bool(self.refetch)

    def forget_doubts(self) -> None:
        """What was heard, and is not stored, and what is in doubt: a listing will bring it, or another worker."""
        self.check_ids = self.relist = self.behind = False
        self.pages = None
        self.refetch.clear()
        self.awaited.clear()
        self.taken(len(self.inbox))
        self.order = None

    def update(self, **changes: Any) -> None:
        self.record = dataclasses.replace(self.record, **changes)

    def count(self, counts: Counts) -> None:
        self.update(**counts._asdict())

    def begin_anew(self, reason: str) -> None:
        """Nothing of it is believed, until it is listed."""
        self.age(reason)
        self.forget_doubts()
        self.subscribed = self.stocked = False
        self.rest_until, self.disturbed = 0.0, 0
        self.heard += 1

    def age(self, reason: str) -> None:
        """Nobody is told any more what happens to the node."""
        if self.record.state in (SyncState.LIVE, SyncState.SYNCING):
            self.update(state=SyncState.STALE, reason=reason)

    def cover(self, item_ids: Iterable[str], now: int) -> None:
        """An answer showed these items as they are stored."""
        for item_id in item_ids:
            self.covered.pop(item_id, None)
            self.covered[item_id] = now
        while len(self.covered) > COVERED:
            del self.covered[next(iter(self.covered))]

    def verified_at(self, item_ids: Sequence[str]) -> int | None:
        """When the service was last seen to say what the copy says: of these items, or of the whole node if they are
        none."""
        at = self.record.verified_at
        if item_ids and at is not None and all(item_id in self.covered for item_id in item_ids):
            return max(at, min(self.covered[item_id] for item_id in item_ids))
        return at

    def situation(
        self,
        connected: bool,
        now: int | None,
        *,
        item_ids: Sequence[str] = (),
        holds_all: bool,
        knows_cursors: bool = False,
    ) -> Situation:
        """At `now`, in microseconds since the epoch, for a read of these items, or of any. None: its age does not
        matter."""
        verified_at = None if now is None else self.verified_at(item_ids)
        record = self.record
        return Situation(
            state=SyncState.STALE if not self.is_closed() and (self.left or not self.followed) else record.state,
            complete=record.complete,
            count=record.item_count,
            connected=connected,
            arriving=bool(self.inbox) and self.pages is None,
            writing=self.writing > 0 or self.behind,
            doubtful=self.doubtful,
            quarantined=record.quarantined > 0,
            holds_all=holds_all,
            knows_cursors=knows_cursors,
            age=math.inf if verified_at is None or now is None else max(0.0, (now - verified_at) / 1e6),
        )

    def keep_told(self, news: Iterable[News]) -> None:
        """Keep what was said of items, for when the service answers a write."""
        for what in news:
            match what:
                case Published(items):
                    self.told.update((item.id, Told(self.heard, item)) for item in items)
                case Retracted(item_ids):
                    self.told.update((item_id, Told(self.heard, None)) for item_id in item_ids)
                case _:
                    pass

    def told_since(self, heard: int, item_id: str) -> Told | None:
        """The last word on an item, if it came after `heard`."""
        told = self.told.get(item_id)
        return told if told is not None and told.heard > heard else None

    def found(self, asked: Mapping[str, Awaited], contents: Mapping[str, bytes]) -> None:
        """What the copy says of what was awaited. What is in it as it was heard is awaited no more."""
        for item_id, awaited in asked.items():
            if contents.get(item_id) == awaited.content and self.awaited.get(item_id) is awaited:
                del self.awaited[item_id]

    def overdue(self, before: float) -> list[str]:
        """The items of which something was heard before that moment, and is awaited still."""
        return [item_id for item_id, awaited in self.awaited.items() if awaited.at < before]

    def note_close(self, news: Iterable[News], now: float) -> set[str]:
        """The items of which different things were said within CLOSE seconds: which one holds now is uncertain, because
        services may tell in another order than they store."""
        while self.recent and (oldest := next(iter(self.recent))) and self.recent[oldest].at < now - CLOSE:
            del self.recent[oldest]
        close: set[str] = set()
        for what in news:
            said: list[tuple[str, bytes | None]] = []
            if isinstance(what, Published):
                said = [(item.id, item.content_digest) for item in what.items]
            elif isinstance(what, Retracted):
                said = [(item_id, None) for item_id in what.item_ids]
            for item_id, content in said:
                before = self.recent.pop(item_id, None)
                self.recent[item_id] = Recent(now, content)
                if before is not None and before.content != content:
                    close.add(item_id)
        return close

    def note(self, told: Notification) -> None:
        """Keep news for what the next listing's order can teach."""
        if self.order is not None:
            self.history += map(_outlined, told.news)
            if len(self.history) > HISTORY:
                self.order = None
                self.history.clear()

    def remember_order(self, ids: list[str], items: Iterable[StorableItem] | None = None) -> None:
        """The node is in this order now. `items`: what they say; by default, what was told since the order before."""
        if len(ids) > ORDER:
            self.order, self.payloads = None, {}
        elif items is None:
            told = payloads_after(self.payloads, self.history)
            self.payloads = {item_id: told[item_id] for item_id in ids if item_id in told}
        else:
            self.payloads = {item.id: item.payload_digest for item in items}
        if len(ids) <= ORDER:
            self.order = ids
        self.history.clear()

    def explains(self, news: Sequence[News], items: Sequence[StorableItem]) -> bool:
        """Whether the items say what they should after these news of the order that is remembered: else some news were
        lost, or are not here yet, and what else they did is not known either."""
        if len(items) > ORDER:
            return False
        told = payloads_after(self.payloads, news)
        return all(told.get(item.id) == item.payload_digest for item in items)

    def begin_pages(self, page_size: int, items: Spool) -> Pages:
        """A listing, by pages of so many items or of as many as are known to arrive. They go to `items`."""
        self.portions = self.portions or BatchSizes(page_size)
        self.portions.begin()
        return Pages(self.portions, items)

    def keep(self, told: Notification) -> bool:
        """Put a notification into the inbox. False where all inboxes together hold as much as they may: what this one
        holds is forgotten then, and the node must be listed."""
        self._waiting.bytes += told.bytes
        if self._waiting.bytes > self._waiting.most:
            self._waiting.bytes -= told.bytes
            self.taken(len(self.inbox))
            return False
        self.inbox.append(told)
        return True

    def taken(self, count: int) -> None:
        """The oldest `count` notifications are dealt with."""
        self._waiting.bytes -= sum(told.bytes for told in self.inbox[:count])
        del self.inbox[:count]
        if not self.inbox:
            self._stored.set()
            self._stored = asyncio.Event()

    def miss(self) -> None:
        """What came during a listing that failed is not stored: the next one will bring it."""
        self.missed += tuple(_outlined(news) for told in self.inbox for news in told.news)
        self.taken(len(self.inbox))

    def tell(self) -> None:
        """Wake those who watch: they look by themselves what there is. After each commit."""
        self.changed.set()
        self.changed = asyncio.Event()

    async def quiet(self) -> None:
        """Wait until all that has arrived is stored."""
        while self.inbox:
            await self._stored.wait()


def _outlined(news: News) -> News:
    """The same without payloads: what is kept of many nodes must be small."""
    return Published(tuple(map(Outline.of, news.items))) if isinstance(news, Published) else news


def payloads_after(payloads: Mapping[str, bytes], news: Iterable[News]) -> dict[str, bytes]:
    """What items say, by item, when these news happened to them."""
    told = dict(payloads)
    for what in news:
        match what:
            case Published(items):
                told.update((item.id, item.payload_digest) for item in items)
            case Retracted(item_ids):
                for item_id in item_ids:
                    told.pop(item_id, None)
            case Purged():
                told.clear()
            case _:
                pass
    return told


class Copies:
    """All copies, by account, service and node."""

    def __init__(self, most_waiting: float = math.inf) -> None:
        self._waiting = Waiting(most_waiting)
        self.by_key: dict[NodeKey, Copy] = {}
        self._by_id: dict[int, Copy] = {}
        self.gone: set[int] = set()
        """The ids of those that were dropped: they are never given again. Their rows may be there a moment longer."""
        self._leaving: set[int] = set()
        """Of them, those whose rows may be there still."""
        self.closings = 0
        """How often something of these copies was not to be given to anybody any more, from that moment on."""

    def find(self, key: NodeKey) -> Copy | None:
        return self.by_key.get(key)

    def by_id(self, node_id: int) -> Copy | None:
        return self._by_id.get(node_id)

    def add(self, record: NodeRecord) -> Copy:
        """The copy of this record's node, made if there was none."""
        copy = self.by_key.get(record.key)
        if copy is None:
            copy = self.by_key[record.key] = Copy(record, self._waiting)
        copy.record = record
        self._by_id[record.id] = copy
        return copy

    def drop(self, copy: Copy) -> None:
        copy.dropped = True
        copy.tell()
        self.by_key.pop(copy.key, None)
        self._by_id.pop(copy.record.id, None)
        self.gone.add(copy.record.id)
        self._leaving.add(copy.record.id)
        self.closings += 1

    def removed(self, node_id: int) -> None:
        """The rows of one that was dropped are gone, too."""
        self._leaving.discard(node_id)

    def hidden(self) -> frozenset[int]:
        """The ids of those that were closed or dropped, and of which the database may not say so yet."""
        return frozenset(self._leaving | {copy.record.id for copy in self.by_key.values() if copy.closing})

    def __iter__(self) -> Iterator[Copy]:
        return iter(list(self.by_key.values()))

    @property
    def followed(self) -> int:
        return sum(copy.followed for copy in self.by_key.values())
