"""Writing: in the order of the calls, together where they wait together, and each failing alone."""

from __future__ import annotations

import asyncio
import resource
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, event

from newsstand.errors import DatabaseError
from newsstand.model import NodeKey, NodeRecord
from newsstand.storage.database import Database, open_database
from newsstand.storage.sqlite.database import SqliteDatabase
from newsstand.storage.statements import items, nodes
from newsstand.storage.write_queue import GROUP
from tests.contract._storage import JULIET, NOW, SERVICE, Gate, apply, find_node, in_step, make_node, put


def add_node(name: str) -> Callable[[Connection], NodeRecord]:
    return lambda conn: nodes.save(conn, NodeRecord(0, NodeKey(JULIET, SERVICE, name)))


def fail(_: Connection) -> None:
    raise RuntimeError("on purpose")


def break_sql(conn: Connection) -> None:
    conn.exec_driver_sql("INSERT INTO newsstand_account (jid) VALUES ('half@example.org')")
    conn.exec_driver_sql("INSERT INTO no_such_table VALUES (1)")


async def names(database: Database) -> list[str]:
    found = await database.scan(lambda conn: list(nodes.iter_nodes(conn)))
    return [record.key.node for record in sorted(found, key=lambda record: record.id)]


@asynccontextmanager
async def held_up(database: Database) -> AsyncIterator[None]:
    """The writer is at work, so that what is asked for meanwhile waits together."""
    gate = Gate(database)
    holding = asyncio.ensure_future(database.write(lambda _: gate.wait()))
    await gate.reached.wait()
    try:
        yield
    finally:
        await asyncio.sleep(0)  # what was asked for is in the queue
        gate.open()
        await holding


def commits_of(database: Database) -> list[int]:
    """Grows by one with each commit of the writer."""
    commits: list[int] = []
    writer: Any = database
    engine = writer._writer._engine
    event.listen(getattr(engine, "sync_engine", engine), "commit", lambda _: commits.append(1))
    return commits


async def test_what_waits_together_is_committed_together_in_order(database: Database) -> None:
    commits = commits_of(database)
    async with held_up(database):
        writes = [asyncio.ensure_future(database.write(add_node(f"n{i}"))) for i in range(GROUP)]
    saved = await asyncio.gather(*writes)
    assert await names(database) == [f"n{i}" for i in range(GROUP)]
    assert [record.id for record in saved] == sorted(record.id for record in saved)
    # Where all workers on a server wait for whoever writes, a group is short in time, too.
    assert len(commits) == 2 if isinstance(database, SqliteDatabase) else len(commits) < GROUP / 4


async def test_what_comes_first_does_not_wait_for_what_waits(database: Database) -> None:
    async with held_up(database):
        writes = [asyncio.ensure_future(database.write(add_node(f"n{i}"))) for i in range(3)]
        await asyncio.sleep(0)
        urgent = [asyncio.ensure_future(database.write_first(add_node(name))) for name in ("first", "second")]
    await asyncio.gather(*writes, *urgent)
    assert await names(database) == ["first", "second", "n0", "n1", "n2"]


async def test_no_group_is_longer_than_its_limit(file_database: SqliteDatabase) -> None:
    commits = commits_of(file_database)
    async with held_up(file_database):
        writes = [asyncio.ensure_future(file_database.write(add_node(f"n{i}"))) for i in range(GROUP + 1)]
    await asyncio.gather(*writes)
    assert len(commits) == 3


@pytest.mark.parametrize(("failing", "kind"), [(fail, RuntimeError), (break_sql, DatabaseError)])
async def test_a_write_that_fails_among_others_fails_alone(
    database: Database, failing: Callable[[Connection], None], kind: type[Exception]
) -> None:
    async with held_up(database):
        writes = [
            asyncio.ensure_future(database.write(job)) for job in (add_node("before"), failing, add_node("after"))
        ]
    outcomes = await asyncio.gather(*writes, return_exceptions=True)
    assert [type(outcome) for outcome in outcomes] == [NodeRecord, kind, NodeRecord]
    assert await names(database) == ["before", "after"]
    accounts = await database.read(
        lambda conn: conn.exec_driver_sql("SELECT jid FROM newsstand_account").scalars().all()
    )
    assert accounts == [JULIET]


