"""Drops nodes that the program does not read any more: those unread for `Settings.unread_days`, and, where all copies
together exceed `Settings.max_total_bytes`, those that were not read for longest."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable

from newsstand.errors import NewsstandError
from newsstand.state.context import DAY, Context
from newsstand.state.copies import Copy
from newsstand.upkeep.dropping import Dropped, Dropping
from newsstand.workers.leases import Leases

log = logging.getLogger(__name__)

SIZE_CHECK = 30.0
"""Seconds between two checks of how much the database holds."""


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


class UnreadNodes:
    """Finds the unread nodes among those that no other worker owns, and drops them in the background."""

    def __init__(self, context: Context, dropping: Dropping, leases: Leases) -> None:
        self._context = context
        self._dropping = dropping
        self._leases = leases
        self._timer: asyncio.TimerHandle | None = None

    def stop(self) -> None:
        """No more checks of the size: until the stream is up."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def drop_unread(self) -> None:
        """Drop what was not read for `Settings.unread_days`, unless it is being worked on. Nothing of it is served from
        this moment on."""
        since = self._context.clock() - self._context.settings.unread_days * DAY
        for copy in self._context.copies:
            if self._is_ours(copy) and (copy.record.read_at or 0) < since and copy.work.task is None:
                self._drop(copy)

    def limit_size(self) -> None:
        """Drop the copies that were not read for longest, where all take more than the database may hold; and set the
        timer for the next check."""
        self.stop()
        followed = [copy for copy in self._context.copies if copy.record.payload_bytes]
        held = sum(copy.record.payload_bytes for copy in followed)
        for copy in choose_to_drop(filter(self._is_ours, followed), held, self._context.settings.max_total_bytes):
            log.info("node %r of %s is dropped: the database holds too much", copy.key.node, copy.key.service)
            self._drop(copy)
        self._timer = asyncio.get_running_loop().call_later(SIZE_CHECK, self.limit_size)

    def _is_ours(self, copy: Copy) -> bool:
        return self._context.serves(copy.key.account) and not self._leases.owned_by_another(copy)

    def _drop(self, copy: Copy) -> None:
        self._context.spawn(self._forget(self._dropping.drop(copy)), f"forgetting {copy.key.node}")

    async def _forget(self, dropped: Dropped) -> None:
        try:
            await self._dropping.forget(dropped)
        except NewsstandError as error:
            log.info("node %r could not be forgotten: %s", dropped.copy.key.node, error)
