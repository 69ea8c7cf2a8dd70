"""Several workers on one database, while much of one of them waits to be written: what keeps its leases goes on, and
what comes first undoes nothing of what waits."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy import Connection, select

from newsstand.model import SyncState
from newsstand.storage.database import Database
from newsstand.storage.mapping import Worker, table
from newsstand.storage.statements import doubt_rows, owners
from newsstand.storage.statements import nodes as statements
from newsstand.workers.storing import Storing
from tests.contract._storage import Gate
from tests.contract._workers import Workers, database_of, die, ownership_of, owns, serves, standing, until
from tests.fakes.hold import SECONDS, Hold
from tests.fakes.program import NODE, Program, at_work

NODES = [f"node {number}" for number in range(4)]
WORKER = table(Worker)


async def end_of_lease(program: Program) -> int:
    """By the database's clock, unless it is renewed."""
    mine = select(WORKER.c.until).where(WORKER.c.id == ownership_of(program).worker)
    return await database_of(program).read(lambda conn: int(conn.execute(mine).scalar_one()))


def queue(database: Database, statement: Callable[[Connection], Any]) -> asyncio.Task[Any]:
    """A write in its turn."""
    return asyncio.ensure_future(database.write(statement))


def hold_up(database: Database, gate: Gate) -> asyncio.Task[Any]:
    """What comes behind it waits until the gate is open."""
    return queue(database, lambda _: gate.wait())


@pytest.mark.parametrize("ready", [True, False])
async def test_the_lease_is_put_off_while_what_a_beat_led_to_waits_to_be_stored(
    workers: Workers, ready: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with workers.another(lease=100 * SECONDS) as only:  # heartbeats come when the test says so
        await only.follow()
        ownership, database = ownership_of(only), database_of(only)
        hold = Hold()

        async def saving(self: Storing, *_: Any, **__: Any) -> bool:
            await hold.wait()
            return True

        await database.write(owners.mark_stale, ownership.worker, "by some accident", None)
        monkeypatch.setattr(Storing, "save", saving)
        ownership.leases.ready = ready
        first = asyncio.ensure_future(ownership.heartbeat.renew())
        await hold.reached()
        before = await end_of_lease(only)
        async with asyncio.timeout(SECONDS):
            await ownership.heartbeat.renew()
        assert await end_of_lease(only) > before
        hold.release()
        monkeypatch.undo()
        await first
        await ownership.polling.poll()
        await serves(only)


async def test_what_nobody_follows_any_more_is_taken_over_while_what_is_given_up_waits(
    workers: Workers, monkeypatch: pytest.MonkeyPatch
) -> None:
    for node in [*NODES, "other"]:
        workers.service.create(node, "a")
    hold, held = Hold(), asyncio.Event()
    async with workers.another() as first:
        for node in NODES:
            await first.follow(node)
        database = database_of(first)
        write = database.write

        async def writing(statement: Any, *args: Any, **kwargs: Any) -> Any:
            if statement is owners.release:
                held.set()
                await hold.wait()
            return await write(statement, *args, **kwargs)

        monkeypatch.setattr(database, "write", writing)
        async with workers.another() as second:
            await second.follow("other")
            looking = asyncio.ensure_future(until(held.is_set, first))
            await hold.reached()
            die(second)
            try:
                await until(lambda: owns(first, "other"), first)
            finally:
                hold.release()
            await looking
        await until(lambda: all(owns(first, node) for node in NODES), first)
        await first.serves_live("other")


async def test_nobody_follows_a_node_before_it_has_said_that_it_is_at_work(workers: Workers) -> None:
    async with workers.another() as first:
        await first.follow()
    async with workers.database() as database:
        gate = Gate(database)
        strangers: list[owners.LeaseRow] = []

        def look_at_leaders(conn: Connection) -> None:
            there = {row.id for row in owners.workers(conn)}
            strangers.extend(held for held in owners.all_leases(conn) if held.leader not in {None, *there})

        holding = hold_up(database, gate)
        await gate.reached.wait()
        looked = queue(database, look_at_leaders)
        await asyncio.sleep(0)
        async with at_work(database, workers.service) as only:
            await asyncio.sleep(0)  # its first heartbeat waits
            poll = asyncio.ensure_future(ownership_of(only).polling.poll())
            await asyncio.sleep(0.2)  # nothing tells when it has come to take the node over
            gate.open()
            await asyncio.gather(holding, looked, poll)
            assert strangers == []
            await until(lambda: owns(only), only)
            await only.serves_live()


async def test_what_is_being_remembered_of_a_node_is_not_overtaken_by_what_takes_it_over(workers: Workers) -> None:
    async with workers.another() as only:
        await only.follow()
        workers.service.delete(NODE)
        await only.settled()
        assert only.copy().record.state is SyncState.GONE
        await ownership_of(only).polling.poll()
        assert (await standing(only)).lease.leader is None
        workers.service.create(NODE, "n")
        database, ownership = database_of(only), ownership_of(only)
        gates = [Gate(database), Gate(database)]
        holding = [hold_up(database, gate) for gate in gates]
        await gates[0].reached.wait()
        await only.read()
        await until(lambda: only.copy().followed, only)  # it is judged anew, and that waits to be stored
        poll = asyncio.ensure_future(ownership.polling.poll())
        await asyncio.sleep(0.2)  # nothing tells when it has come to take the node over
        gates[0].open()
        await gates[1].reached.wait()
        await asyncio.sleep(0.05)  # time enough to do what must not be done
        assert only.copy().followed
        gates[1].open()
        await asyncio.gather(*holding, poll)
        await only.settled()
        await only.serves_live()


async def test_what_was_read_last_is_synchronised_first_where_much_is_taken_over(workers: Workers) -> None:
    order = [NODES[2], NODES[0], NODES[3], NODES[1]]
    for node in NODES:
        workers.service.create(node, "a")
    async with workers.another() as first:
        for node in NODES:
            await first.follow(node)
        now = first.replica._open.context.clock()
        for number, node in enumerate(reversed(order), 1):
            await database_of(first).write(statements.note_read, first.copy(node).record.id, now + number)
    workers.service.requests.clear()
    async with workers.another(parallel=1) as second:
        await second.settled()
        assert all(owns(second, node) for node in NODES)
        asked = [request.node for request in workers.service.requests if request.kind == "items"]
        assert list(dict.fromkeys(asked)) == order


async def test_who_waits_for_a_node_that_is_just_given_up_lets_that_be_stored(workers: Workers) -> None:
    async with workers.another(lease=100 * SECONDS) as only:
        await only.follow()
        ownership, database, copy = ownership_of(only), database_of(only), only.copy()
        gate = Gate(database)
        holding = hold_up(database, gate)
        raising = queue(database, lambda conn: doubt_rows.raise_doubts(conn, copy.record.id, [doubt_rows.WHOLE]))
        await gate.reached.wait()
        giving_up = asyncio.ensure_future(ownership.assignment._release_all([copy]))
        gate.open()
        await asyncio.gather(holding, raising)
        waiting = asyncio.ensure_future(ownership.have_settled(copy))  # its row says that it is ours, and in doubt
        async with asyncio.timeout(SECONDS):
            await giving_up
            await ownership.polling.poll()
            await waiting
        assert copy.lease.ours
        await only.replica.settled()
        await serves(only)