async def test_not_even_what_ends_a_thread_ends_the_writer(database: Database) -> None:
    def leave(_: Connection) -> None:
        raise SystemExit

    with pytest.raises(RuntimeError, match="SystemExit"):
        await database.write(leave)
    await database.write(add_node("after"))
    assert await names(database) == ["after"]


async def test_a_write_that_ends_the_transaction_takes_its_neighbours_before_along_and_not_those_after(
    file_database: SqliteDatabase,
) -> None:
    """SQLite rolls everything back by itself when it runs out of room at the wrong moment."""

    def lose(conn: Connection) -> None:
        conn.exec_driver_sql("ROLLBACK")
        raise RuntimeError("lost")

    async with held_up(file_database):
        writes = [
            asyncio.ensure_future(file_database.write(job)) for job in (add_node("before"), lose, add_node("after"))
        ]
    outcomes = await asyncio.gather(*writes, return_exceptions=True)
    assert isinstance(outcomes[0], Exception)
    assert isinstance(outcomes[1], Exception)
    assert isinstance(outcomes[2], NodeRecord)
    assert await names(file_database) == ["after"]


async def test_when_the_commit_fails_everyone_in_the_group_is_told_and_the_next_goes_well(
    file_database: SqliteDatabase,
) -> None:
    def break_at_commit(conn: Connection) -> None:
        conn.exec_driver_sql("PRAGMA defer_foreign_keys = ON")
        conn.exec_driver_sql("INSERT INTO newsstand_change VALUES (99, 1, x'00', 'put', 'a', 1)")

    async with held_up(file_database):
        writes = [asyncio.ensure_future(file_database.write(job)) for job in (add_node("before"), break_at_commit)]
    outcomes = await asyncio.gather(*writes, return_exceptions=True)
    assert [type(outcome) for outcome in outcomes] == [DatabaseError, DatabaseError]
    await file_database.write(add_node("after"))
    assert await names(file_database) == ["after"]


async def test_who_stops_waiting_does_not_stop_the_write_nor_those_behind_it(database: Database) -> None:
    async with held_up(database):
        cancelled = asyncio.ensure_future(database.write(add_node("cancelled")))
        behind = asyncio.ensure_future(database.write(add_node("behind")))
        await asyncio.sleep(0)
        cancelled.cancel()
    await behind
    with pytest.raises(asyncio.CancelledError):
        await cancelled
    assert await names(database) == ["cancelled", "behind"]


async def test_closing_waits_for_what_was_asked_for(url: str) -> None:
    database = await open_database(url)
    async with held_up(database):
        writes = [asyncio.ensure_future(database.write(add_node(f"n{i}"))) for i in range(3 * GROUP)]
        await asyncio.sleep(0)
        closing = asyncio.ensure_future(database.close())
    await asyncio.gather(closing, *writes)
    again = await open_database(url)
    assert len(await names(again)) == 3 * GROUP
    await again.close()


async def test_a_closed_database_says_so_and_may_be_closed_again(url: str) -> None:
    database = await open_database(url)
    await database.close()
    await database.close()
    with pytest.raises(DatabaseError, match="closed"):
        await database.write(add_node("late"))
    with pytest.raises(DatabaseError, match="closed"):
        await database.read(items.nodes_to_parse)
    with pytest.raises(DatabaseError, match="closed"):
        await database.scan(items.nodes_to_parse)


async def test_a_read_that_fails_is_a_database_error_and_the_next_goes_well(database: Database) -> None:
    for read in (database.read, database.scan, database.write):
        with pytest.raises(DatabaseError, match=r"no_such_table"):
            await read(lambda conn: conn.exec_driver_sql("SELECT * FROM no_such_table"))
    assert await database.read(items.nodes_to_parse) == []


