"""Who follows which node, where several workers use one database (docs/decisions/010-several-workers.md).

A worker follows a node under a lease, which ends when it is not heard from any more. The others read the node's copy
from the database, where it says by itself whether anybody vouches for it, and what is in doubt.
"""

from __future__ import annotations

import asyncio
import dataclasses
import logging
import math
import uuid
from collections.abc import Awaitable, Callable, Collection, Iterable
from typing import Any

from newsstand.context import Context
from newsstand.copies import Copy
from newsstand.errors import ConfigurationError, DatabaseError, NewsstandError
from newsstand.model import NodeRecord, SyncState
from newsstand.processes import has_ended, this_process
from newsstand.storage import leases, nodes
from newsstand.storage.leases import Held, Look, RaisedDoubt, Standing, WorkerRow
from newsstand.ways import Way

log = logging.getLogger(__name__)

BEATS = 3
"""How often within a lease its end is put off."""
POLL = 1.0
"""Seconds between two looks around, where nothing hints at one."""
SOON = 0.02
"""Seconds after the end of a lease when it is looked whether it was put off."""
HINTED = 0.2
"""Seconds between two looks at least, however many hints come."""
SURPLUS = 1.25
"""So many times its part a worker follows before it gives nodes up to others."""
AWAITED = 2.0
"""Seconds that the worker which follows a node may take over news that we heard of it, too."""
ENDED = 0.5
"""Seconds for which it is believed that a process is still there."""

_UNHEARD = "not heard from since the last session"

_here: set[str] = set()
"""The workers of this process."""


def _nothing(copy: Copy) -> None:
    return None


