"""The heartbeat, by which a worker renews its lease (docs/decisions/010-several-workers.md).

A worker owns its nodes as long as it renews its lease in time. It renews the lease three times within its length, and
polls in the same transaction. Others may acquire its nodes once the lease has ended.
"""

from __future__ import annotations

import asyncio
import logging
import math
from typing import Any

from newsstand.errors import NewsstandError
from newsstand.model import SyncState
from newsstand.state.context import Context
from newsstand.state.copies import ticket
from newsstand.state.listener import Listener
from newsstand.storage.statements import doubt_rows, owners, polls
from newsstand.storage.statements.doubt_rows import RaisedDoubt
from newsstand.storage.statements.polls import Poll
from newsstand.workers.assignment import Assignment, quietly
from newsstand.workers.leases import Leases
from newsstand.workers.peers import here, lease_clock
from newsstand.workers.polling import Polling
from newsstand.workers.processes import this_process
from newsstand.workers.shared_doubts import SharedDoubts

log = logging.getLogger(__name__)

HEARTBEATS = 3
"""How often a worker renews its lease within the length of one."""
BEGAN = "a new session began"
_NOT_STORED = "what came of its synchronisation could not be stored"


class Heartbeat:
    """Renews one worker's lease, from `begin` until the session or the worker ends."""

    def __init__(
        self,
        context: Context,
        leases: Leases,
        doubts: SharedDoubts,
        assignment: Assignment,
        polling: Polling,
        listener: Listener,
    ) -> None:
        self._context = context
        self._leases = leases
        self._doubts = doubts
        self._assignment = assignment
        self._polling = polling
        self._listener = listener
        self._fresh = False
        """A fresh session began, and the database does not know."""
        self.valid_until = -math.inf
        """By the lease clock. Until then no other worker can have acquired what we own, and we are notified of what
        happens to it. Where the session ends, or another client keeps the account's copies, this ends at once."""
        self._failing = False
        self._renewing = False
        self._timer: asyncio.TimerHandle | None = None

    @property
    def _lease(self) -> float:
        return self._context.settings.lease

    async def begin(self) -> None:
        """Renew the lease from now on, and acquire what nobody owns. What the database does not let us do now is tried
        again."""
        self._leases.begun = True
        here.add(self._leases.worker)
        await self.renew()

    def session_began(self, *, fresh: bool) -> None:
        """Notifications reach us again. In a `fresh` session nothing of ours is live, from this moment on."""
        self._fresh |= fresh
        self._leases.ready = False

    def session_lost(self) -> None:
        """No notifications reach us. What we own stays ours until the lease ends, and is live to nobody."""
        self.valid_until = -math.inf
        self._leases.ready = False
        self.stop()
        if self._leases.begun:
            work = quietly(lambda: self._context.database.write(owners.session_lost, self._leases.worker))
            self._context.spawn(work, "storing that the session is lost")

    def stop(self) -> None:
        """Do not renew the lease any more."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    async def end(self) -> None:
        """Release all that we own. Called after `stop`, and when no work is under way."""
        worker = self._leases.worker
        if self._leases.begun:
            self._leases.begun = False
            await quietly(lambda: self._context.database.write(owners.remove_worker, worker))
        here.discard(worker)

    async def renew(self) -> None:
        """Renew the lease now, and again in a third of its length."""
        if self._context.closed or not self._leases.begun:
            return
        self._renew_in(self._lease / HEARTBEATS)
        if self._renewing and self._leases.ready:
            return  # one waits for the database: a second one would only wait behind it
        try:
            await self.renew_now()
        except NewsstandError as error:
            report = log.info if self._failing else log.warning
            report("nothing is followed while the database cannot be written: %s", error)
            self._failing = True
        else:
            self._failing = False

    def _renew_in(self, seconds: float) -> None:
        self.stop()
        self._timer = asyncio.get_running_loop().call_later(
            seconds, lambda: self._context.spawn(self.renew(), "renewing the lease")
        )

    async def renew_now(self) -> None:
        """Renew the lease, once, and take in what the others did. Raises DatabaseError."""
        context, transport = self._context, self._context.transport
        if transport is None or not self._context.connected or not self._leases.begun:
            return
        worker = self._leases.worker
        began, turns, fresh = lease_clock(), context.session_changes, self._fresh
        own, process, lease = context.own_jid, this_process(), int(self._lease * 1e6)
        known, before = self._polling.known(), self._polling.last
        owned = [copy for copy in context.copies if copy.lease.ours]
        # What could not be stored in its time: that it is not live, or in doubt. Not of what is just being stored.
        resting = [copy for copy in owned if not copy.listing.under_way and not copy.saves]
        not_live = [copy.record.id for copy in resting if copy.record.state is not SyncState.LIVE]
        doubtful = [] if fresh else [copy for copy in owned if self._doubts.is_unshared(copy)]

        def run(conn: Any) -> tuple[Poll, list[list[RaisedDoubt]]]:
            owners.mark_stale(conn, worker, BEGAN if fresh else _NOT_STORED, None if fresh else not_live)
            raised = [doubt_rows.raise_doubts(conn, copy.record.id, [doubt_rows.WHOLE]) for copy in doubtful]
            owners.renew_lease(conn, worker, own, process, notified=True, shares=self._assignment.shares, lease=lease)
            return polls.poll(conn, worker, before), raised

        # What an earlier session left to be written comes before the word that nothing of it holds any more.
        ready, database = self._leases.ready, context.database
        self._renewing = True
        try:
            poll, raised = await (database.write_first if ready else database.write)(run)
        finally:
            self._renewing = False  # what it leads to may wait for long, and the next heartbeat not for that
        asked = ticket()  # not before: what we wrote until then is known by now
        for copy, doubts in zip(doubtful, raised, strict=True):
            self._doubts.keep(copy, doubts)
        if turns != context.session_changes:
            return
        self._fresh = False
        self._polling.take_in_leases(poll, known, asked)
        self.valid_until = began + self._lease if context.serves(own) else -math.inf
        if not self._leases.ready:
            self._leases.ready = True
            self._listener.may_begin()
        if ready and self._polling.is_taking_in:
            await self._assignment.share(poll)  # what is being taken in is as new, nearly
        else:
            await self._polling.take_in(poll, asked)

    async def get_ready(self) -> None:
        """Have the database know that we are at work, before work that somebody waits for. Raises DatabaseError."""
        if not self._leases.begun:
            await self.begin()
        if not self._leases.ready:
            await self.renew_now()
