"""What is so on PostgreSQL only."""

from __future__ import annotations

import asyncio
import importlib.util
import traceback
from collections.abc import Callable
from typing import Any

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Connection, event
from sqlalchemy.util import await_only

from newsstand.errors import ConfigurationError, DatabaseError, DatabaseLocked
from newsstand.model import NodeRecord
from newsstand.storage.database import Database, check_url, find_revision, migrate, open_database
from newsstand.storage.mapping import VERSION_TABLE, Base
from newsstand.storage.postgresql import opening
from newsstand.storage.schema import full_text, versioning
from newsstand.storage.statements import items, nodes
from tests.contract._storage import Gate, apply, make_node, put

HEAD = versioning.revisions()[-1]


@pytest.fixture
def backend() -> str:
    return "postgresql"


async def test_the_schema_that_migrations_make_is_that_of_the_mapping(database: Database) -> None:
    def include(name: str | None, kind: str, _: object) -> bool:
        return name not in (VERSION_TABLE, full_text.FTS_TABLE)

    def differences(conn: Connection) -> list[object]:
        options = {"compare_type": True, "compare_server_default": True, "include_name": include}
        return list(compare_metadata(MigrationContext.configure(conn, opts=options), Base.metadata))

    assert await database.scan(differences) == []


async def test_an_empty_database_is_filled_and_emptied_again(url: str) -> None:
    assert await find_revision(url) is None
    await (await open_database(url)).close()
    assert await find_revision(url) == HEAD
    await migrate(url, "base")
    assert await find_revision(url) is None
    await migrate(url, "head")
    assert await find_revision(url) == HEAD


async def test_of_several_that_open_an_empty_database_at_once_one_migrates_and_all_succeed(url: str) -> None:
    opened = await asyncio.gather(*(open_database(url) for _ in range(4)))
    for database in opened:
        await make_node(database)
        await database.close()


async def test_who_may_not_migrate_waits_for_another(url: str) -> None:
    waiting = asyncio.ensure_future(open_database(url, migrate=False))
    await asyncio.sleep(0.3)
    assert not waiting.done()
    await (await open_database(url)).close()
    await (await waiting).close()


