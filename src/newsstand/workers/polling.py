"""Polling: what a worker reads of the database to learn what the other workers did, and what it makes of that
(docs/decisions/010-several-workers.md)."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Collection

from newsstand.model import NodeRecord, SyncState
from newsstand.rules.doubts import refetch
from newsstand.state.context import Context
from newsstand.state.copies import Copy, ticket
from newsstand.state.doubts import doubt
from newsstand.state.listener import Listener
from newsstand.state.work import Closing
from newsstand.storage.statements import nodes, owners, polls
from newsstand.storage.statements.owners import LeaseRow
from newsstand.storage.statements.polls import Poll
from newsstand.workers.assignment import Assignment, quietly
from newsstand.workers.leases import Leases
from newsstand.workers.peers import Peers
from newsstand.workers.shared_doubts import AWAITED, SharedDoubts
from newsstand.workers.storing import Storing

EVERY = 1.0
"""Seconds between two polls, where the database notifies us of nothing."""
ALONE = 5.0
"""Seconds between two polls while there is no other worker."""
AFTER_END = 0.02
"""Seconds after the end of another worker's lease until the poll that shows whether it was renewed."""
AFTER_NOTIFY = 0.2
"""Seconds from a notification of the database to the poll that it leads to: what comes meanwhile needs none of its
own."""


