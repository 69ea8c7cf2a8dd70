"""When the program last read each node, as the database remembers it: nodes that are unread for long are dropped."""

from __future__ import annotations

import logging
import math
import time

from newsstand.errors import NewsstandError
from newsstand.state.context import Context
from newsstand.state.copies import Copy
from newsstand.storage.statements import nodes

log = logging.getLogger(__name__)

LAG = 3_600
"""Seconds by which a node's time of reading may lag in the database: it counts in days."""


class ReadTimes:
    """Notes the times at which a replica's copies are read."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self.noted: dict[int, int | None] = {}
        """By copy, what its record says of when it was read, where that is recent enough."""
        self.valid_until = -math.inf
        """By the monotonic clock, until when `noted` may be relied on."""

    def note(self, copy: Copy) -> None:
        """The program read this node, now. Need not be called before `valid_until` for a copy whose record still says
        what is in `noted`: the driver compares the two itself, for this is on the path of every hit."""
        if time.monotonic() > self.valid_until:
            self.noted.clear()
            self.valid_until = time.monotonic() + LAG
        if not copy.followed:
            return
        now = self._context.clock()
        if now - (copy.record.read_at or 0) > LAG * 1_000_000:
            copy.update(read_at=now)
            self._context.spawn(self._write(copy.record.id, now), "noting a read")
        self.noted[copy.record.id] = copy.record.read_at

    async def _write(self, node_id: int, now: int) -> None:
        try:
            await self._context.database.write(nodes.note_read, node_id, now)
        except NewsstandError as error:
            log.info("a read could not be noted: %s", error)
