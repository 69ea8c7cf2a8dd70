"""What the tests of several workers share."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

from newsstand.model import NodeKey, Origin
from newsstand.storage.database import Database, open_database
from newsstand.storage.statements import owners, polls
from newsstand.workers import peers
from newsstand.workers.ownership import Ownership
from newsstand.workers.processes import this_process
from tests.fakes.hold import SECONDS
from tests.fakes.program import NODE, Program, at_work, contents
from tests.fakes.service import JULIET, SERVICE, Service


class Workers:
    """Programs of one account, each with a database object of its own, as if in processes of their own."""

    def __init__(self, url: str, service: Service) -> None:
        self.url = url
        self.service = service

    @asynccontextmanager
    async def another(self, **settings: Any) -> AsyncIterator[Program]:
        """One more, at work until the end."""
        async with self.database() as database, at_work(database, self.service, **settings) as program:
            yield program

    @asynccontextmanager
    async def pair(self, **settings: Any) -> AsyncIterator[tuple[Program, Program]]:
        """The first follows the node; the second knows that."""
        async with self.another(**settings) as first:
            await first.follow()
            async with self.another(**settings) as second:
                await second.settled()
                assert (owns(first), owns(second)) == (True, False)
                yield first, second

    @asynccontextmanager
    async def database(self) -> AsyncIterator[Database]:
        """What one of them works on."""
        database = await open_database(self.url)
        try:
            yield database
        finally:
            await database.close()


def ownership_of(program: Program) -> Ownership:
    """What a worker knows of which worker owns what."""
    return program.replica._open.ownership


def database_of(program: Program) -> Database:
    """What it works on."""
    return program.replica._open.context.database


def owns(program: Program, node: str = NODE) -> bool:
    """Whether it believes that it owns the node."""
    copy = program.replica._open.context.copies.find(NodeKey(JULIET, SERVICE, node))
    return copy is not None and copy.lease.ours


def die(program: Program) -> None:
    """As far as others can tell, its process ended: nothing reaches it any more, and it says nothing."""
    hang(program)
    peers.here.discard(ownership_of(program).worker)


def hang(program: Program) -> None:
    """It does nothing any more: it does not renew its lease, does not poll, and is notified of nothing."""
    ownership_of(program).stop()
    program.service.streams.remove(program.stream)


def revive(program: Program) -> None:
    """It is notified again of what happens, and polls where the database notifies it; its lease is not renewed."""
    database_of(program).listen(ownership_of(program).polling.database_notified)
    program.service.streams.append(program.stream)


async def run_out(program: Program) -> None:
    """It hangs, and its lease is over: at once, not after the seconds that it was given."""
    hang(program)
    ownership_of(program).heartbeat.valid_until = 0.0
    gone = (ownership_of(program).worker, JULIET, this_process())
    await database_of(program).write(owners.renew_lease, *gone, notified=True, shares=True, lease=-1)


async def until(holds: Callable[[], bool], program: Program) -> None:
    """Have it poll until this holds."""
    async with asyncio.timeout(SECONDS):
        while not holds():
            await ownership_of(program).polling.poll()


async def serves(program: Program) -> None:
    """It answers from the copy, as live, and with what the service holds."""
    answer = await program.read()
    assert (answer.origin, answer.stale) == (Origin.COPY, False), program.copy().record
    assert contents(answer) == program.service.contents(NODE)


async def asks(program: Program) -> None:
    """It answers from the service."""
    answer = await program.read()
    assert answer.origin is Origin.SERVICE
    assert contents(answer) == program.service.contents(NODE)


async def standing(program: Program, node: str = NODE) -> polls.Standing:
    """How the node stands in the database."""
    found = await database_of(program).read(polls.standing, program.copy(node).record.id)
    assert found is not None
    return found
