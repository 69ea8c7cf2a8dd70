"""A file that is moved, deleted or replaced while it is used: noticed with the next write or long read, told once, and
nothing more is read or written. What takes its place is left as it is."""

from __future__ import annotations

import asyncio
import os
import sqlite3
from collections.abc import Awaitable, Callable
from contextlib import closing, suppress
from pathlib import Path

import pytest

from newsstand.errors import DatabaseError, DatabaseLost
from newsstand.storage import shared
from newsstand.storage.database import Database, open_database
from newsstand.storage.maintenance.checking import check
from newsstand.storage.mapping import PubsubNode
from tests.contract._storage import apply, make_node, put
from tests.contract._workers import ownership_of
from tests.fakes.hold import SECONDS
from tests.fakes.program import NODE, at_work
from tests.fakes.service import SERVICE, Service
from tests.logged import warnings_of_ours


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Where the file lies: beside it there is room."""
    (tmp_path / "folder").mkdir()
    return tmp_path / "folder"


def url_of(path: Path) -> str:
    return f"sqlite:///{path}"


async def names(url: str) -> list[str]:
    database = await open_database(url)
    found = await database.read(lambda conn: list(conn.exec_driver_sql("SELECT name FROM newsstand_node").scalars()))
    await database.close()
    return found


async def moved(path: Path, other: Path) -> None:
    path.rename(path.with_name("moved.db"))


async def deleted(path: Path, other: Path) -> None:
    path.unlink()


async def deleted_with_all_that_is_beside_it(path: Path, other: Path) -> None:
    for file in path.parent.iterdir():
        file.unlink()


async def replaced(path: Path, other: Path) -> None:
    other.rename(path)


async def replaced_and_used(path: Path, other: Path) -> None:
    await deleted_with_all_that_is_beside_it(path, other)
    other.rename(path)
    database = await open_database(url_of(path))
    await make_node(database, "stored by another")
    KEPT.append(database)


async def moved_with_its_folder(path: Path, other: Path) -> None:
    path.parent.rename(path.parent.with_name("elsewhere"))


async def in_a_folder_that_became_a_file(path: Path, other: Path) -> None:
    path.parent.rename(path.parent.with_name("elsewhere"))
    path.parent.touch()


KEPT: list[Database] = []
LOSSES = [
    moved,
    deleted,
    deleted_with_all_that_is_beside_it,
    replaced,
    replaced_and_used,
    moved_with_its_folder,
    in_a_folder_that_became_a_file,
]


async def write(database: Database) -> None:
    await make_node(database, "too late")


async def write_first(database: Database) -> None:
    await database.write_first(lambda conn: None)


async def scan(database: Database) -> None:
    await database.scan(lambda conn: None)


async def session(database: Database) -> None:
    async with database.session():
        pass


@pytest.mark.parametrize("lose", LOSSES)
@pytest.mark.parametrize("use", [write, write_first, scan, session])
async def test_a_lost_file_is_noticed_told_once_and_neither_read_nor_written_any_more(
    folder: Path,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    lose: Callable[[Path, Path], Awaitable[None]],
    use: Callable[[Database], Awaitable[None]],
) -> None:
    path, other = folder / "news.db", tmp_path / "other.db"
    theirs = await open_database(url_of(other))
    await make_node(theirs, "theirs")
    await theirs.close()
    database = await shared.acquire(url_of(path))
    told = asyncio.Event()
    database.when_lost(told.set)
    await make_node(database, "ours")
    await lose(path, other)

    with pytest.raises(DatabaseLost, match=str(path)):
        await use(database)
    async with asyncio.timeout(SECONDS):
        await told.wait()
    for again in (write, write_first, scan, session, lambda lost: lost.read(lambda conn: None)):
        with pytest.raises(DatabaseLost):
            await again(database)
    await shared.release(database)

    (line,) = warnings_of_ours(caplog)
    assert "Newsstand is off, every read goes to the service" in line
    while KEPT:
        await KEPT.pop().close()
    if lose is replaced:
        assert await names(url_of(path)) == ["theirs"]  # and nothing of the old one's log
    if lose is replaced_and_used:
        assert await names(url_of(path)) == ["theirs", "stored by another"]
    if path.exists():
        assert await check(url_of(path)) == []
    for where in (folder / "moved.db", tmp_path / "elsewhere" / "news.db"):
        if where.exists():
            for aside in folder.glob("news.db.lost-*-wal"):
                assert str(aside) in line
                aside.rename(f"{where}-wal")
            assert await names(url_of(where)) == ["ours"]
            assert await check(url_of(where)) == []


async def test_a_link_that_leads_to_another_file_is_noticed(tmp_path: Path, folder: Path) -> None:
    for name in ("a.db", "b.db"):
        await (await open_database(url_of(folder / name))).close()
    (tmp_path / "link.db").symlink_to(folder / "a.db")
    database = await open_database(url_of(tmp_path / "link.db"))
    await make_node(database)
    (tmp_path / "link.db").unlink()
    (tmp_path / "link.db").symlink_to(folder / "b.db")
    with pytest.raises(DatabaseLost, match="replaced by another file"):
        await make_node(database)
    await database.close()
    assert await names(url_of(folder / "b.db")) == []
    assert await names(url_of(folder / "a.db")) == ["blog"]


async def test_a_log_that_is_deleted_is_noticed_and_what_was_in_it_is_stored(folder: Path) -> None:
    path = folder / "news.db"
    database = await open_database(url_of(path))
    await make_node(database, "ours")
    (folder / "news.db-wal").unlink()
    with pytest.raises(DatabaseLost, match="lost its log"):
        await make_node(database, "too late")
    await database.close()
    assert await names(url_of(path)) == ["ours"]
    assert await check(url_of(path)) == []


async def test_a_session_that_was_open_writes_nothing_more(folder: Path) -> None:
    path = folder / "news.db"
    database = await open_database(url_of(path))
    node = await make_node(database)
    with suppress(DatabaseError):
        async with database.session() as session:
            found = await session.get(PubsubNode, node.id)
            assert found is not None
            path.rename(folder / "moved.db")
            found.reason = "too late"
            with pytest.raises(DatabaseLost):
                await session.commit()
    await database.close()
    moved = await open_database(url_of(folder / "moved.db"))
    assert await moved.read(lambda conn: conn.exec_driver_sql("SELECT reason FROM newsstand_node").scalar()) is None
    await moved.close()


async def test_the_next_client_in_the_loop_gets_another_object_than_the_lost_one(folder: Path) -> None:
    path = folder / "news.db"
    lost = await shared.acquire(url_of(path))
    await make_node(lost)
    path.unlink()
    with pytest.raises(DatabaseLost):
        await make_node(lost)
    anew = await shared.acquire(url_of(path))
    assert anew is not lost
    await make_node(anew, "anew")
    await shared.release(lost)
    await make_node(anew, "and on")
    await shared.release(anew)
    assert await names(url_of(path)) == ["anew", "and on"]


async def test_a_program_that_only_looks_around_notices_it_and_turns_off(
    folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Its watchers are told, and what was at work ends without a word about each piece of it."""
    path = folder / "news.db"
    database = await open_database(url_of(path))
    service = Service()
    service.create(NODE, "a", "b")
    async with at_work(database, service) as program:
        await program.follow()
        ownership = ownership_of(program)
        watching = asyncio.ensure_future(anext(program.replica.watch(SERVICE, NODE)))
        await asyncio.sleep(0)
        path.unlink()
        with pytest.raises(DatabaseLost):
            await ownership.polling.poll()
        with pytest.raises(DatabaseLost):
            await watching
        assert not program.replica.is_open
        service.publish(NODE, "c", "after it")
        await program.replica.close()
    await database.close()
    assert len(warnings_of_ours(caplog)) == 1
    assert not path.exists()


async def test_a_file_that_others_write_to_and_that_is_vacuumed_is_not_lost(folder: Path) -> None:
    path = folder / "news.db"
    one, other = await open_database(url_of(path)), await open_database(url_of(path))
    node = await make_node(one)
    for database in (one, other):
        await apply(database, node, put(f"item {id(database)}"))
    with closing(sqlite3.connect(path)) as outside:
        outside.execute("VACUUM")
        outside.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    await one.close()
    await make_node(other, "and on")
    os.utime(path)
    await other.scan(lambda conn: None)
    await other.close()
