"""How the workers of one database share its nodes: what one of them takes, and what it gives up
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
from newsstand.workers.doubts import SharedDoubts
from newsstand.workers.leases import Leases

log = logging.getLogger(__name__)

SURPLUS = 1.25
"""So many times its part a worker follows before it gives nodes up to others."""


async def quietly(work: Callable[[], Awaitable[object]]) -> None:
    """Where the next look or beat sees to what this could not."""
    try:
        await work()
    except NewsstandError as error:
        log.info("the other workers could not be looked at, or told: %s", error)


class Assignment:
    """Of one worker. `shares`: it takes over what nobody follows, not only what it is asked for."""

    def __init__(
        self, context: Context, holding: Leases, doubting: SharedDoubts, listener: Listener, *, shares: bool
    ) -> None:
        self._context = context
        self._holding = holding
        self._doubting = doubting
        self._listener = listener
        self.shares = shares
        self._sharing = asyncio.Lock()
        self._wanted: set[Copy] = set()
        self._taking = False

    def is_ours(self, copy: Copy) -> bool:
        """Whether one of our account's workers is to follow the node."""
        wanted = copy.followed and not copy.left and not copy.is_closing and not copy.lease.released
        return wanted and self._context.serves(copy.key.account)

    # Our part ------------------------------------------------------------------------------------------------------

    async def share(self, look: Poll) -> None:
        """Take our part of what nobody follows, and leave to others what is more than that, or followed by nobody.
        Raises DatabaseError."""
        if self._holding.begun and not self._sharing.locked():  # else it is being done, of what is as new, nearly
            async with self._sharing:
                await self._share_now({held.node_id: held.leader for held in look.held})

    async def _share_now(self, leaders: Mapping[int, str | None]) -> None:
        led = [copy for copy in self._context.copies if copy.lease.ours]
        idle = [copy for copy in led if not copy.followed and copy.work.task is None and not copy.is_closing]
        if given := idle + self._find_surplus([copy for copy in led if self.is_ours(copy)]):
            self._let_go_of(given)
            # Not waited for: it has its turn among all writes, and what nobody follows is taken before them.
            self._context.spawn(self._leave_to_others(given), "giving nodes up")
        if not self.shares or not self._context.connected:
            return
        orphans = [
            copy
            for copy in self._context.copies
            if self._is_orphan(copy) and self._holding.peers.find(leaders.get(copy.record.id)) is None
        ]
        room = None if self._sharers() == 1 else max(0, self._part() - len(led) + len(given))
        if orphans and room != 0:  # what was read last first
            await self.take(sorted(orphans, key=lambda copy: -(copy.record.read_at or 0)), room)

    def _find_surplus(self, ours: list[Copy]) -> list[Copy]:
        """What a worker that came later gets: first what costs least to give."""
        part = self._part()
        if not self.shares or self._sharers() == 1 or len(ours) <= part * SURPLUS:
            return []
        ours.sort(key=lambda copy: (copy.record.state is SyncState.LIVE, copy.record.read_at or 0))
        surplus = [copy for copy in ours if copy.work.task is None or copy.record.state is not SyncState.LIVE]
        return surplus[: len(ours) - part]

    def _is_orphan(self, copy: Copy) -> bool:
        return not copy.lease.ours and not copy.saves and self.is_ours(copy) and not self._holding.has_leader(copy)

    def _sharers(self) -> int:
        """How many workers share our accounts' nodes, we among them."""
        own = self._context.own_jid
        theirs = (row for row in self._holding.peers.alive() if canonical_bare(row.account) == own)
        return 1 + sum(row.shares and row.notified for row in theirs)

    def _part(self) -> int:
        return math.ceil(sum(map(self.is_ours, self._context.copies)) / self._sharers())

    # Giving up -----------------------------------------------------------------------------------------------------

    async def release(self, copy: Copy) -> None:
        """There is nothing to follow any more: whoever wants it again may. What the database cannot be told now, the
        next look sees to."""
        if copy.lease.ours:
            await quietly(lambda: self._give_up([copy]))
            self.want(copy)  # it may have been opened again meanwhile

    async def _give_up(self, given: Collection[Copy]) -> None:
        """Raises DatabaseError."""
        self._let_go_of(given)
        await self._tell_given_up(given)

    def _let_go_of(self, given: Collection[Copy]) -> None:
        """Until the database knows, they are nobody's."""
        for copy in given:
            self._holding.release(copy)

    async def _tell_given_up(self, given: Collection[Copy]) -> None:
        """Raises DatabaseError."""
        try:
            ids = [copy.record.id for copy in given]
            await self._context.database.write(owners.release, self._holding.worker, ids)
        finally:
            for copy in given:
                self._holding.released(copy)

    async def _leave_to_others(self, given: Collection[Copy]) -> None:
        try:
            await self._tell_given_up(given)
        except NewsstandError as error:
            log.info("the other workers could not be left what is theirs: %s", error)
            for copy in given:
                if copy.doubtful:  # they call it live, and something happened to it that only we would have stored
                    self.want(copy)

    # Taking --------------------------------------------------------------------------------------------------------

    def want(self, copy: Copy) -> None:
        """Somebody wants work done on a copy that is not ours to follow: where nobody follows it, it becomes ours, and
        where somebody does, what is in doubt is handed to them."""
        if not self._holding.begun or not self._context.connected or not self.is_ours(copy):
            return
        if not self._holding.has_leader(copy):
            self._wanted.add(copy)
            if not self._taking:
                self._taking = True
                self._context.spawn(quietly(self._take_wanted), "following nodes")
        elif copy.doubts.is_any and not self._doubting.is_handing_over(copy):
            work = quietly(lambda: self._doubting.hand_over(copy))
            self._context.spawn(work, f"handing over doubts of {copy.key.node}")

    async def _take_wanted(self) -> None:
        try:
            while self._wanted:
                wanted = list(self._wanted)
                self._wanted.clear()
                await self.take(wanted)
        finally:
            self._taking = False

    async def take(self, copies: Iterable[Copy], most: int | None = None) -> None:
        """Follow these nodes from now on, `most` at most, but for those that another worker follows. Raises
        DatabaseError."""
        wanted = {copy.record.id: copy for copy in copies if not copy.lease.ours and self.is_ours(copy)}
        ids = list(wanted)
        if not ids:
            return

        def run(conn: Any) -> tuple[list[LeaseRow], list[NodeRecord], list[RaisedDoubt]]:
            taken = owners.acquire(conn, self._holding.worker, ids, self._holding.peers.is_alive, most)
            mine = [held.node_id for held in taken]
            return taken, nodes.load(conn, mine), doubt_rows.doubts_of(conn, mine)

        # Not before the word that we are at work, or nobody would believe it; nor before what is remembered of them.
        first = self._holding.ready and not any(copy.saves for copy in wanted.values())
        database = self._context.database
        taken, records, doubts = await (database.write_first if first else database.write)(run)
        asked = ticket()  # not before: what we wrote until then is known by now
        by_id, found = {held.node_id: held for held in taken}, {record.id: record for record in records}
        for node_id, copy in wanted.items():  # in their order: so they are synchronised
            if node_id in found and not (copy.dropped or copy.lease.ours or copy.is_closing):
                if copy.lease.owner is not None:
                    log.info("node %r of %s is taken over from another worker", copy.key.node, copy.key.service)
                self._holding.take_over(copy, found[node_id], by_id[node_id], asked)
                self._holding.hold(copy, by_id[node_id])
                self._doubting.begin(copy, [doubt for doubt in doubts if doubt.node_id == node_id])
                self._listener.acquired(copy)

    async def seize(self, copy: Copy) -> None:
        """Follow a node from now on, whoever does it now: for what cannot wait for them. Raises DatabaseError."""
        node_id = copy.record.id
        held, doubts = await self._context.database.write(
            lambda conn: (owners.seize(conn, self._holding.worker, node_id), doubt_rows.doubts_of(conn, [node_id]))
        )
        if held is None:
            self._holding.drop(copy)
        elif not copy.dropped:
            self._holding.hold(copy, held)
            self._doubting.begin(copy, doubts)
