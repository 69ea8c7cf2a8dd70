"""Revalidates live copies of whose service nothing was received for `Settings.revalidate` seconds (900 by default):
the service is asked whether the account may still read the node, and whether the copy says the same.

Services revoke access, and lose subscriptions, without a word.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from newsstand.model import SeenItem, SyncState
from newsstand.rules.doubts import NOT_TOLD, Chores
from newsstand.state import doubts
from newsstand.state.context import Context
from newsstand.state.copies import Copy
from newsstand.storage.statements import items
from newsstand.sync import listing
from newsstand.sync.evictions import Evictions

CHECKS = 5
"""How often within `Settings.revalidate` seconds it is checked which copies are due."""


class Revalidation:
    """Finds the copies that are due, at regular intervals, and revalidates each. `want` has a copy worked on."""

    def __init__(self, context: Context, evictions: Evictions, want: Callable[[Copy], object]) -> None:
        self._context = context
        self._evictions = evictions
        self._want = want
        self._timer: asyncio.TimerHandle | None = None

    def begin(self) -> None:
        """Have the live nodes asked for of whose service nothing was received for long, and whether we are still
        subscribed where it did not say so for long; and set the timer for the next check, so that none waits longer
        than it may."""
        self.stop()
        loop, allowed = asyncio.get_running_loop(), self._context.settings.revalidate
        pause = allowed / CHECKS
        long_ago = loop.time() - allowed + pause
        for copy in self._context.copies:
            if not copy.lease.ours or copy.record.state is not SyncState.LIVE:
                continue
            asked_long_ago = copy.checked.answered_at < long_ago
            confirmed_long_ago = copy.session.confirmed_at < long_ago
            doubts.due(copy, Chores(revalidate=asked_long_ago, confirm=confirmed_long_ago))
            if copy.chores.revalidate or copy.chores.confirm:
                self._want(copy)
        self._timer = loop.call_later(pause, self.begin)

    def stop(self) -> None:
        """Nothing is revalidated: until the stream is up."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    async def revalidate(self, copy: Copy) -> float:
        """Ask whether the account may still read the node, which raises if not, and compare what that brings and the
        ids. The copy answers meanwhile: nothing speaks against it. Where it differs, a notification was lost:
        it may be another node of that name, though the service says that we are subscribed to it. So it is subscribed
        to again, and listed."""
        doubts.done(copy, Chores(revalidate=True))
        await copy.inbox.quiet()
        heard = copy.inbox.received
        iq = await listing.request_items(self._context, copy.key, max_items=1)
        answer = await listing.read_answer(self._context, iq)
        copy.checked.answered(asyncio.get_running_loop().time())
        await copy.inbox.quiet()
        same = [await self._holds(copy, item) for item in answer.items]
        rest, differs = 0.0, heard == copy.inbox.received and not all(same)
        if not differs:
            heard, count = copy.inbox.received, copy.record.item_count
            rest = await self._evictions.check_ids(copy)
            differs = heard == copy.inbox.received and (copy.doubts.relist or copy.record.item_count != count)
        if differs:
            doubts.doubt(copy, NOT_TOLD)
        return rest

    async def _holds(self, copy: Copy, item: SeenItem) -> bool:
        stored = await self._context.database.read(items.xml_by_ids, copy.record.id, [item.id])
        return item.quarantine is not None or stored == [item.xml]