async def test_a_long_read_sees_one_state_and_holds_nobody_up(database: Database, node: NodeRecord) -> None:
    gate = Gate(database)

    def count_twice(conn: Connection) -> list[int]:
        first = conn.exec_driver_sql("SELECT count(*) FROM newsstand_item").scalar_one()
        gate.wait()
        return [first, conn.exec_driver_sql("SELECT count(*) FROM newsstand_item").scalar_one()]

    long_read = asyncio.ensure_future(database.scan(count_twice))
    await gate.reached.wait()
    await apply(database, node, put("a"))
    assert await database.read(items.held_ids, node.id) == ["a"]
    assert await database.scan(items.held_ids, node.id) == ["a"]
    gate.open()
    assert await long_read == [0, 0]


async def test_a_full_database_says_so_keeps_what_it_has_and_goes_on_when_there_is_room(
    file_database: SqliteDatabase,
) -> None:
    node = await make_node(file_database)
    await apply(file_database, node, put("kept"))
    pages = file_database.read_now(lambda conn: conn.exec_driver_sql("PRAGMA page_count").scalar_one())
    await file_database.write(lambda conn: conn.exec_driver_sql(f"PRAGMA max_page_count = {pages + 2}"))
    with pytest.raises(DatabaseError, match="full"):
        await apply(file_database, node, *(put(f"item-{i}", "x" * 1_000) for i in range(500)))
    assert await file_database.read(items.held_ids, node.id) == ["kept"]
    record = await find_node(file_database, node.id)
    assert (record.revision, record.item_count) == (1, 1)
    await in_step(file_database)
    await file_database.write(lambda conn: conn.exec_driver_sql("PRAGMA max_page_count = 1000000"))
    assert (await apply(file_database, node, *(put(f"item-{i}", "x" * 1_000) for i in range(500)))).count == 501


async def test_a_write_too_large_for_memory_on_a_full_disk_takes_no_neighbour_in_half(
    file_database: SqliteDatabase,
) -> None:
    """Where the transaction spills to the file before its end, SQLite gives it up as a whole."""
    node = await make_node(file_database)
    pages = file_database.read_now(lambda conn: conn.exec_driver_sql("PRAGMA page_count").scalar_one())
    await file_database.write(lambda conn: conn.exec_driver_sql(f"PRAGMA max_page_count = {pages + 40}"))
    await file_database.write(lambda conn: conn.exec_driver_sql("PRAGMA cache_size = 1"))
    async with held_up(file_database):
        writes = [
            asyncio.ensure_future(apply(file_database, node, put("before"))),
            asyncio.ensure_future(apply(file_database, node, *(put(f"item-{i}", "x" * 2_000) for i in range(500)))),
            asyncio.ensure_future(apply(file_database, node, put("after"))),
        ]
    outcomes = await asyncio.gather(*writes, return_exceptions=True)
    assert isinstance(outcomes[1], DatabaseError)
    stored = [outcome for outcome in outcomes if not isinstance(outcome, BaseException)]
    told = [item_id for applied in stored for item_id in applied.inserted]
    assert await file_database.read(items.held_ids, node.id) == told
    assert (await find_node(file_database, node.id)).item_count == len(told)


FULL_DISK = """
import asyncio, resource, signal, sys
import alembic.command
from newsstand.errors import DatabaseError
from newsstand.storage.database import open_database

signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[2]), -1))
try:
    asyncio.run(open_database(sys.argv[1]))
except DatabaseError as error:
    print(type(error).__name__, error)
"""


@pytest.mark.parametrize("room", [0, 4096, 40_000])
async def test_a_disk_without_room_for_a_new_database_is_told_and_leaves_nothing_half_made(
    tmp_path: Path, room: int
) -> None:
    path = tmp_path / "news.db"
    assert resource.getrlimit(resource.RLIMIT_FSIZE)[1] == resource.RLIM_INFINITY
    told = subprocess.run(
        [sys.executable, "-c", FULL_DISK, f"sqlite:///{path}", str(room)], capture_output=True, text=True, check=True
    )
    assert told.stdout.startswith("DatabaseError"), told
    assert "news.db" in told.stdout
    database = await open_database(f"sqlite:///{path}")
    await make_node(database)
    await database.close()


async def test_time_given_to_a_write_is_not_the_clocks(database: Database, node: NodeRecord) -> None:
    await apply(database, node, put("a"), now=NOW - 1)
    assert await database.read(lambda c: c.exec_driver_sql("SELECT updated FROM newsstand_item").scalar()) == NOW - 1
