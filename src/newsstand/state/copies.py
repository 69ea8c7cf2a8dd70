"""The copies as this process knows them: what the database remembers of each node, and what only this process
knows. They are mutable, and touched in the event loop only, so that `decide` can be synchronous."""

from __future__ import annotations

import asyncio
import dataclasses
import itertools
import math
from collections.abc import Iterator, Sequence
from typing import Any

from newsstand.model import (
    Counts,
    NodeKey,
    NodeRecord,
    SyncState,
    Verdict,
)
from newsstand.rules.batch_sizes import BatchSizes
from newsstand.rules.doubts import CLEAR, Chores
from newsstand.rules.policy import Situation
from newsstand.state.checked import Checked
from newsstand.state.cursors import Cursors
from newsstand.state.elsewhere import Elsewhere
from newsstand.state.inbox import Inbox, Waiting
from newsstand.state.lease import Lease
from newsstand.state.order import Order
from newsstand.state.own_writes import OwnWrites
from newsstand.state.pages import Listing, Pages
from newsstand.state.reads import Reads
from newsstand.state.services import Services, ServiceState
from newsstand.state.session import NodeSession
from newsstand.state.spool import Spool
from newsstand.state.stale_first import StaleFirst
from newsstand.state.work import Closing, Pace, Work
from newsstand.storage.statements.owners import LeaseRow

_tickets = itertools.count(1)


def ticket() -> int:
    """Taken before the database is asked how a copy stands: what was asked earlier never replaces what was asked, or
    written, later."""
    return next(_tickets)


class Copy:
    """One node's copy, as this process knows it: what the database remembers of it, and its parts. Each part is
    replaced, or changed by its own verbs, by one module alone (tests/unit/state/test_who_writes.py)."""

    __slots__ = (
        "__weakref__",
        "batch_sizes",
        "changed",
        "checked",
        "chores",
        "closing",
        "cursors",
        "doubts",
        "dropped",
        "elsewhere",
        "inbox",
        "key",
        "learnt",
        "lease",
        "left",
        "listing",
        "order",
        "own",
        "pace",
        "reads",
        "record",
        "saves",
        "session",
        "stale_first",
        "work",
    )

    def __init__(self, record: NodeRecord, waiting: Waiting | None = None, learnt: ServiceState | None = None) -> None:
        self.key = record.key
        self.record = record
        """What the database remembers of it."""
        self.learnt = learnt or ServiceState()
        """What was learnt of its service, shared by all copies of its nodes."""
        self.lease = Lease()
        """Which worker owns it."""
        self.elsewhere = Elsewhere()
        """Why the service must answer while another worker owns the node."""
        self.doubts = CLEAR
        """What must be checked before it may answer: our own doubts, which are not handed to another worker."""
        self.chores = Chores()
        """What must be done though nothing is in doubt."""
        self.session = NodeSession()
        """What only this session of the stream knows."""
        self.reads = Reads(record.session_reads)
        """How often the program reads it."""
        self.stale_first = StaleFirst()
        """Whether it may be served stale, at the start of this session."""
        self.inbox = Inbox(waiting)
        """Notifications on their way into it."""
        self.own = OwnWrites()
        """The program's own writes that are under way."""
        self.order = Order()
        """What its order can teach."""
        self.listing = Listing()
        """The listing that is under way, or was interrupted."""
        self.pace = Pace()
        """How fast it is listed, and when again."""
        self.batch_sizes: BatchSizes | None = None
        """How much of it is asked for at a time; None before its first listing."""
        self.checked = Checked()
        """When the service was last seen to say what it says."""
        self.cursors = Cursors()
        """The service's own cursors."""
        self.work = Work()
        """The task that works on it, and why the last one failed."""
        self.closing = Closing.OPEN
        """Whether the database knows that it is closed."""
        self.saves = 0
        """How many changes of its record are on their way to the database."""
        self.left = False
        """The program unsubscribed by itself: not followed again until it asks for it."""
        self.dropped = False
        """Forgotten: its rows are no longer its own."""
        self.changed = asyncio.Event()
        """Set when something of it was committed, or it was dropped; each time there is a new one. Taken before
        looking at the log, it cannot be missed."""

    @property
    def ahead(self) -> bool:
        """Whether its record here is newer than the one in the database."""
        return self.is_closing or self.lease.released or self.saves > 0

    @property
    def is_closing(self) -> bool:
        """Whether it is closed, and the database does not say so yet."""
        return self.closing is not Closing.OPEN

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
        """Whether it must be checked before it may answer."""
        if self.listing.is_any or self.doubts.is_any:
            return True
        return not self.lease.ours and bool(self.elsewhere)

    @property
    def at_rest(self) -> bool:
        """Live, and nothing is on its way into it, as far as is known."""
        arriving = self.inbox.arriving or self.own.under_way or self.doubts.own_write or self.doubtful
        return self.record.state is SyncState.LIVE and not arriving

    def load(self, record: NodeRecord) -> None:
        """Replace its record by what the database says, which another worker, or a program, stored."""
        self.record = record

    def update(self, **changes: Any) -> None:
        """Change fields of its record. The caller stores them in the database."""
        self.record = dataclasses.replace(self.record, **changes)

    def count(self, counts: Counts) -> None:
        """These are the counts of its items from now on."""
        self.update(**counts._asdict())

    def contents_changed(self, revision: int, counts: Counts) -> None:
        """Its items were changed in the database: this is its revision now, and these are the counts of its items."""
        self.update(revision=revision, **counts._asdict())

    def note_verified(self, at: int) -> None:
        """The service said at this moment, in microseconds since the epoch, what the copy says."""
        self.update(verified_at=at)

    def forget_access_model(self) -> None:
        """The node's configuration may be another one now: its access model is asked for before we subscribe again."""
        self.update(access_model=None)

    def mark_stale(self, reason: str) -> None:
        """No worker is notified any more of what happens to the node."""
        if self.record.state in (SyncState.LIVE, SyncState.SYNCING):
            self.update(state=SyncState.STALE, reason=reason)

    def verified_at(self, item_ids: Sequence[str]) -> int | None:
        """When the service was last seen to say what the copy says of these items, or, where none are named, of the
        whole node."""
        whole, covered = self.record.verified_at, self.checked.covered
        if item_ids and whole is not None and all(item_id in covered for item_id in item_ids):
            return max(whole, min(covered[item_id] for item_id in item_ids))
        return whole

    def situation(
        self,
        connected: bool,
        now: int | None,
        *,
        item_ids: Sequence[str] = (),
        holds_all: bool,
        knows_cursors: bool = False,
    ) -> Situation:
        """What the policy must know to decide a read of these items, or of any. `now`: in microseconds since the epoch;
        None where the copy's age does not matter."""
        verified_at = None if now is None else self.verified_at(item_ids)
        record = self.record
        return Situation(
            state=SyncState.STALE if not self.is_closed() and (self.left or not self.followed) else record.state,
            complete=record.complete,
            count=record.item_count,
            connected=connected,
            arriving=self.inbox.arriving and self.listing.pages is None,
            writing=self.own.under_way > 0 or self.doubts.own_write,
            doubtful=self.doubtful,
            quarantined=record.quarantined > 0,
            holds_all=holds_all,
            knows_cursors=knows_cursors,
            age=math.inf if verified_at is None or now is None else max(0.0, (now - verified_at) / 1e6),
        )

    def begin_pages(self, page_size: int, items: Spool) -> Pages:
        """Begin a listing, by pages of so many items or of as many as are known to arrive. They go to `items`."""
        self.batch_sizes = self.batch_sizes or BatchSizes(page_size, self.record.item_count, self.record.payload_bytes)
        self.batch_sizes.begin()
        return Pages(self.batch_sizes, items)

    def notify_watchers(self) -> None:
        """Wake those who watch, after a commit: they read the log of changes themselves."""
        self.changed.set()
        self.changed = asyncio.Event()


