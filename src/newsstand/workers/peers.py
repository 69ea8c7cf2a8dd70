"""The other workers on a database, as far as is known: who may still be at work, and for how long."""

from __future__ import annotations

import asyncio
import math
import os
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial

from newsstand.storage.statements.owners import WorkerRow
from newsstand.workers.processes import has_ended, this_process

ENDED = 0.5
"""Seconds for which it is believed that a process is still there."""


class Here:
    """The workers of this process, each of one event loop. What runs in a loop that was closed ended with it, whether
    it said so or not."""

    def __init__(self) -> None:
        self._loops: dict[str, asyncio.AbstractEventLoop] = {}

    def add(self, worker: str) -> None:
        """Add a worker of the running loop."""
        for other, loop in list(self._loops.items()):
            if loop.is_closed():
                self.discard(other)
        self._loops[worker] = asyncio.get_running_loop()

    def discard(self, worker: str) -> None:
        self._loops.pop(worker, None)

    def __contains__(self, worker: str) -> bool:
        loop = self._loops.get(worker)
        return loop is not None and not loop.is_closed()

    def forget(self) -> None:
        """Forget all, in a child process: none of its parent's workers runs here."""
        self._loops.clear()


here = Here()
os.register_at_fork(after_in_child=here.forget)


_BOOTTIME: int | None = getattr(time, "CLOCK_BOOTTIME", None)
lease_clock: Callable[[], float] = time.monotonic if _BOOTTIME is None else partial(time.clock_gettime, _BOOTTIME)
"""The clock of leases, in seconds. It goes on while the machine is suspended, where the machine can tell."""


@dataclass(frozen=True, slots=True)
class _Peer:
    """What was last read of another worker."""

    row: WorkerRow
    ends: float
    """When its lease ends, by the lease clock, unless it is renewed."""


class Peers:
    """The other workers, as one worker knows them from its polls."""

    def __init__(self, own: str) -> None:
        self._own = own
        self._known: dict[str, _Peer] = {}
        self._there_until: dict[str, float] = {}

    def saw_all(self, rows: Iterable[WorkerRow]) -> None:
        """A poll showed these workers, and no others."""
        now = lease_clock()
        self._known = {row.id: _Peer(row, now + row.left / 1e6) for row in rows}

    def saw(self, worker: str, row: WorkerRow | None) -> None:
        """This was read of one worker; None: it has no row."""
        if row is None:
            self._known.pop(worker, None)
        else:
            self._known[worker] = _Peer(row, lease_clock() + row.left / 1e6)

    def find(self, worker: str | None) -> WorkerRow | None:
        """Another worker, if it may still be at work."""
        peer = self._known.get(worker) if worker is not None and worker != self._own else None
        if peer is None or peer.ends <= lease_clock() or not self._is_there(peer.row):
            return None
        return peer.row

    def alive(self) -> list[WorkerRow]:
        """All others that may still be at work."""
        return [row for worker in list(self._known) if (row := self.find(worker)) is not None]

    def next_end(self) -> float:
        """Seconds until the first of their leases ends, unless it is renewed."""
        now = lease_clock()
        ends = [peer.ends - now for worker, peer in self._known.items() if worker != self._own and peer.ends > now]
        return min(ends, default=math.inf)

    def is_alive(self, row: WorkerRow) -> bool:
        """Whether a worker whose row was read at this moment may be at work. Called in the writer's thread, too."""
        return row.left > 0 and self._is_there(row)

    def _is_there(self, row: WorkerRow) -> bool:
        if row.id in here:
            return True
        now = lease_clock()
        if self._there_until.get(row.id, -math.inf) < now:
            if row.process == this_process() or has_ended(row.process):
                return False
            self._there_until[row.id] = now + ENDED
        return True
