"""The light foot: what the program does not read any more is dropped, and old log entries with it."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable
from typing import NamedTuple

from newsstand.errors import NewsstandError
from newsstand.model import SyncState
from newsstand.rules.doubts import Chores
from newsstand.state import doubts
from newsstand.state.context import DAY, Context
from newsstand.state.copies import Copy
from newsstand.storage.statements import change_log, nodes
from newsstand.sync.synchroniser import Synchroniser
from newsstand.workers.leases import Leases

log = logging.getLogger(__name__)

ROUND = 3_600.0
"""Seconds between two rounds."""
ROOM = 30.0
"""Seconds between two looks at how much the database holds."""
GLANCES = 5
"""How often within the time that a node may go unasked it is looked for those that are due."""


def choose_to_drop(copies: Iterable[Copy], held: int, most: int) -> list[Copy]:
    """Those of the copies that go first, so that no more than nine tenths of `most` bytes are held of the `held` ones:
    what was not read for longest. None of it before there is too much; and never the one that was read last, which
    would only come back."""
    chosen: list[Copy] = []
    if held > most:
        for copy in sorted(copies, key=lambda copy: copy.record.read_at or 0)[:-1]:
            if held <= most * 9 // 10:
                break
            held -= copy.record.payload_bytes
            chosen.append(copy)
    return chosen


class Dropped(NamedTuple):
    """A copy that is not ours any more, and whether it was followed until then."""

    copy: Copy
    followed: bool


class Housekeeping:
    """Makes its round when a session begins, and hourly."""

    def __init__(self, context: Context, synchroniser: Synchroniser, leases: Leases) -> None:
        self._context = context
        self._synchroniser = synchroniser
        self._leases = leases
        self._timer: asyncio.TimerHandle | None = None
        self._glance: asyncio.TimerHandle | None = None
        self._room: asyncio.TimerHandle | None = None

    def stop(self) -> None:
        for timer in (self._timer, self._glance, self._room):
            if timer is not None:
                timer.cancel()
        self._timer = self._glance = self._room = None

    def glance(self) -> None:
        """Have the live nodes asked for of which the service was silent for long, and whether we are still subscribed
        where it did not say so for long; and set the clock for the next look, so that none waits longer than it may."""
        loop, allowed = asyncio.get_running_loop(), self._context.settings.revalidate
        pause = allowed / GLANCES
        long_ago = loop.time() - allowed + pause
        for copy in self._context.copies:
            if not copy.lease.ours or copy.record.state is not SyncState.LIVE:
                continue
            asked_long_ago, confirmed_long_ago = (
                copy.checked.answered_at < long_ago,
                copy.session.confirmed_at < long_ago,
            )
            doubts.due(copy, Chores(revalidate=asked_long_ago, confirm=confirmed_long_ago))
            if copy.chores.revalidate or copy.chores.confirm:
                self._synchroniser.want(copy)
        self._glance = loop.call_later(pause, self.glance)

    def make_round(self) -> None:
        """Drop what is unread, prune the log, and set the clock for the next round. What takes time goes on in the
        background; nothing of a dropped node is served from the first moment on."""
        self.stop()
        context = self._context
        now = context.clock()
        unread = now - context.settings.unread_days * DAY
        for copy in context.copies:
            ours = context.serves(copy.key.account) and not self._leases.owned_by_another(copy)
            if ours and copy.record.state is SyncState.GONE and 0 < (copy.record.retry_at or 0) <= now:
                context.spawn(self._synchroniser.closing.settle(copy), f"erasing {copy.key.node}")
            if ours and (copy.record.read_at or 0) < unread and copy.work.task is None:
                context.spawn(self._forget(self.drop(copy)), f"forgetting {copy.key.node}")
        context.spawn(self._prune(now - context.settings.change_days * DAY), "pruning the log of changes")
        self._timer = asyncio.get_running_loop().call_later(ROUND, self.make_round)
        self.glance()
        self.make_room()

    def make_room(self) -> None:
        """Drop the copies that were not read for longest, where all take more than the database may hold; and set the
        clock for the next time."""
        context = self._context
        followed = [copy for copy in context.copies if copy.record.payload_bytes]
        ours = [c for c in followed if context.serves(c.key.account) and not self._leases.owned_by_another(c)]
        held = sum(copy.record.payload_bytes for copy in followed)
        for copy in choose_to_drop(ours, held, context.settings.max_total_bytes):
            log.info("node %r of %s is dropped: the database holds too much", copy.key.node, copy.key.service)
            context.spawn(self._forget(self.drop(copy)), f"forgetting {copy.key.node}")
        self._room = asyncio.get_running_loop().call_later(ROOM, self.make_room)

    def drop(self, copy: Copy) -> Dropped:
        """Serve nothing of a copy from this moment on, and end the work on it; `forget` does the rest."""
        dropped = Dropped(copy, copy.followed)
        copy.update(state=SyncState.UNSYNCED, complete=False, reason="the copy was dropped")
        copy.inbox.empty()
        self._context.copies.drop(copy)
        self._synchroniser.forget(copy)
        return dropped

    async def forget(self, dropped: Dropped) -> None:
        """Take a dropped copy out of the database, and unsubscribe if we can and nobody began it anew. Raises
        DatabaseError."""
        await self.erase(dropped)
        await self.unsubscribe(dropped)

    async def erase(self, dropped: Dropped) -> None:
        """First, and at once: if the program reads the node again, it must not find the old rows. Raises
        DatabaseError."""
        await self._context.database.write(nodes.remove, dropped.copy.record.id)
        self._context.copies.removed(dropped.copy.record.id)

    async def unsubscribe(self, dropped: Dropped) -> None:
        """As far as we can, unless somebody began it anew. It may have to wait for its service."""
        copy = dropped.copy
        again = self._context.copies.find(copy.key)
        may_ask = self._context.online and self._context.speaks_for(copy.key.account)
        if dropped.followed and may_ask and (again is None or not again.followed):
            await self._synchroniser.subscriptions.end(copy)

    async def _forget(self, dropped: Dropped) -> None:
        try:
            await self.forget(dropped)
        except NewsstandError as error:
            log.info("node %r could not be forgotten: %s", dropped.copy.key.node, error)

    async def _prune(self, before: int) -> None:
        try:
            await self._context.database.write(change_log.prune, before)
        except NewsstandError as error:
            log.info("the log of changes could not be pruned: %s", error)
