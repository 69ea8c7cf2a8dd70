"""What one worker owns, for the other packages: they ask here whether it owns a node, and have it acquire one
(docs/decisions/010-several-workers.md).

A worker owns a node under its lease. The others read the node's copy from the database, where it says by itself
whether anybody vouches for it, and what is in doubt (must be checked before the copy may answer).
"""

from __future__ import annotations

import uuid

from newsstand.errors import NewsstandError
from newsstand.model import SyncState
from newsstand.state.context import Context
from newsstand.state.copies import Copy, ticket
from newsstand.state.listener import Listener
from newsstand.storage.statements import polls
from newsstand.workers.assignment import Assignment
from newsstand.workers.lease_renewal import Heartbeat
from newsstand.workers.leases import Leases
from newsstand.workers.peers import Peers, lease_clock
from newsstand.workers.polling import Polling
from newsstand.workers.shared_doubts import SharedDoubts
from newsstand.workers.storing import Storing


class Ownership:
    """One worker, which is one open replica, and its parts. `shares`: it acquires what nobody owns, not only what it is
    asked for."""

    def __init__(self, context: Context, listener: Listener, *, shares: bool) -> None:
        self._context = context
        self.worker = uuid.uuid4().hex
        self._peers = Peers(self.worker)
        self.leases = Leases(context, self.worker, self._peers, listener)
        self.storing = Storing(context, self.leases)
        self.doubts = SharedDoubts(context, self.leases, self.storing, listener)
        self.assignment = Assignment(context, self.leases, self.doubts, listener, shares=shares)
        self.polling = Polling(context, self.leases, self._peers, self.storing, self.doubts, self.assignment, listener)
        self.heartbeat = Heartbeat(context, self.leases, self.doubts, self.assignment, self.polling, listener)

    # Beginning and end ---------------------------------------------------------------------------------------------

    async def open(self) -> None:
        """Poll for the first time, and again and again from now on. Raises DatabaseError."""
        try:
            await self.polling.open()
        except BaseException:
            self.stop()
            raise

    async def begin(self) -> None:
        """Renew the lease from now on, and acquire what nobody owns. What the database does not let us do now is tried
        again."""
        await self.heartbeat.begin()

    def begin_again(self) -> None:
        """As `begin`, where this worker was at work before."""
        if self.leases.begun:
            self._context.spawn(self.begin(), "renewing the lease")

    def session_began(self, *, fresh: bool) -> None:
        """Notifications reach us again. In a `fresh` session nothing of ours is live, from this moment on."""
        self.heartbeat.session_began(fresh=fresh)

    def session_lost(self) -> None:
        """No notifications reach us. What we own stays ours until the lease ends, and is live to nobody."""
        self.heartbeat.session_lost()

    def stop(self) -> None:
        """Poll no more, and do not renew the lease."""
        self.polling.stop()
        self.heartbeat.stop()

    async def close(self) -> None:
        """Release all that we own. Called after `stop`, and when no work is under way."""
        self.stop()
        self.polling.wake()
        await self.heartbeat.end()

    # Nodes ---------------------------------------------------------------------------------------------------------

    def is_notified(self, copy: Copy) -> bool:
        """Whether the worker that owns this node is notified of its changes, as far as is known at this moment."""
        context = self._context
        if copy.lease.ours:
            return lease_clock() < self.heartbeat.valid_until
        if context.speaks_for(copy.key.account) and not context.serves(copy.key.account):
            return False  # our own stream's notifications are taken in by another client of this process
        row = None if copy.lease.released else self._peers.find(copy.lease.owner)
        return row is not None and row.notified

    async def acquire_now(self, copy: Copy) -> None:
        """Acquire a node that somebody waits for, unless another worker owns it. Raises DatabaseError."""
        await self.heartbeat.get_ready()
        await self.assignment.acquire([copy])

    async def have_settled(self, copy: Copy) -> None:
        """Have the worker that owns the node look up what is in doubt, and wait for that; or, should that worker end,
        acquire the node ourselves. Raises what kept it from becoming live."""
        await self.doubts.hand_over(copy)
        while not copy.lease.ours:
            polled, asked = self.polling.polled, ticket()
            standing = await self._context.database.read(polls.standing, copy.record.id)
            self.leases.refresh(copy, standing, asked)
            if standing is None or copy.dropped:
                raise NewsstandError("the copy was dropped meanwhile")
            if not standing.doubted or not copy.followed or copy.left:
                break
            if self.assignment.is_ours(copy) and not self.leases.owned_by_another(copy):
                await self.acquire_now(copy)  # each poll may show that nobody is left
                continue
            await polled.wait()
            if self._context.closed:
                raise NewsstandError("the replica is closed")
        if not copy.lease.ours and copy.record.state is not SyncState.LIVE:
            raise NewsstandError(f"not synchronised: {copy.record.reason}")
