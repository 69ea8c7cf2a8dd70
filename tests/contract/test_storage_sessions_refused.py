"""Sessions on a database that cannot be read or written: our errors, in whichever call it shows. What is wrong with a
statement stays SQLAlchemy's."""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import closing

import pytest
from sqlalchemy import select, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncSession

from newsstand.errors import DatabaseError, DatabaseLocked, NotADatabase
from newsstand.model import NodeRecord
from newsstand.storage.database import Database, check_url, open_database
from newsstand.storage.mapping import PubsubNode
from newsstand.storage.sqlite import connections
from tests.contract._storage import ON_FILES, ON_SERVERS, apply, find_node, make_node, path_of, put
from tests.contract.test_storage_damage import destroy, make_larger


@pytest.fixture
async def session(database: Database, node: NodeRecord) -> AsyncIterator[AsyncSession]:
    async with database.session() as session:
        yield session


async def change(session: AsyncSession) -> None:
    """A mapped object, and not the database yet."""
    node = await session.scalar(select(PubsubNode))
    assert node is not None
    node.reason = "changed"


@pytest.mark.parametrize("verb", [AsyncSession.flush, AsyncSession.commit])
async def test_a_database_that_may_only_be_read_is_told_as_such(
    database: Database, node: NodeRecord, session: AsyncSession, verb: Callable[[AsyncSession], Awaitable[None]]
) -> None:
    on_file = database.instant is not None
    await session.execute(text("PRAGMA query_only = ON" if on_file else "SET TRANSACTION READ ONLY"))
    await change(session)
    with pytest.raises(DatabaseError, match=r"read-?only"):
        await verb(session)
    await session.rollback()
    assert (await find_node(database, node.id)).reason is None


@ON_FILES
async def test_a_file_that_another_process_holds_is_told_as_such(
    database: Database, node: NodeRecord, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connections, "BUSY_SECONDS", 0.1)
    with closing(sqlite3.connect(path_of(database), isolation_level=None)) as other:
        async with database.session() as session:
            await change(session)
            other.execute("BEGIN IMMEDIATE")
            with pytest.raises(DatabaseLocked, match="another process holds"):
                await session.commit()
            other.execute("ROLLBACK")
            await session.rollback()
            await change(session)
            await session.commit()
    assert (await find_node(database, node.id)).reason == "changed"


@ON_FILES
async def test_a_full_disk_is_told_as_such(database: Database, node: NodeRecord, session: AsyncSession) -> None:
    await change(session)
    pages = await session.scalar(text("PRAGMA page_count"))
    await session.execute(text(f"PRAGMA max_page_count = {pages}"))
    found = await session.scalar(select(PubsubNode))
    assert found is not None
    found.reason = "x" * 100_000
    with pytest.raises(DatabaseError, match="full"):
        await session.commit()


@ON_FILES
async def test_damage_that_a_session_meets_is_told_and_noted_as_any_other(url: str) -> None:
    path = connections.path_of(check_url(url))
    await make_larger(path)
    destroy(path, "newsstand_item")
    database = await open_database(url)
    with pytest.raises(NotADatabase, match="is damaged"):
        async with database.session() as session:
            await session.execute(text("SELECT * FROM newsstand_item"))
    await database.close()
    assert connections.doubt_of(path).exists()


@ON_SERVERS
async def test_a_connection_that_breaks_is_told_as_such(
    database: Database, session: AsyncSession, node: NodeRecord
) -> None:
    own = await session.scalar(text("SELECT pg_backend_pid()"))
    await database.read(lambda conn: conn.exec_driver_sql(f"SELECT pg_terminate_backend({own})").scalar())
    with pytest.raises(DatabaseError) as met:
        await change(session)
    assert not isinstance(met.value, DBAPIError)


@pytest.mark.parametrize(
    "wrong", ["SELEC", "SELECT * FROM nowhere", "INSERT INTO newsstand_account VALUES (1, 'again')"]
)
async def test_a_statement_that_is_wrong_is_sqlalchemys_to_tell(
    session: AsyncSession, node: NodeRecord, wrong: str
) -> None:
    with pytest.raises(DBAPIError):
        await session.execute(text(wrong))


async def test_a_session_that_fails_leaves_the_next_ones_alone(database: Database, node: NodeRecord) -> None:
    for _ in range(3):
        with pytest.raises(DBAPIError):
            async with database.session() as session:
                await session.execute(text("SELEC"))
    await apply(database, node, put("a"))
    async with database.session() as session:
        await change(session)
        await session.commit()
    assert (await find_node(database, node.id)).reason == "changed"
    await make_node(database, "another")
