"""Several workers on one database, while much of one of them waits to be written: what keeps its leases goes on, and
what comes first undoes nothing of what waits."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy import Connection, select

from newsstand.context import Context
from newsstand.storage import leases
from newsstand.storage.database import Database
from newsstand.storage.mapping import Worker, table
from tests.contract._storage import Gate
from tests.contract._workers import Workers, database_of, die, lead_of, leads, serves, until
from tests.fakes.hold import SECONDS, Hold
from tests.fakes.program import Program

NODES = [f"node {number}" for number in range(4)]
WORKER = table(Worker)


async def end_of_lease(program: Program) -> int:
    """By the database's clock, unless it is put off."""
    mine = select(WORKER.c.until).where(WORKER.c.id == lead_of(program).worker)
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
    async with workers.another(lease=100 * SECONDS) as only:  # beats come when the test says so
        await only.follow()
        lead, database = lead_of(only), database_of(only)
        hold = Hold()

        async def saving(self: Context, *_: Any, **__: Any) -> bool:
            await hold.wait()
            return True

        await database.write(leases.age, lead.worker, "by some accident", None)
        monkeypatch.setattr(Context, "save", saving)
        lead.ready = ready
        first = asyncio.ensure_future(lead._beat())
        await hold.reached()
        before = await end_of_lease(only)
        async with asyncio.timeout(SECONDS):
            await lead._beat()
        assert await end_of_lease(only) > before
        hold.release()
        monkeypatch.undo()
        await first
        await lead.look()
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
            if statement is leases.give_up:
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
                await until(lambda: leads(first, "other"), first)
            finally:
                hold.release()
            await looking
        await until(lambda: all(leads(first, node) for node in NODES), first)
        await first.serves_live("other")
