"""Makes rounds, hourly: erases what was kept of closed nodes, has unread nodes dropped, and prunes the log of
changes."""

from __future__ import annotations

import asyncio
import logging

from newsstand.errors import NewsstandError
from newsstand.model import SyncState
from newsstand.state.context import DAY, Context
from newsstand.storage.statements import change_log
from newsstand.sync.synchroniser import Synchroniser
from newsstand.upkeep.unread_nodes import UnreadNodes
from newsstand.workers.leases import Leases

log = logging.getLogger(__name__)

ROUND = 3_600.0
"""Seconds between two rounds."""


class Housekeeping:
    """Makes its round when a session begins, and hourly; revalidation and the limit of size have timers of their
    own."""

    def __init__(self, context: Context, synchroniser: Synchroniser, unread: UnreadNodes, leases: Leases) -> None:
        self._context = context
        self._synchroniser = synchroniser
        self._unread = unread
        self._leases = leases
        self._timer: asyncio.TimerHandle | None = None

    def stop(self) -> None:
        """No more rounds: until the stream is up."""
        self._unread.stop()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def make_round(self) -> None:
        """Do all that is due, and set the timer for the next round. What takes time goes on in the background; nothing
        of a dropped node is served from the first moment on."""
        self.stop()
        context = self._context
        now = context.clock()
        for copy in context.copies:
            ours = context.serves(copy.key.account) and not self._leases.owned_by_another(copy)
            if ours and copy.record.state is SyncState.GONE and 0 < (copy.record.retry_at or 0) <= now:
                context.spawn(self._synchroniser.closing.settle(copy), f"erasing {copy.key.node}")
        self._unread.drop_unread()
        context.spawn(self._prune(now - context.settings.change_days * DAY), "pruning the log of changes")
        self._timer = asyncio.get_running_loop().call_later(ROUND, self.make_round)
        self._synchroniser.revalidation.begin()
        self._unread.limit_size()

    async def _prune(self, before: int) -> None:
        try:
            await self._context.database.write(change_log.prune, before)
        except NewsstandError as error:
            log.info("the log of changes could not be pruned: %s", error)
