"""Leases, and looks around, where several workers use one database (docs/decisions/010-several-workers.md).

A worker follows a node under a lease, which ends when it is not heard from any more. The others read the node's copy
from the database, where it says by itself whether anybody vouches for it, and what is in doubt.
"""

from __future__ import annotations

import asyncio
import logging
import math
import uuid
from collections.abc import Callable, Collection
from typing import Any

from newsstand.errors import NewsstandError
from newsstand.model import NodeRecord, SyncState
from newsstand.rules.doubts import refetch
from newsstand.state.context import Context
from newsstand.state.copies import Copy, ticket
from newsstand.state.doubts import doubt
from newsstand.state.listener import Listener
from newsstand.state.work import Closing
from newsstand.storage.statements import doubt_rows, nodes, owners, polls
from newsstand.storage.statements.doubt_rows import RaisedDoubt
from newsstand.storage.statements.owners import LeaseRow
from newsstand.storage.statements.polls import Poll
from newsstand.workers.assignment import Assignment, quietly
from newsstand.workers.doubts import AWAITED, SharedDoubts
from newsstand.workers.leases import Leases
from newsstand.workers.peers import Peers, here, lease_clock
from newsstand.workers.processes import this_process
from newsstand.workers.storing import Storing

log = logging.getLogger(__name__)

BEATS = 3
"""How often within a lease its end is put off."""
POLL = 1.0
"""Seconds between two looks around, where nothing hints at one."""
ALONE = 5.0
"""The same, while there is no other worker."""
SOON = 0.02
"""Seconds after the end of a lease when it is looked whether it was put off."""
HINTED = 0.2
"""Seconds from a hint to the look that it leads to: what comes meanwhile needs no look of its own."""
BEGAN = "a new session began"
_UNTOLD = "what came of its synchronisation could not be stored"


