"""Closes nodes that are gone, or that the service refuses to us ("forbidden", say): nothing of their copies is served
any more."""

from __future__ import annotations

import logging
from typing import Any

from newsstand.errors import DatabaseError, LeaseLost
from newsstand.model import Counts, SyncState
from newsstand.state import resets
from newsstand.state.context import DAY, Context
from newsstand.state.copies import Copy
from newsstand.state.work import Closing
from newsstand.storage.statements import doubt_rows, nodes
from newsstand.sync.retrying import Retrying
from newsstand.workers.ownership import Ownership

log = logging.getLogger(__name__)


class ClosedNodes:
    """Closes nodes of one replica, erases their items, and opens those again that are wanted anew."""

    def __init__(self, context: Context, ownership: Ownership, retrying: Retrying) -> None:
        self._context = context
        self._assignment = ownership.assignment
        self._storing = ownership.storing
        self._retrying = retrying

    async def close(self, copy: Copy, reason: str, *, refused: bool = False) -> None:
        """The node is gone, or `refused` to us from now on: nothing of it is served or found. The next read of the
        program that succeeds begins anew."""
        self.shut(copy, reason, refused=refused)
        await self.settle(copy)

    def shut(self, copy: Copy, reason: str, *, refused: bool = False) -> None:
        """What must be so at once of a node that is closed; `settle` does the rest."""
        until = self._context.clock() + self._context.settings.refused_days * DAY if refused else None
        if copy.record.state is not SyncState.GONE:
            log.info("node %r of %s is closed: %s", copy.key.node, copy.key.service, reason)
        copy.closing = Closing.CLOSING
        self._context.copies.closings += 1
        resets.close(copy, reason, until)
        self._retrying.forget(copy)

    def reopen(self, copy: Copy) -> None:
        """The node is wanted: it is not to be stored any more that it was closed."""
        copy.closing = Closing.OPEN

    async def settle(self, copy: Copy) -> None:
        """Store that a node was shut, unless it was opened again, and erase its items: those of one that was refused
        when their time is over. Whoever follows it must not go on. What the database does not let us do now is tried
        again."""
        if copy.closing is Closing.CLOSING:
            copy.closing = Closing.SETTLING
        try:
            if not copy.lease.ours:
                await self._assignment.seize(copy)
            try:
                await self._store(copy)
            except LeaseLost:  # somebody took it over, and we did not know
                await self._assignment.seize(copy)
                await self._store(copy)
            copy.closing = Closing.OPEN
        except DatabaseError as error:
            log.warning("that node %r is closed could not be stored: %s", copy.key.node, error)
            return
        finally:
            if copy.closing is Closing.SETTLING:
                copy.closing = Closing.CLOSING
        await self._assignment.release(copy)

    async def _store(self, copy: Copy) -> None:
        record = copy.record
        if record.state is not SyncState.GONE or copy.dropped:
            return
        erase = record.retry_at is None or record.retry_at <= self._context.clock()
        if erase:
            copy.update(retry_at=None, **Counts()._asdict())
            record = copy.record

        def write(conn: Any) -> None:
            nodes.save(conn, record)
            if erase:
                nodes.erase_items(conn, record.id)
            doubt_rows.settle_all(conn, record.id)

        await self._storing.write(copy, write)
        copy.notify_watchers()