class Copies:
    """All copies, by account, service and node."""

    def __init__(self, most_waiting: float = math.inf, services: Services | None = None) -> None:
        self._waiting = Waiting(most_waiting)
        self._services = services or Services()
        self.by_key: dict[NodeKey, Copy] = {}
        self._by_id: dict[int, Copy] = {}
        self.gone: set[int] = set()
        """The ids of those that were dropped: they are never given again. Their rows may be there a moment longer."""
        self._leaving: set[int] = set()
        """The ids, among these, whose rows may be there still."""
        self.closings = 0
        """How often something of these copies was not to be given to anybody any more, from that moment on."""

    def find(self, key: NodeKey) -> Copy | None:
        return self.by_key.get(key)

    def by_id(self, node_id: int) -> Copy | None:
        return self._by_id.get(node_id)

    def make(self, record: NodeRecord) -> Copy:
        """A copy of this record's node that is not among these yet."""
        return Copy(record, self._waiting, self._services.of(record.key.service))

    def add(self, record: NodeRecord, held: LeaseRow | None = None, made: Copy | None = None) -> Copy:
        """The copy of this record's node: where there was none, `made`, or one that is made now. `held`: what the
        database says of its lease."""
        copy = self.by_key.get(record.key)
        if copy is None:
            copy = self.by_key[record.key] = made or self.make(record)
        copy.record = record
        if held is not None:
            copy.lease = dataclasses.replace(copy.lease, generation=held.generation, owner=held.leader)
        self._by_id[record.id] = copy
        return copy

    def drop(self, copy: Copy) -> None:
        """Forget a copy whose rows are erased, or about to be."""
        copy.dropped = True
        copy.notify_watchers()
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
        return frozenset(self._leaving | {copy.record.id for copy in self.by_key.values() if copy.is_closing})

    def __iter__(self) -> Iterator[Copy]:
        return iter(list(self.by_key.values()))

    @property
    def followed(self) -> int:
        """How many nodes are followed."""
        return sum(copy.followed for copy in self.by_key.values())