class Leading:
    """One worker: of one replica. `shares`: it takes over what nobody follows, not only what it is asked for."""

    def __init__(self, context: Context, listener: Listener, *, shares: bool) -> None:
        self._context = context
        self._listener = listener
        self.worker = uuid.uuid4().hex
        self._peers = Peers(self.worker)
        self.holding = Leases(context, self.worker, self._peers, listener)
        self.storing = Storing(context, self.holding)
        self.doubting = SharedDoubts(context, self.holding, self.storing, listener)
        self.sharing = Assignment(context, self.holding, self.doubting, listener, shares=shares)
        self._fresh = False
        """A fresh session began, and the database does not know."""
        self.valid_until = -math.inf
        """By the lease clock. Until then nobody else can have taken over what we follow, and we are told what happens
        to it: where the session ends, or another client keeps the account's copies, it is over at once."""
        self._failing = False
        self._beating = False
        self._timers: dict[str, asyncio.TimerHandle] = {}
        self._look_due = math.inf
        self._looked_before: Poll | None = None
        self._looking = False
        self._look_again = False
        self._taking_in = asyncio.Lock()
        self.looked = asyncio.Event()
        """Set after each look; each time there is a new one."""
        context.database.listen(self._hinted)

    # Its own time --------------------------------------------------------------------------------------------------

    @property
    def _lease(self) -> float:
        return self._context.settings.lease

    async def open(self) -> None:
        """Poll around for the first time, and again and again from now on. Raises DatabaseError."""
        try:
            await self.look()
        except BaseException:
            self.stop()
            raise

    def heard_again(self, *, fresh: bool) -> None:
        """Notifications reach us. At once: in a `fresh` session nothing of ours is live."""
        self._fresh |= fresh
        self.holding.ready = False

    def go_on(self) -> None:
        """As `begin`, where we follow something at all."""
        if self.holding.begun:
            self._context.spawn(self.begin(), "going on")

    async def begin(self) -> None:
        """Put the lease off from now on, and take what nobody follows. What the database does not let us do now is
        tried again."""
        self.holding.begun = True
        here.add(self.worker)
        await self._beat()

    def fall_silent(self) -> None:
        """No notifications reach us. What we follow stays ours until the lease is over, and is live to nobody."""
        self.valid_until = -math.inf
        self.holding.ready = False
        self._stop("beat")
        if self.holding.begun:
            work = quietly(lambda: self._context.database.write(owners.session_lost, self.worker))
            self._context.spawn(work, "falling silent")

    def stop(self) -> None:
        """Poll around no more, and put nothing off."""
        self._context.database.unlisten(self._hinted)
        for name in list(self._timers):
            self._stop(name)

    async def close(self) -> None:
        """Leave what we follow to others. After `stop`, and when no work is under way."""
        self.stop()
        self.looked.set()
        if self.holding.begun:
            self.holding.begun = False
            await quietly(lambda: self._context.database.write(owners.remove_worker, self.worker))
        here.discard(self.worker)

    async def _beat(self) -> None:
        if self._context.closed or not self.holding.begun:
            return
        self._at("beat", self._lease / BEATS, lambda: self._context.spawn(self._beat(), "going on"))
        if self._beating and self.holding.ready:
            return  # one waits for the database: a second one would only wait behind it
        try:
            await self._put_off()
        except NewsstandError as error:
            tell = log.info if self._failing else log.warning
            tell("nothing is followed while the database cannot be written: %s", error)
            self._failing = True
        else:
            self._failing = False

    async def _put_off(self) -> None:
        """Say that we are at work, and take in what the others do. Raises DatabaseError."""
        context, transport = self._context, self._context.transport
        if transport is None or not self._context.connected or not self.holding.begun:
            return
        began, turns, fresh = lease_clock(), context.turns, self._fresh
        own, process, known, lease = context.own_jid, this_process(), self._known(), int(self._lease * 1e6)
        before, led = self._looked_before, [copy for copy in context.copies if copy.lease.ours]
        # What could not be stored in its time: that it is not live, or in doubt. Not of what is just being stored.
        resting = [copy for copy in led if not copy.listing.under_way and not copy.saves]
        not_live = [copy.record.id for copy in resting if copy.record.state is not SyncState.LIVE]
        doubtful = [] if fresh else [copy for copy in led if self.doubting.is_untold(copy)]

        def run(conn: Any) -> tuple[Poll, list[list[RaisedDoubt]]]:
            owners.mark_stale(conn, self.worker, BEGAN if fresh else _UNTOLD, None if fresh else not_live)
            raised = [doubt_rows.raise_doubts(conn, copy.record.id, [doubt_rows.WHOLE]) for copy in doubtful]
            owners.renew_lease(conn, self.worker, own, process, notified=True, shares=self.sharing.shares, lease=lease)
            return polls.poll(conn, self.worker, before), raised

        # What an earlier session left to be written comes before the word that nothing of it holds any more.
        ready, database = self.holding.ready, context.database
        self._beating = True
        try:
            look, raised = await (database.write_first if ready else database.write)(run)
        finally:
            self._beating = False  # what it leads to may wait for long, and the next beat not for that
        asked = ticket()  # not before: what we wrote until then is known by now
        for copy, doubts in zip(doubtful, raised, strict=True):
            self.doubting.keep(copy, doubts)
        if turns != context.turns:
            return
        self._fresh = False
        self._take_in_leases(look, known, asked)
        self.valid_until = began + self._lease if context.serves(own) else -math.inf
        if not self.holding.ready:
            self.holding.ready = True
            self._listener.may_begin()
        if ready and self._taking_in.locked():
            await self.sharing.share(look)  # what is being taken in is as new, nearly
        else:
            await self._take_in(look, asked)

    async def get_ready(self) -> None:
        """Before work that somebody waits for. Raises DatabaseError."""
        if not self.holding.begun:
            await self.begin()
        if not self.holding.ready:
            await self._put_off()

    async def take_now(self, copy: Copy) -> None:
        """Follow a node that somebody waits for, unless another worker does. Raises DatabaseError."""
        await self.get_ready()
        await self.sharing.take([copy])

    def hears(self, copy: Copy) -> bool:
        """Whether somebody is told what happens to this node, as far as is known at this moment."""
        context = self._context
        if copy.lease.ours:
            return lease_clock() < self.valid_until
        if context.speaks_for(copy.key.account) and not context.serves(copy.key.account):
            return False  # what our own stream is told, another client of this process takes in
        row = None if copy.lease.released else self._peers.find(copy.lease.owner)
        return row is not None and row.notified

    def _at(self, name: str, seconds: float, then: Callable[[], object]) -> None:
        self._stop(name)
        self._timers[name] = asyncio.get_running_loop().call_later(seconds, then)

    def _stop(self, name: str) -> None:
        if (timer := self._timers.pop(name, None)) is not None:
            timer.cancel()

    # Looking around ------------------------------------------------------------------------------------------------

    def _hinted(self, node_id: int) -> None:
        """Something happened to a node: perhaps by ourselves."""
        if self._looking:
            self._look_again = True
        else:
            self._look_in(HINTED)

    def _look_in(self, seconds: float) -> None:
        """Poll around then, if not before."""
        due = asyncio.get_running_loop().time() + seconds
        if not self._context.closed and ("look" not in self._timers or due < self._look_due):
            self._look_due = due
            self._at("look", seconds, self._look_now)

    def _look_now(self) -> None:
        if not self._context.closed and not self._looking:
            self._context.spawn(quietly(self.look), "looking around")

    async def look(self) -> None:
        """See what other workers did, and what they ask. Raises DatabaseError."""
        self._stop("look")
        self._looking, self._look_again = True, False
        try:
            known, asked = self._known(), ticket()
            look = await self._context.database.scan(polls.poll, self.worker, self._looked_before)
            self._take_in_leases(look, known, asked)
            await self._take_in(look, asked)
        finally:
            self._looking = False
            self._look_in(HINTED if self._look_again else self._pause())

    def _pause(self) -> float:
        """Until the next look: when somebody's lease will be over, unless it is put off, one is due."""
        return min(POLL if self._peers.alive() else ALONE, self._peers.next_end() + SOON)

    def _known(self) -> set[int]:
        return {copy.record.id for copy in self._context.copies}

    def _take_in_leases(self, look: Poll, known: set[int], asked: int) -> None:
        """At once: what is another's is not ours, and what is gone nobody's. `known`: the nodes that we knew before."""
        copies, self._looked_before = self._context.copies, look
        self._peers.saw_all(look.workers)
        there = {held.node_id for held in look.held}
        for node_id in known - there:
            if (copy := copies.by_id(node_id)) is not None:
                self.holding.drop(copy)
        for held in look.held:
            copy = copies.by_id(held.node_id)
            if copy is not None and copy.lease.ours and asked > copy.lease.asked and not copy.is_closing:
                lost = (held.generation, held.leader) != (copy.lease.generation, self.worker)
                if lost and held.generation >= copy.lease.generation:
                    self.holding.let_go(copy)
        for copy in copies:
            if not copy.lease.ours and not copy.ahead and not self.holding.has_leader(copy):
                copy.age(owners.NOT_NOTIFIED)

    async def _take_in(self, look: Poll, asked: int) -> None:
        await self.sharing.share(look)  # first: what nobody follows must not wait for news of the rest
        async with self._taking_in:
            await self._take_in_rest(look, asked)

    async def _take_in_rest(self, look: Poll, asked: int) -> None:
        copies = self._context.copies
        changed = [held for held in look.held if self._differs(held, look, asked)]
        if changed:
            await self._load(changed)
            await self.sharing.share(look)
        for raised in look.doubts:
            if (copy := copies.by_id(raised.node_id)) is not None and copy.lease.ours:
                self.doubting.note(copy, raised)
        await self._follow_up_awaited()
        for copy in copies:
            if copy.closing is Closing.CLOSING:
                self._listener.still_closing(copy)
            elif self._is_taken_for_stale(copy, look, asked):
                await self.storing.save(copy)
        for copy in copies:
            if not copy.lease.ours and copy.doubts.is_any:
                self.sharing.want(copy)
        self.looked.set()
        self.looked = asyncio.Event()

    def _differs(self, held: LeaseRow, look: Poll, asked: int) -> bool:
        copy = self._context.copies.by_id(held.node_id)
        if copy is None:
            return held.node_id not in self._context.copies.gone
        revision, state, read_at = look.rows[held.node_id]
        if (read_at or 0) > (copy.record.read_at or 0):
            copy.update(read_at=read_at)  # by another worker's program
        if asked < copy.lease.asked or held.generation < copy.lease.generation or copy.ahead:
            return False  # what we know is newer
        if copy.lease.ours:
            return revision > copy.record.revision  # a program changed it through a session of its own
        if (held.generation, held.leader, revision) != (copy.lease.generation, copy.lease.owner, copy.record.revision):
            return True
        return self.holding.has_leader(copy) and state != copy.record.state.value

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
                self._take_counts(copy, record)
                continue
            self.holding.take_over(copy, record, held, asked)

    def _is_taken_for_stale(self, copy: Copy, look: Poll, asked: int) -> bool:
        """Whether others do not believe a copy of ours that is live: when that was stored, something was in the way."""
        if (
            not copy.lease.ours
            or copy.record.state is not SyncState.LIVE
            or copy.listing.under_way
            or copy.ahead
            or asked < copy.lease.asked
        ):
            return False
        row = look.rows.get(copy.record.id)
        return row is not None and row[1] != SyncState.LIVE.value

    def _take_counts(self, copy: Copy, record: NodeRecord) -> None:
        """Of a copy of ours that a program changed."""
        if record.revision > copy.record.revision:
            copy.update(revision=record.revision, **record.counts._asdict())
            copy.tell()

    def look_soon(self) -> None:
        """What is remembered of a node turned out to be old."""
        self._look_in(0.0)

    # What other workers follow ---------------------------------------------------------------------------------------

    async def have_settled(self, copy: Copy) -> None:
        """Have the worker that follows the node look into it, and wait for that; or, should that worker end, follow the
        node ourselves. Raises what kept it from becoming live."""
        await self.doubting.hand_over(copy)
        while not copy.lease.ours:
            looked, asked = self.looked, ticket()
            standing = await self._context.database.read(polls.standing, copy.record.id)
            self.holding.refresh(copy, standing, asked)
            if standing is None or copy.dropped:
                raise NewsstandError("the copy was dropped meanwhile")
            if not standing.doubted or not copy.followed or copy.left:
                break
            if self.sharing.is_ours(copy) and not self.holding.has_leader(copy):
                await self.take_now(copy)  # each look around may show that nobody is left
                continue
            await looked.wait()
            if self._context.closed:
                raise NewsstandError("the replica is closed")
        if not copy.lease.ours and copy.record.state is not SyncState.LIVE:
            raise NewsstandError(f"not synchronised: {copy.record.reason}")

    async def _follow_up_awaited(self) -> None:
        """What the worker that follows a node did not take in for long, it may not have heard."""
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
                self.sharing.want(copy)
