"""A program that forks while it has a database open, to be run as a process of its own, with the database's URL and the
name of what it is to do. What parent and child met is printed, a line of JSON each: who, what, and what came of it.

Whatever hangs is ended after DEADLINE, and fails.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import signal
import sys
import threading
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

from sqlalchemy import Connection, select, text, update
from sqlalchemy.util import await_only

from newsstand import Replica
from newsstand.errors import NewsstandError
from newsstand.model import NodeKey, NodeRecord
from newsstand.storage import forks, shared
from newsstand.storage.database import Database
from newsstand.storage.mapping import PubsubNode, table
from newsstand.storage.schema import versioning
from newsstand.storage.statements import nodes
from newsstand.workers.peers import here

DEADLINE = 60


def tell(who: str, what: str, outcome: object) -> None:
    os.write(1, f"{json.dumps([who, what, outcome])}\n".encode())


async def outcome_of(work: Awaitable[object]) -> str:
    try:
        await work
    except NewsstandError as error:
        return f"{type(error).__name__}: {error}"
    return "done"


async def save(database: Database, name: str) -> NodeRecord:
    return await database.write(nodes.save, NodeRecord(0, NodeKey("juliet@example.org", "pubsub.example.org", name)))


async def names(database: Database) -> list[str]:
    return sorted(await database.scan(lambda conn: [record.key.node for record in nodes.iter_nodes(conn)]))


def in_child(work: Callable[[], Coroutine[Any, Any, None]]) -> int:
    """In a child, in an event loop of its own."""
    child = os.fork()
    if child == 0:
        try:
            asyncio.run(work())
        except BaseException as error:
            tell("child", "failed", repr(error))
            os._exit(1)
        os._exit(0)
    return child


def wait_for(child: int) -> None:
    tell("child", "ended", os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))


async def use_parents(url: str) -> None:
    """A child uses what its parent opened, and opens its own."""
    database = await shared.acquire(url)
    replica = Replica()
    await replica.open(database)
    opened = database.session()
    session = await opened.__aenter__()
    await session.scalars(select(PubsubNode))
    await session.rollback()

    async def child() -> None:
        tell("child", "write", await outcome_of(save(database, "of the parent's")))
        tell("child", "write first", await outcome_of(database.write_first(lambda conn: None)))
        tell("child", "read", await outcome_of(database.read(lambda conn: None)))
        tell("child", "scan", await outcome_of(database.scan(lambda conn: None)))
        tell("child", "search", await outcome_of(replica.search("tea", account="*")))
        tell("child", "session", await outcome_of(session.execute(text("SELECT 1"))))
        tell("child", "commit", await outcome_of(session.commit()))
        async with shared_database(url) as own:
            tell("child", "another object", own is not database)
            await save(own, "of the child")
            tell("child", "holds", await names(own))
        await shared.release(database)
        await database.close()

    wait_for(in_child(child))
    await save(database, "of the parent")
    tell("parent", "holds", await names(database))
    await opened.__aexit__(None, None, None)
    await replica.close()
    await shared.release(database)


class shared_database:
    """One that is released at the end."""

    def __init__(self, url: str) -> None:
        self._url = url

    async def __aenter__(self) -> Database:
        self._database = await shared.acquire(self._url)
        return self._database

    async def __aexit__(self, *_: object) -> None:
        await shared.release(self._database)


def end_as_usual(url: str) -> None:
    """The main thread forks, while an event loop in another one writes; and the child ends as any program does: all of
    its objects, those of its parent too, are let go of."""
    begun, go_on = threading.Event(), threading.Event()

    def slow(conn: Connection) -> None:
        conn.execute(update(table(PubsubNode)).values(reason="written"))
        begun.set()
        if conn.dialect.name == "sqlite":
            assert go_on.wait(DEADLINE)
        else:
            await_only(asyncio.to_thread(go_on.wait, DEADLINE))

    async def write() -> None:
        database = await shared.acquire(url)
        await save(database, "before")
        await database.write(slow)
        await save(database, "after")
        tell("parent", "holds", await names(database))
        await shared.release(database)

    writing = threading.Thread(target=lambda: asyncio.run(write()))
    writing.start()
    assert begun.wait(DEADLINE)
    forks.PATIENCE = 0.05
    child = os.fork()
    if child == 0:
        return
    wait_for(child)
    go_on.set()
    writing.join()


async def hold_a_transaction(url: str) -> None:
    """The parent forks in the middle of a transaction, which lasts longer than a fork waits."""
    database = await shared.acquire(url)
    begun, go_on = threading.Event(), threading.Event()

    def slow(conn: Connection) -> None:
        conn.exec_driver_sql("UPDATE newsstand_version SET version_num = version_num")
        begun.set()
        assert go_on.wait(DEADLINE)

    writing = asyncio.ensure_future(database.write(slow))
    await asyncio.to_thread(begun.wait, DEADLINE)
    forks.PATIENCE = 0.05

    async def child() -> None:
        tell("child", "open", await outcome_of(shared.acquire(url)))
        tell("child", "open another", await outcome_of(shared.acquire(f"{url}.2")))

    wait_for(in_child(child))
    go_on.set()
    await writing
    await save(database, "of the parent")
    tell("parent", "holds", await names(database))
    await shared.release(database)


async def wait_for_a_transaction(url: str) -> None:
    """The same, and it ends while the fork waits."""
    database = await shared.acquire(url)
    begun, forking = threading.Event(), threading.Event()
    os.register_at_fork(before=forking.set)  # called before those that were registered earlier

    def slow(conn: Connection) -> None:
        conn.exec_driver_sql("UPDATE newsstand_version SET version_num = version_num")
        begun.set()
        assert forking.wait(DEADLINE)

    writing = asyncio.ensure_future(database.write(slow))
    await asyncio.to_thread(begun.wait, DEADLINE)

    async def child() -> None:
        async with shared_database(url) as own:
            await save(own, "of the child")
            tell("child", "holds", await names(own))

    wait_for(in_child(child))
    await writing
    tell("parent", "holds", await names(database))
    await shared.release(database)


async def hold_our_locks(url: str) -> None:
    """Threads of the parent are in the middle of what only one may do at a time; and workers of it are at work."""
    here.add("a worker of the parent")
    held = threading.Event()

    def hold() -> None:
        with versioning._alembic, shared._loops._turn:
            held.set()
            threading.Event().wait()

    threading.Thread(target=hold, daemon=True).start()
    assert await asyncio.to_thread(held.wait, DEADLINE)

    async def child() -> None:
        async with shared_database(url) as own:
            tell("child", "holds", await names(own))
        tell("child", "has that worker", "a worker of the parent" in here)

    wait_for(in_child(child))
    tell("parent", "has that worker", "a worker of the parent" in here)


async def fork_again_and_again(url: str) -> None:
    """While the database is open, while it is closed, and after that: what is logged is told."""
    logged: list[str] = []
    handler = logging.Handler(logging.WARNING)
    handler.emit = lambda record: logged.append(record.getMessage())  # type: ignore[method-assign]
    logging.getLogger("newsstand").addHandler(handler)
    kept = []
    for number in range(3):
        kept.append(database := await shared.acquire(url))
        await save(database, f"node {number}")
        wait_for(in_child(nothing))
        closing = asyncio.ensure_future(shared.release(database))
        await asyncio.sleep(0)
        wait_for(in_child(nothing))
        await closing
        wait_for(in_child(nothing))
    tell("parent", "logged", logged)


async def nothing() -> None:
    pass


async def outlive_the_parent(url: str) -> None:
    """The parent closes, while its child has the database open. The child goes on when a line is read."""
    database = await shared.acquire(url)

    async def child() -> None:
        async with shared_database(url) as own:
            tell("child", "holds", await names(own))
            await asyncio.to_thread(sys.stdin.readline)

    process = in_child(child)
    await shared.release(database)
    tell("parent", "closed", "done")
    wait_for(process)


if __name__ == "__main__":
    signal.alarm(DEADLINE)
    os.register_at_fork(after_in_child=lambda: signal.alarm(DEADLINE))
    do = globals()[sys.argv[2]](sys.argv[1])
    if do is not None:
        asyncio.run(do)