async def test_a_database_that_another_holds_is_locked(
    database: Database, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(opening, "PATIENCE", 0.1)
    monkeypatch.setattr(opening, "LOCK_SECONDS", 0.1)
    holder = await open_database(url)
    async with holder.session() as session:
        connection = await session.connection()
        await connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({opening.MIGRATION_LOCK})")
        with pytest.raises(DatabaseLocked, match="another process holds"):
            await migrate(url, "base")
    await holder.close()


@pytest.mark.parametrize("state", ["40001", "40P01"])
async def test_a_write_that_fails_for_the_sake_of_others_is_done_again(
    database: Database, node: NodeRecord, state: str
) -> None:
    attempts = []

    def clash(conn: Connection) -> int:
        applied = items.apply(conn, node.id, [put("a")], 1)
        attempts.append(applied)
        if len(attempts) < 4:
            conn.exec_driver_sql(f"DO $$ BEGIN RAISE EXCEPTION USING ERRCODE = '{state}'; END $$")
        return applied.count

    assert await database.write(clash) == 1
    assert len(attempts) == 4
    assert await database.read(items.held_ids, node.id) == ["a"]


async def test_but_not_for_ever(database: Database) -> None:
    def clash(conn: Connection) -> None:
        conn.exec_driver_sql("DO $$ BEGIN RAISE EXCEPTION USING ERRCODE = '40001'; END $$")

    with pytest.raises(DatabaseError):
        await database.write(clash)
    with pytest.raises(DatabaseError):
        await database.read(clash)


async def test_connections_that_the_server_closed_are_made_anew(database: Database, node: NodeRecord) -> None:
    await apply(database, node, put("a"))
    ended = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE pid <> pg_backend_pid() AND datname = "

    def end_the_others(conn: Connection) -> None:
        conn.exec_driver_sql(f"{ended} current_database()")

    await database.scan(end_the_others)
    await apply(database, node, put("b"))
    assert await database.read(items.held_ids, node.id) == ["a", "b"]


async def test_what_a_broken_commit_left_open_is_told_to_all_and_not_done_again(database: Database) -> None:
    done: list[str] = []

    def job(name: str) -> Callable[[Connection], None]:
        return lambda _: done.append(name)

    def end(conn: Connection) -> None:
        pid = conn.exec_driver_sql("SELECT pg_backend_pid()").scalar_one()
        await_only(database.read(lambda other: other.exec_driver_sql(f"SELECT pg_terminate_backend({pid})").all()))

    writer: Any = database
    engine = writer._writer._engine.sync_engine
    event.listen(engine, "commit", end, once=True)
    outcomes = await asyncio.gather(*(database.write(job(name)) for name in "abc"), return_exceptions=True)
    assert [type(outcome) for outcome in outcomes] == [DatabaseError] * 3
    assert done == ["a", "b", "c"]
    await database.write(job("d"))
    assert done == ["a", "b", "c", "d"]


async def test_what_the_server_did_not_commit_for_the_sake_of_others_is_done_again(database: Database) -> None:
    """At SERIALIZABLE it says so in the commit, too."""
    for statement in (
        "CREATE SEQUENCE attempts",
        "CREATE FUNCTION clash() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN IF nextval('attempts') < 3 THEN "
        "RAISE EXCEPTION USING ERRCODE = '40001'; END IF; RETURN NULL; END $$",
        "CREATE CONSTRAINT TRIGGER clashes AFTER INSERT ON newsstand_node DEFERRABLE INITIALLY DEFERRED "
        "FOR EACH ROW EXECUTE FUNCTION clash()",
    ):
        await database.write(Connection.exec_driver_sql, statement)
    await asyncio.gather(*(make_node(database, name) for name in "abc"))
    found = await database.scan(lambda conn: list(nodes.iter_nodes(conn)))
    assert sorted(record.key.node for record in found) == ["a", "b", "c"]


async def test_what_comes_first_does_not_wait_for_what_is_done_again_one_by_one(database: Database) -> None:
    done: list[str] = []
    urgent: list[asyncio.Task[None]] = []

    def job(name: str) -> Callable[[Connection], None]:
        return lambda _: done.append(name)

    def ask(_: Connection) -> None:
        done.append("asks")
        if done.count("asks") == 2:
            urgent.append(asyncio.ensure_future(database.write_first(job("first"))))

    def fail(_: Connection) -> None:
        done.append("fails")
        raise RuntimeError("on purpose")

    writes = [database.write(statement) for statement in (ask, job("a"), job("b"), fail)]
    outcomes = await asyncio.gather(*writes, return_exceptions=True)
    await asyncio.gather(*urgent)
    assert [type(outcome) for outcome in outcomes] == [type(None)] * 3 + [RuntimeError]
    assert done == ["asks", "a", "b", "fails", "asks", "first", "a", "b", "fails"]


async def test_nobody_is_left_without_an_answer_where_the_event_loop_ends_while_all_is_done_again(
    url: str,
) -> None:
    database: Any = await open_database(url)
    gate, tried = Gate(database), []

    def wait_the_second_time(_: Connection) -> None:
        tried.append(1)
        if len(tried) == 2:
            gate.wait()

    def fail(_: Connection) -> None:
        raise RuntimeError("on purpose")

    statements = (wait_the_second_time, fail, lambda _: None)
    writes = [asyncio.ensure_future(database.write(statement)) for statement in statements]
    await gate.reached.wait()
    database._writer._work_task.cancel()
    try:
        async with asyncio.timeout(5.0):
            outcomes = await asyncio.gather(*writes, return_exceptions=True)
        assert all(isinstance(outcome, Exception) for outcome in outcomes)
        with pytest.raises(DatabaseError, match="closed"):
            await database.write(fail)
    finally:
        await database.close()


async def test_who_writes_when_the_event_loop_is_being_ended_is_told_and_can_close(url: str) -> None:
    """Where a program closes in a task's end, the loop has cancelled what writes as well."""
    database: Any = await open_database(url)
    await asyncio.sleep(0)
    database._writer._work_task.cancel()
    await asyncio.sleep(0)
    async with asyncio.timeout(5.0):
        with pytest.raises(DatabaseError, match="closed"):
            await database.write(lambda _: None)
        await database.close()


@pytest.mark.parametrize(
    "url", ["postgresql://juliet:s%40fe-word@127.0.0.1:1/news", "postgresql://juliet:s%40fe-word@/news?host=/none"]
)
async def test_no_password_is_in_what_is_told(url: str) -> None:
    with pytest.raises(DatabaseError) as raised:
        await open_database(url)
    told = "".join(traceback.format_exception(raised.value))
    assert "news" in told
    assert "s@fe-word" not in told
    assert "s%40fe-word" not in told


async def test_a_database_that_is_not_there_is_to_be_created_first(url: str) -> None:
    with pytest.raises((ConfigurationError, DatabaseError)):
        await open_database(url.replace("test_", "none_"))


def test_without_the_driver_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ConfigurationError, match=r"newsstand\[postgresql\]"):
        check_url("postgresql://juliet@db/news")


async def test_revisions_of_two_programs_that_write_at_once_do_not_collide(url: str) -> None:
    first, second = await open_database(url), await open_database(url)
    node = await make_node(first)
    await asyncio.gather(
        *(
            apply(database, node, put(f"{name}{number}"))
            for number in range(10)
            for name, database in (("a", first), ("b", second))
        )
    )
    record = next(iter(await first.scan(lambda conn: list(nodes.iter_nodes(conn)))))
    assert (record.revision, record.item_count) == (20, 20)
    await first.close()
    await second.close()
