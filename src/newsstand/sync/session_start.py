"""The start of a session: until it is over, no requests of our own are sent but those that pay
(docs/decisions/021-the-start-of-a-session.md)."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

from newsstand.errors import DatabaseError
from newsstand.model import ItemsRequest, SyncState
from newsstand.rules.start import COUNTED, is_lent, pays
from newsstand.state.context import Context
from newsstand.state.copies import Copy
from newsstand.storage.statements import nodes

log = logging.getLogger(__name__)


class SessionStart:
    """The first seconds of each session, as many as the setting `quiet_start` says. `is_waited_for` says whether
    somebody waits until a copy is live; `over` is called when they are over."""

    def __init__(self, context: Context, is_waited_for: Callable[[Copy], bool], over: Callable[[], None]) -> None:
        self._context = context
        self._is_waited_for = is_waited_for
        self._over = over
        self._timer: asyncio.TimerHandle | None = None
        self.is_on = False
        """Whether a session has just begun."""
        self.is_deaf = False
        """Whether one has just begun in which the program sent no presence yet."""

    def begin(self) -> None:
        """A fresh session began."""
        self.stop()
        if (seconds := self._context.settings.quiet_start) > 0:
            self._timer = asyncio.get_running_loop().call_later(seconds, self._end)
            self.is_on = True

    def begin_deaf(self) -> None:
        """A session began, and nothing is notified in it before the program sends presence."""
        self.stop()
        if (seconds := self._context.settings.quiet_start) > 0:
            self._timer = asyncio.get_running_loop().call_later(seconds, self.stop)
            self.is_deaf = True

    def _end(self) -> None:
        self.stop()
        self._over()

    def stop(self) -> None:
        """The session is over, or the replica is closed."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self.is_on = self.is_deaf = False

    def holds_back(self, copy: Copy) -> bool:
        """Whether the copy waits until the session's start is over, while it is on."""
        if copy.record.state is SyncState.LIVE or self._is_waited_for(copy):
            return False
        record = copy.record
        return not pays(
            expected=copy.reads.expected,
            reads=copy.reads.count,
            complete=record.complete,
            count=record.item_count,
        )

    def lends(self, request: ItemsRequest, copy: Copy) -> bool:
        """Whether this read of the program is to be the listing of its node."""
        record = copy.record
        return (
            self.is_on
            and not request.privileged
            and record.state is SyncState.STALE
            and is_lent(
                expected=copy.reads.expected,
                whole=not request.item_ids and request.max_items is None and not request.paged,
                complete=record.complete,
                count=record.item_count,
            )
        )

    # What the next session will know

    def tell_reads(self, copy: Copy) -> None:
        """The program read a node more often than in the session before."""
        self._context.spawn(self.write({copy.record.id: copy.reads.tell()}), "noting how often a node is read")

    def fewer(self) -> dict[int, int]:
        """The session is over: the copies that were read less often in it than in the one before, and how often, for
        `write`. One that was not read at all tells nothing."""
        reads = {copy.record.id: copy.reads for copy in self._context.copies}
        return {node_id: of.count for node_id, of in reads.items() if 0 < of.count < min(of.expected, COUNTED)}

    async def write(self, reads: dict[int, int]) -> None:
        """Remember how often copies, by id, are read in a session."""
        if not reads:
            return
        try:
            await self._context.database.write(nodes.note_session_reads, reads)
        except DatabaseError as error:
            log.info("how often nodes are read could not be noted: %s", error)