class Polling:
    """Polls the database for one worker: in its own time, and soon after the database notified it of a change."""

    def __init__(
        self,
        context: Context,
        leases: Leases,
        peers: Peers,
        storing: Storing,
        doubts: SharedDoubts,
        assignment: Assignment,
        listener: Listener,
    ) -> None:
        self._context = context
        self._leases = leases
        self._peers = peers
        self._storing = storing
        self._doubts = doubts
        self._assignment = assignment
        self._listener = listener
        self._timer: asyncio.TimerHandle | None = None
        self._due = math.inf
        self.last: Poll | None = None
        """The result of the last poll."""
        self._under_way = False
        self._again = False
        self._taking_in = asyncio.Lock()
        self.polled = asyncio.Event()
        """Set after each poll; each time there is a new one."""

    # When to poll --------------------------------------------------------------------------------------------------

    def database_notified(self, node_id: int) -> None:
        """The database says that something happened to a node: perhaps by ourselves."""
        if self._under_way:
            self._again = True
        else:
            self._poll_in(AFTER_NOTIFY)

    def poll_soon(self) -> None:
        """Poll next: what is remembered of a node turned out to be old."""
        if self._under_way:
            self._again = True
        else:
            self._poll_in(0.0)

    def _poll_in(self, seconds: float) -> None:
        """Poll then, if not before."""
        loop = asyncio.get_running_loop()
        due = loop.time() + seconds
        if not self._context.closed and (self._timer is None or due < self._due):
            self._stop_timer()
            self._due, self._timer = due, loop.call_later(seconds, self._spawn_poll)

    def _spawn_poll(self) -> None:
        self._timer = None
        if not self._context.closed and not self._under_way:
            self._context.spawn(quietly(self.poll), "polling")

    def _pause(self) -> float:
        """Seconds until the next poll. One is due when another worker's lease ends, unless it is renewed."""
        return min(EVERY if self._peers.alive() else ALONE, self._peers.next_end() + AFTER_END)

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def stop(self) -> None:
        """Do not poll any more."""
        self._context.database.unlisten(self.database_notified)
        self._stop_timer()

    def wake(self) -> None:
        """Wake whoever waits for the next poll."""
        self.polled.set()

    # A poll --------------------------------------------------------------------------------------------------------

    async def open(self) -> None:
        """Poll for the first time, and again and again from now on. Raises DatabaseError."""
        self._context.database.listen(self.database_notified)
        await self.poll()

    async def poll(self) -> None:
        """Read what other workers did, and what they ask, and take it in. Raises DatabaseError."""
        self._stop_timer()
        self._under_way, self._again = True, False
        try:
            known, asked = self.known(), ticket()
            poll = await self._context.database.scan(polls.poll, self._leases.worker, self.last)
            self.take_in_leases(poll, known, asked)
            await self.take_in(poll, asked)
        finally:
            self._under_way = False
            self._poll_in(AFTER_NOTIFY if self._again else self._pause())

    def known(self) -> set[int]:
        """The ids of the nodes that we know of."""
        return {copy.record.id for copy in self._context.copies}

    def take_in_leases(self, poll: Poll, known: set[int], asked: int) -> None:
        """Take in at once what another worker owns, and what is gone. `known`: the nodes that we knew before."""
        copies, self.last = self._context.copies, poll
        self._peers.saw_all(poll.workers)
        there = {held.node_id for held in poll.leases}
        for node_id in known - there:
            if (copy := copies.by_id(node_id)) is not None:
                self._leases.drop(copy)
        for held in poll.leases:
            copy = copies.by_id(held.node_id)
            if copy is not None and copy.lease.ours and asked > copy.lease.asked and not copy.is_closing:
                lost = (held.generation, held.leader) != (copy.lease.generation, self._leases.worker)
                if lost and held.generation >= copy.lease.generation:
                    self._leases.lose(copy)
        for copy in copies:
            if not copy.lease.ours and not copy.ahead and not self._leases.owned_by_another(copy):
                copy.mark_stale(owners.NOT_NOTIFIED)

    @property
    def is_taking_in(self) -> bool:
        """Whether what a poll showed is being taken in."""
        return self._taking_in.locked()

    async def take_in(self, poll: Poll, asked: int) -> None:
        """Take in the rest, after `take_in_leases`. Raises DatabaseError."""
        await self._assignment.share(poll)  # first: what nobody owns must not wait for news of the rest
        async with self._taking_in:
            await self._take_in_rest(poll, asked)

    async def _take_in_rest(self, poll: Poll, asked: int) -> None:
        copies = self._context.copies
        changed = [held for held in poll.leases if self._differs(held, poll, asked)]
        if changed:
            await self._load(changed)
            await self._assignment.share(poll)
        for raised in poll.doubts:
            if (copy := copies.by_id(raised.node_id)) is not None and copy.lease.ours:
                self._doubts.note(copy, raised)
        await self._look_up_awaited()
        for copy in copies:
            if copy.closing is Closing.CLOSING:
                self._listener.still_closing(copy)
            elif self._is_taken_for_stale(copy, poll, asked):
                await self._storing.save(copy)
        for copy in copies:
            if not copy.lease.ours and copy.doubts.is_any:
                self._assignment.want(copy)
        self.polled.set()
        self.polled = asyncio.Event()

    def _differs(self, held: LeaseRow, poll: Poll, asked: int) -> bool:
        """Whether the database says more of a node than we know."""
        copy = self._context.copies.by_id(held.node_id)
        if copy is None:
            return held.node_id not in self._context.copies.gone
        revision, state, read_at = poll.rows[held.node_id]
        if (read_at or 0) > (copy.record.read_at or 0):
            copy.update(read_at=read_at)  # by another worker's program
        if asked < copy.lease.asked or held.generation < copy.lease.generation or copy.ahead:
            return False  # what we know is newer
        if copy.lease.ours:
            return revision > copy.record.revision  # a program changed it through a session of its own
        if (held.generation, held.leader, revision) != (copy.lease.generation, copy.lease.owner, copy.record.revision):
            return True
        return self._leases.owned_by_another(copy) and state != copy.record.state.value

    async def _load(self, changed: Collection[LeaseRow]) -> None:
        ids, asked = [held.node_id for held in changed], ticket()
        records, now = await self._context.database.scan(
            lambda conn: (nodes.load(conn, ids), owners.leases_by_id(conn, ids))
        )
        by_id, copies = {held.node_id: held for held in now}, self._context.copies
        for record in records:
            held, copy = by_id[record.id], copies.by_id(record.id)
            if copy is None:
                if record.id in copies.gone or copies.find(record.key) is not None:
                    continue  # dropped meanwhile, or begun anew
                copy = copies.add(record)
            elif asked < copy.lease.asked or held.generation < copy.lease.generation or copy.ahead:
                continue
            elif copy.lease.ours:
                self._load_counts(copy, record)
                continue
            self._leases.load(copy, record, held, asked)

    def _is_taken_for_stale(self, copy: Copy, poll: Poll, asked: int) -> bool:
        """Whether a live copy of ours is stale to others: when that it is live was stored, something was in the way."""
        if (
            not copy.lease.ours
            or copy.record.state is not SyncState.LIVE
            or copy.listing.under_way
            or copy.ahead
            or asked < copy.lease.asked
        ):
            return False
        row = poll.rows.get(copy.record.id)
        return row is not None and row[1] != SyncState.LIVE.value

    def _load_counts(self, copy: Copy, record: NodeRecord) -> None:
        """Take over the counts of a copy of ours that a program changed."""
        if record.revision > copy.record.revision:
            copy.contents_changed(record.revision, record.counts)
            copy.notify_watchers()

    async def _look_up_awaited(self) -> None:
        """Doubt what another worker was notified of as we were, and did not store for long: it may have missed it."""
        asked = {
            copy: dict(copy.elsewhere.awaited)
            for copy in self._context.copies
            if copy.elsewhere.awaited and not copy.lease.ours
        }
        if not asked:
            return
        wanted = {copy.record.id: list(awaited) for copy, awaited in asked.items()}
        contents = await self._context.database.scan(polls.contents_of_all, wanted)
        for copy, awaited in asked.items():
            copy.elsewhere.found(awaited, contents.get(copy.record.id, {}))
            overdue = copy.elsewhere.overdue(asyncio.get_running_loop().time() - AWAITED)
            doubt(copy, refetch(*overdue))
            copy.elsewhere.await_no_more(overdue)
            if overdue:
                self._assignment.want(copy)