class Leading:
    """One worker: of one replica. `shares`: it takes over what nobody follows, not only what it is asked for."""

    def __init__(self, context: Context, *, shares: bool) -> None:
        self._context = context
        self._shares = shares
        self.worker = uuid.uuid4().hex
        self._begun = False
        self.ready = False
        """In this session, the database knows that we are at work, and what of ours is not live any more."""
        self._valid_until = -math.inf
        """By the loop's clock. Until then nobody else can have taken over what we follow."""
        self._workers: dict[str, WorkerRow] = {}
        """All that there are, as they were when we last looked."""
        self._looked_at = -math.inf
        self._alive_until: dict[str, float] = {}
        """By worker, until when it is not asked again whether its process is there."""
        self._raised: dict[Copy, dict[RaisedDoubt, None]] = {}
        """Doubts in the database that the work on these copies settles."""
        self._settled: dict[RaisedDoubt, None] = {}
        self._wanted: set[Copy] = set()
        self._taking = False
        self._asking: set[Copy] = set()
        self._timers: dict[str, asyncio.TimerHandle] = {}
        self._looking = False
        self._look_again = False
        self.looked = asyncio.Event()
        """Set after each look; each time there is a new one."""
        self.taken: Callable[[Copy], None] = _nothing
        """Called when a copy becomes ours to follow."""
        self.went_on: Callable[[], None] = lambda: None
        """Called in each session when work may begin."""
        self.lost: Callable[[Copy], None] = _nothing
        """Called when it is that no more: another worker's, or dropped."""
        self.doubted: Callable[[Copy], None] = _nothing
        """Called when somebody else doubts a copy of ours."""
        context.lease_lost = self._lease_lost
        context.database.listen(self._hinted)

    # Its own time --------------------------------------------------------------------------------------------------

    @property
    def _lease(self) -> float:
        return self._context.settings.lease

    async def open(self) -> None:
        """Look around for the first time, and again and again from now on. Raises DatabaseError."""
        await self.look()

    def go_on(self, *, fresh: bool) -> None:
        """As `begin`, where we follow something at all."""
        if self._begun:
            self._context.spawn(self.begin(fresh=fresh), "going on")

    async def begin(self, *, fresh: bool) -> None:
        """Notifications reach us: put the lease off from now on, and take what nobody follows. In a `fresh` session
        nothing is live. What the database does not let us do now is tried again."""
        self._begun = True
        _here.add(self.worker)
        await self._beat(fresh=fresh)

    def fall_silent(self) -> None:
        """No notifications reach us. What we follow stays ours until the lease is over, and is live to nobody."""
        self._valid_until = -math.inf
        self.ready = False
        self._stop("beat")
        if self._begun:
            self._write_soon("silence", leases.fall_silent)

    async def close(self) -> None:
        """Leave what we follow to others."""
        self._context.database.unlisten(self._hinted)
        for name in list(self._timers):
            self._stop(name)
        self.looked.set()
        if self._begun:
            self._begun = False
            await self._quietly(lambda: self._context.database.write(leases.end, self.worker))
        _here.discard(self.worker)

    async def _beat(self, *, fresh: bool = False) -> None:
        context = self._context
        loop, number = asyncio.get_running_loop(), context.session_number
        self._at("beat", self._lease / BEATS, lambda: context.spawn(self._beat(fresh=fresh_still()), "going on"))
        began, done = loop.time(), False

        def fresh_still() -> bool:
            return fresh and not done and number == context.session_number

        transport = context.transport
        if transport is None or self._is_silent():
            return
        own, process, known = transport.own_jid, this_process(), self._known()

        def run(conn: Any) -> Look:
            if fresh:
                leases.age(conn, self.worker, "a new session began")
            lease = int(self._lease * 1e6)
            leases.beat(conn, self.worker, own, process, hears=True, shares=self._shares, lease=lease)
            return leases.look(conn, self.worker)

        try:
            look = await context.database.write(run)
        except DatabaseError as error:
            log.info("the lease could not be put off: %s", error)
            return
        done = True
        if number != context.session_number or self._is_silent():
            return
        self._valid_until = began + self._lease
        if not self.ready:
            self.ready = True
            self.went_on()
        await self._quietly(lambda: self._take_in(look, known))

    def _is_silent(self) -> bool:
        return not self._context.connected

    def _at(self, name: str, seconds: float, then: Callable[[], object]) -> None:
        self._stop(name)
        self._timers[name] = asyncio.get_running_loop().call_later(seconds, then)

    def _stop(self, name: str) -> None:
        if (timer := self._timers.pop(name, None)) is not None:
            timer.cancel()

    def _write_soon(self, name: str, statement: Callable[..., None], *args: object) -> None:
        """Of this worker, in the background."""
        self._context.spawn(self._quietly(lambda: self._context.database.write(statement, self.worker, *args)), name)

    async def _quietly(self, work: Callable[[], Awaitable[object]]) -> None:
        """It is tried again, sooner or later."""
        try:
            await work()
        except NewsstandError as error:
            log.info("the other workers could not be looked at, or told: %s", error)

    # What is known of copies and of other workers ------------------------------------------------------------------

    def hears(self, copy: Copy) -> bool:
        """Whether somebody is told what happens to this node, as far as is known at this moment."""
        context = self._context
        if copy.led:
            ours = context.connected and context.serves(copy.key.account)
            return ours and asyncio.get_running_loop().time() < self._valid_until
        if context.speaks_for(copy.key.account) and not context.serves(copy.key.account):
            return False  # what our own stream is told, another client of this process takes in
        row = self._workers.get(copy.leader or "")
        return row is not None and row.hears and self._is_alive_still(row)

    def _is_alive_still(self, row: WorkerRow) -> bool:
        past = (asyncio.get_running_loop().time() - self._looked_at) * 1e6
        return self._is_alive(row._replace(left=int(row.left - past)))

    def _is_alive(self, row: WorkerRow) -> bool:
        """Whether a worker may still be at work. Called in the writer's thread, too."""
        if row.left <= 0:
            return False
        process = this_process()
        if row.process == process:
            return row.id in _here
        return not has_ended(row.process)

    def has_leader(self, copy: Copy) -> bool:
        """Whether another worker follows the node."""
        row = self._workers.get(copy.leader or "")
        return not copy.led and row is not None and self._is_alive_still(row)

    def refresh(self, copy: Copy, standing: Standing | None) -> None:
        """Take over how a copy that another worker may follow stands in the database."""
        if copy.led or copy.closing:
            return
        if standing is None:
            self._drop(copy)
            return
        if standing.held.generation < copy.generation:
            return
        if standing.worker is not None:
            self._looked_at_one(standing.worker)
        elif standing.held.leader is not None:
            self._workers.pop(standing.held.leader, None)
        copy.doubted = standing.doubted
        self._take_over(copy, standing.record, standing.held)

    def _looked_at_one(self, row: WorkerRow) -> None:
        past = 0.0 if math.isinf(self._looked_at) else asyncio.get_running_loop().time() - self._looked_at
        self._workers[row.id] = row._replace(left=int(row.left + past * 1e6))

    def _take_over(self, copy: Copy, record: NodeRecord, held: Held) -> None:
        """What the database says of a copy that is not ours."""
        before = copy.record
        read_at = max(before.read_at or 0, record.read_at or 0) or None
        copy.record = dataclasses.replace(record, read_at=read_at)
        copy.generation, copy.leader = held.generation, held.leader
        if not self.has_leader(copy):
            copy.age(_UNHEARD)
        if (before.revision, before.state) != (record.revision, record.state):
            copy.cursors.known.clear()
            copy.covered.clear()
            copy.tell()

    # Looking around ------------------------------------------------------------------------------------------------

    def _hinted(self, node_id: int) -> None:
        """Something happened to a node: perhaps by ourselves."""
        self._at("look", HINTED, self._look_soon)

    def _look_soon(self) -> None:
        if not self._context.closed and not self._looking:
            self._context.spawn(self._quietly(self.look), "looking around")

    async def look(self) -> None:
        """See what other workers did, and what they ask."""
        self._looking = True
        try:
            known = self._known()
            look = await self._context.database.scan(leases.look, self.worker)
            await self._take_in(look, known)
        finally:
            self._looking = False
            if not self._context.closed:
                self._at("look", self._pause(), self._look_soon)

    def _pause(self) -> float:
        """Until the next look: when somebody's lease will be over, unless it is put off, one is due."""
        left = [row.left / 1e6 for row in self._workers.values() if row.left > 0 and row.id != self.worker]
        return min([POLL, *(seconds + SOON for seconds in left)])

    def _known(self) -> set[int]:
        return {copy.record.id for copy in self._context.copies}

    async def _take_in(self, look: Look, known: set[int]) -> None:
        """`known`: the nodes that we knew before."""
        copies = self._context.copies
        self._workers = {row.id: row for row in look.workers}
        self._looked_at = asyncio.get_running_loop().time()
        self._age()
        there = {held.node_id for held in look.held}
        for node_id in known - there:
            if (copy := copies.by_id(node_id)) is not None:
                self._drop(copy)
        changed = [held for held in look.held if self._differs(held, look)]
        if changed:
            await self._load(changed)
        for doubt in look.doubts:
            if (copy := copies.by_id(doubt.node_id)) is not None and copy.led:
                self._note_doubt(copy, doubt)
        await self._follow_up_awaited()
        if self._begun and self._shares:
            self._give_up_surplus()
            orphans = [copy for copy in copies if self._is_orphan(copy)]
            if orphans:
                await self.take(orphans, self._room())
        for copy in copies:
            if not copy.led and (copy.relist or copy.refetch or copy.check_ids):
                self.want(copy)
        self.looked.set()
        self.looked = asyncio.Event()

    def _age(self) -> None:
        """Nobody follows these any more: what their copies say is from before."""
        for copy in self._context.copies:
            if not copy.led and not copy.closing and not self.has_leader(copy):
                copy.age(_UNHEARD)

    def _differs(self, held: Held, look: Look) -> bool:
        copy = self._context.copies.by_id(held.node_id)
        if copy is None:
            return True
        revision, state, read_at = look.rows[held.node_id]
        if (read_at or 0) > (copy.record.read_at or 0):
            copy.update(read_at=read_at)  # by another worker's program
        if held.generation < copy.generation or copy.closing:
            return False  # what we know is newer
        if copy.led:
            return (held.generation, held.leader) != (copy.generation, self.worker)
        if (held.generation, held.leader, revision) != (copy.generation, copy.leader, copy.record.revision):
            return True
        return self.has_leader(copy) and state != copy.record.state.value

    async def _load(self, changed: Collection[Held]) -> None:
        ids = [held.node_id for held in changed]
        records, now = await self._context.database.scan(
            lambda conn: (nodes.load(conn, ids), leases.held_by_id(conn, ids))
        )
        by_id = {held.node_id: held for held in now}
        for record in records:
            held = by_id[record.id]
            copy = self._context.copies.by_id(record.id)
            if copy is None:
                copy = self._context.copies.find(record.key)
                if copy is not None:
                    continue  # begun anew: the one that we know is newer, or about to be found dropped
                copy = self._context.copies.add(record)
            elif held.generation < copy.generation or copy.closing:
                continue
            elif copy.led:
                if (held.generation, held.leader) == (copy.generation, self.worker):
                    continue
                self._let_go(copy)
            self._take_over(copy, record, held)

    def _let_go(self, copy: Copy) -> None:
        """Another worker follows it."""
        copy.led = False
        self._raised.pop(copy, None)
        self.lost(copy)

    def _drop(self, copy: Copy) -> None:
        """Its row is gone."""
        if copy.record.id == 0 or copy.dropped:
            return
        copy.led = False
        self._raised.pop(copy, None)
        self._context.copies.drop(copy)
        self.lost(copy)

    def _lease_lost(self, copy: Copy) -> None:
        """A write was refused, because another worker has the node in hand."""
        if copy.led:
            self._let_go(copy)
        self._look_soon()

    # Taking and giving up ------------------------------------------------------------------------------------------

    def _is_ours(self, copy: Copy) -> bool:
        return copy.followed and not copy.left and self._context.serves(copy.key.account)

    def _is_orphan(self, copy: Copy) -> bool:
        return not copy.led and self._is_ours(copy) and not self.has_leader(copy)

    def _sharers(self) -> int:
        """How many workers share our accounts' nodes, we among them."""
        mine = self._workers.get(self.worker)
        account = mine.account if mine is not None else None
        others = [
            row
            for row in self._workers.values()
            if row.id != self.worker and row.shares and row.hears and row.account == account
        ]
        return 1 + sum(map(self._is_alive_still, others))

    def _part(self) -> float:
        ours = sum(1 for copy in self._context.copies if self._is_ours(copy))
        return math.ceil(ours / self._sharers())

    def _room(self) -> int | None:
        """How many more nodes are ours to take; None where nobody else would."""
        if self._sharers() == 1:
            return None
        return max(0, int(self._part()) - sum(copy.led for copy in self._context.copies))

    def _give_up_surplus(self) -> None:
        """A worker that came later gets its part: first what costs least to give."""
        led = [copy for copy in self._context.copies if copy.led and self._is_ours(copy)]
        part = int(self._part())
        if self._sharers() == 1 or len(led) <= part * SURPLUS:
            return
        led.sort(key=lambda copy: (copy.record.state is SyncState.LIVE, copy.record.read_at or 0))
        surplus = [copy for copy in led if copy.work is None or copy.record.state is not SyncState.LIVE]
        given = surplus[: len(led) - part]
        for copy in given:
            self._let_go(copy)
            copy.leader = None
        ids = [copy.record.id for copy in given]
        self._write_soon("giving nodes up", leases.give_up, ids)

    def want(self, copy: Copy) -> None:
        """Somebody wants work done on a copy that is not ours to follow: where nobody follows it, it becomes ours, and
        where somebody does, what is in doubt is handed to them."""
        if not self._begun or not self._context.connected or not self._is_ours(copy):
            return
        if not self.has_leader(copy):
            self._wanted.add(copy)
            if not self._taking:
                self._taking = True
                self._context.spawn(self._quietly(self._take_wanted), "following nodes")
        elif (copy.relist or copy.refetch or copy.check_ids) and copy not in self._asking:
            self._context.spawn(self._quietly(lambda: self._ask(copy)), f"handing over doubts of {copy.key.node}")

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
        if not self._begun:
            await self.begin(fresh=False)
        ids = [copy.record.id for copy in copies if not copy.dropped and not copy.led]

        def run(conn: Any) -> tuple[list[Held], list[NodeRecord], list[Held], list[RaisedDoubt]]:
            taken = leases.take(conn, self.worker, ids, self._is_alive, most)
            mine = [held.node_id for held in taken]
            return taken, nodes.load(conn, ids), leases.held_by_id(conn, ids), leases.doubts_of(conn, mine)

        taken, records, now, doubts = await self._context.database.write(run)
        mine = {held.node_id for held in taken}
        by_id = {held.node_id: held for held in now}
        for record in records:
            copy = self._context.copies.by_id(record.id)
            if copy is None or copy.led or by_id[record.id].generation < copy.generation:
                continue
            self._take_over(copy, record, by_id[record.id])
            if record.id in mine:
                self._begin_to_lead(copy, [doubt for doubt in doubts if doubt.node_id == record.id])

    async def seize(self, copy: Copy) -> None:
        """Follow a node from now on, whoever does it now: for what cannot wait for them. Raises DatabaseError."""
        if copy.led or copy.dropped:
            return
        held = await self._context.database.write(leases.seize, self.worker, copy.record.id)
        if held is None:
            self._drop(copy)
        else:
            copy.generation, copy.leader, copy.led = held.generation, held.leader, True

    def _begin_to_lead(self, copy: Copy, doubts: Iterable[RaisedDoubt]) -> None:
        copy.led, copy.doubted = True, False
        copy.awaited.clear()
        self._raised[copy] = dict.fromkeys(doubts)
        self.taken(copy)

    async def release(self, copy: Copy) -> None:
        """There is nothing to follow any more: whoever wants it again may. Raises DatabaseError."""
        if copy.led:
            self._let_go(copy)
            copy.leader = None
            await self._context.database.write(leases.give_up, self.worker, [copy.record.id])

    # Doubts --------------------------------------------------------------------------------------------------------

    def keep(self, copy: Copy, doubts: Iterable[RaisedDoubt]) -> None:
        """We raised these ourselves, of a copy that we follow."""
        self._raised.setdefault(copy, {}).update(dict.fromkeys(doubts))

    async def tell_doubt(self, copy: Copy) -> None:
        """What is in doubt of a copy of ours that others would call live, they are told. Raises as `Context.write`."""
        if copy.record.state is SyncState.LIVE and copy.doubtful and not self._raised.get(copy):
            whole = [leases.WHOLE]
            self.keep(copy, await self._context.write(copy, leases.raise_doubts, copy.record.id, whole))

    def has_doubts(self, copy: Copy) -> bool:
        """Whether the database knows of some that are still to be settled."""
        return bool(self._raised.get(copy))

    async def settle(self, copy: Copy) -> None:
        """What was in doubt of a copy of ours is looked into. Raises as `Context.write`."""
        doubts = list(self._raised.get(copy, ()))
        await self._context.write(copy, leases.settle, doubts)
        for doubt in doubts:
            self._raised.get(copy, {}).pop(doubt, None)
            self._settled[doubt] = None
        while len(self._settled) > 1_000:
            del self._settled[next(iter(self._settled))]

    def _note_doubt(self, copy: Copy, doubt: RaisedDoubt) -> None:
        raised = self._raised.setdefault(copy, {})
        if doubt in raised or doubt in self._settled:
            return
        raised[doubt] = None
        copy.heard += 1  # what was asked for before this moment may be older
        stays = self._context.ways(copy.key.service).overwritten is Way.STAYS
        if doubt.item_id != leases.WHOLE and stays:
            copy.refetch.add(doubt.item_id)
        else:
            copy.relist = True  # where an item that was written without our hearing of it stands, a listing shows
            copy.subscribed = False  # and we may not hear of it because of that; subscribing again changes nothing
        self.doubted(copy)

    async def _ask(self, copy: Copy) -> None:
        """Hand what is in doubt to the worker that follows the node. Until the database says so, the copy does."""
        self._asking.add(copy)
        copy.asking += 1
        try:
            while copy.relist or copy.check_ids or copy.refetch:
                whole = copy.relist or copy.check_ids
                wanted = [leases.WHOLE] if whole else sorted(copy.refetch)
                refetch = set(copy.refetch)
                copy.relist = copy.check_ids = False
                copy.refetch.clear()
                try:
                    await self._context.database.write(leases.raise_doubts, copy.record.id, wanted)
                except (DatabaseError, ConfigurationError):
                    copy.relist |= whole
                    copy.refetch |= refetch
                    raise
                copy.doubted = True
                copy.behind = False
        finally:
            copy.asking -= 1
            self._asking.discard(copy)

    async def have_settled(self, copy: Copy) -> None:
        """Have the worker that follows the node look into it, and wait for that; or, should that worker end, follow the
        node ourselves. Raises what kept it from becoming live."""
        await self._ask(copy)
        while True:
            looked = self.looked
            standing = await self._context.database.read(leases.standing, copy.record.id)
            self.refresh(copy, standing)
            if standing is None or copy.dropped:
                raise NewsstandError("the copy was dropped meanwhile")
            if not standing.doubted:
                break
            if not self.has_leader(copy):
                await self.take([copy])
                if copy.led:
                    copy.relist = True
                    return
            await looked.wait()
            if self._context.closed:
                raise NewsstandError("the replica is closed")
        if copy.record.state is not SyncState.LIVE:
            raise NewsstandError(f"not synchronised: {copy.record.reason}")

    # News of nodes that others follow ------------------------------------------------------------------------------

    async def look_up_awaited(self, copy: Copy) -> None:
        """See which of the news that we heard are in the copy."""
        if copy.awaited:
            wanted = list(copy.awaited)
            copy.found(await self._context.database.read(leases.contents, copy.record.id, wanted))

    async def _follow_up_awaited(self) -> None:
        """What the worker that follows a node did not take in for long, it may not have heard."""
        for copy in self._context.copies:
            if not copy.awaited:
                continue
            await self.look_up_awaited(copy)
            overdue = copy.overdue(asyncio.get_running_loop().time() - AWAITED)
            if overdue:
                copy.refetch.update(overdue)
                for item_id in overdue:
                    copy.awaited.pop(item_id, None)
                self.want(copy)
