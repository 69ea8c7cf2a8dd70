"""How the workers of one database share its nodes: which ones a worker acquires, and which ones it releases
(docs/decisions/010-several-workers.md)."""

from __future__ import annotations

import asyncio
import logging
import math
from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping
from typing import Any

from newsstand.errors import NewsstandError
from newsstand.jid import canonical_bare
from newsstand.model import NodeRecord, SyncState
from newsstand.state.context import Context
from newsstand.state.copies import Copy, ticket
from newsstand.state.listener import Listener
from newsstand.storage.statements import doubt_rows, nodes, owners
from newsstand.storage.statements.doubt_rows import RaisedDoubt
from newsstand.storage.statements.owners import LeaseRow
from newsstand.storage.statements.polls import Poll
from newsstand.workers.leases import Leases
from newsstand.workers.shared_doubts import SharedDoubts

log = logging.getLogger(__name__)

SURPLUS = 1.25
"""A worker that owns more than so many times its share of the nodes releases the surplus to others."""


async def quietly(work: Callable[[], Awaitable[object]]) -> None:
    """Log what this could not do, where the next poll or heartbeat makes up for it."""
    try:
        await work()
    except NewsstandError as error:
        log.info("the database could not be polled, or the other workers not notified: %s", error)


class Assignment:
    """Acquires and releases nodes for one worker. `shares`: it acquires what nobody owns, not only what it is asked
    for."""

    def __init__(
        self, context: Context, leases: Leases, doubts: SharedDoubts, listener: Listener, *, shares: bool
    ) -> None:
        self._context = context
        self._leases = leases
        self._doubts = doubts
        self._listener = listener
        self.shares = shares
        self._share_lock = asyncio.Lock()
        self._wanted: set[Copy] = set()
        self._acquiring = False

    def is_ours(self, copy: Copy) -> bool:
        """Whether one of our account's workers is to own the node."""
        wanted = copy.followed and not copy.left and not copy.is_closing and not copy.lease.released
        return wanted and self._context.serves(copy.key.account)

    # Our share -----------------------------------------------------------------------------------------------------

    async def share(self, poll: Poll) -> None:
        """Acquire our share of what nobody owns, and release what is more than our share, or not to be followed. Raises
        DatabaseError."""
        if self._leases.begun and not self._share_lock.locked():  # else it is being done, of what is as new, nearly
            async with self._share_lock:
                await self._share_now({lease.node_id: lease.leader for lease in poll.leases})

    async def _share_now(self, leaders: Mapping[int, str | None]) -> None:
        owned = [copy for copy in self._context.copies if copy.lease.ours]
        idle = [copy for copy in owned if not copy.followed and copy.work.task is None and not copy.is_closing]
        if given := idle + self._find_surplus([copy for copy in owned if self.is_ours(copy)]):
            self._note_released(given)
            # Not waited for: it has its turn among all writes, and what nobody owns is acquired before them.
            self._context.spawn(self._leave_to_others(given), "releasing nodes")
        if not self.shares or not self._context.connected:
            return
        orphans = [
            copy
            for copy in self._context.copies
            if self._is_orphan(copy) and self._leases.peers.find(leaders.get(copy.record.id)) is None
        ]
        most = None if self._sharers() == 1 else max(0, self._share() - len(owned) + len(given))
        if orphans and most != 0:  # what was read last first
            await self.acquire(sorted(orphans, key=lambda copy: -(copy.record.read_at or 0)), most)

    def _find_surplus(self, ours: list[Copy]) -> list[Copy]:
        """What is more than our share, first what costs least to release: a worker that came later gets it."""
        share = self._share()
        if not self.shares or self._sharers() == 1 or len(ours) <= share * SURPLUS:
            return []
        ours.sort(key=lambda copy: (copy.record.state is SyncState.LIVE, copy.record.read_at or 0))
        surplus = [copy for copy in ours if copy.work.task is None or copy.record.state is not SyncState.LIVE]
        return surplus[: len(ours) - share]

    def _is_orphan(self, copy: Copy) -> bool:
        return not copy.lease.ours and not copy.saves and self.is_ours(copy) and not self._leases.owned_by_another(copy)

    def _sharers(self) -> int:
        """How many workers share our accounts' nodes, we among them."""
        own = self._context.own_jid
        theirs = (row for row in self._leases.peers.alive() if canonical_bare(row.account) == own)
        return 1 + sum(row.shares and row.notified for row in theirs)

    def _share(self) -> int:
        """How many nodes each worker is to own."""
        return math.ceil(sum(map(self.is_ours, self._context.copies)) / self._sharers())

    # Releasing -----------------------------------------------------------------------------------------------------

    async def release(self, copy: Copy) -> None:
        """Release a node that is not to be followed any more: whoever wants it again may acquire it. Where the database
        cannot store that now, the next poll makes up for it."""
        if copy.lease.ours:
            await quietly(lambda: self._release_all([copy]))
            self.want(copy)  # it may have been opened again meanwhile

    async def _release_all(self, given: Collection[Copy]) -> None:
        """Raises DatabaseError."""
        self._note_released(given)
        await self._store_released(given)

    def _note_released(self, given: Collection[Copy]) -> None:
        """From now on they are nobody's, whatever the database says until it knows."""
        for copy in given:
            self._leases.release(copy)

    async def _store_released(self, given: Collection[Copy]) -> None:
        """Raises DatabaseError."""
        try:
            ids = [copy.record.id for copy in given]
            await self._context.database.write(owners.release, self._leases.worker, ids)
        finally:
            for copy in given:
                self._leases.released(copy)

    async def _leave_to_others(self, given: Collection[Copy]) -> None:
        try:
            await self._store_released(given)
        except NewsstandError as error:
            log.info("nodes that were released could not be stored as such: %s", error)
            for copy in given:
                if copy.doubtful:  # they call it live, and something happened to it that only we would have stored
                    self.want(copy)

    # Acquiring -----------------------------------------------------------------------------------------------------

    def want(self, copy: Copy) -> None:
        """Have work done on a copy that is not ours: a node that nobody owns is acquired, and what is in doubt of
        another worker's is handed to that worker; this also where the node is an account's that we wrote for by
        privilege."""
        ours = self.is_ours(copy)
        if not self._leases.begun or not self._context.connected or not (ours or copy.own.by_privilege):
            return
        if not self._leases.owned_by_another(copy):
            if not ours:
                return
            self._wanted.add(copy)
            if not self._acquiring:
                self._acquiring = True
                self._context.spawn(quietly(self._acquire_wanted), "acquiring nodes")
        elif copy.doubts.is_any and not self._doubts.is_handing_over(copy):
            work = quietly(lambda: self._doubts.hand_over(copy))
            self._context.spawn(work, f"handing over doubts of {copy.key.node}")

    async def _acquire_wanted(self) -> None:
        try:
            while self._wanted:
                wanted = list(self._wanted)
                self._wanted.clear()
                await self.acquire(wanted)
        finally:
            self._acquiring = False

    async def acquire(self, copies: Iterable[Copy], most: int | None = None) -> None:
        """Acquire these nodes, `most` at most, but for those that another worker owns. Raises DatabaseError."""
        wanted = {copy.record.id: copy for copy in copies if not copy.lease.ours and self.is_ours(copy)}
        ids = list(wanted)
        if not ids:
            return

        def run(conn: Any) -> tuple[list[LeaseRow], list[NodeRecord], list[RaisedDoubt]]:
            acquired = owners.acquire(conn, self._leases.worker, ids, self._leases.peers.is_alive, most)
            mine = [held.node_id for held in acquired]
            return acquired, nodes.load(conn, mine), doubt_rows.doubts_of(conn, mine)

        # Not before the first heartbeat is stored, or nobody would believe it; nor before what is being saved of them.
        first = self._leases.ready and not any(copy.saves for copy in wanted.values())
        database = self._context.database
        acquired, records, doubts = await (database.write_first if first else database.write)(run)
        asked = ticket()  # not before: what we wrote until then is known by now
        by_id, found = {held.node_id: held for held in acquired}, {record.id: record for record in records}
        for node_id, copy in wanted.items():  # in their order: so they are synchronised
            if node_id in found and not (copy.dropped or copy.lease.ours or copy.is_closing):
                if copy.lease.owner is not None:
                    log.info("node %r of %s is taken over from another worker", copy.key.node, copy.key.service)
                self._leases.load(copy, found[node_id], by_id[node_id], asked)
                self._leases.acquired(copy, by_id[node_id])
                self._doubts.begin(copy, [doubt for doubt in doubts if doubt.node_id == node_id])
                self._listener.acquired(copy)

    async def seize(self, copy: Copy) -> None:
        """Acquire a node, whoever owns it now: for what cannot wait for that worker. Raises DatabaseError."""
        node_id = copy.record.id
        held, doubts = await self._context.database.write(
            lambda conn: (owners.seize(conn, self._leases.worker, node_id), doubt_rows.doubts_of(conn, [node_id]))
        )
        if held is None:
            self._leases.drop(copy)
        elif not copy.dropped:
            self._leases.acquired(copy, held)
            self._doubts.begin(copy, doubts)
