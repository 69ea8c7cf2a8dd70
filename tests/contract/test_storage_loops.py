"""One database object per event loop: several loops of a process, each in a thread of its own, are to each other as
processes are; and a loop that was ended, however, is in nobody's way."""

from __future__ import annotations

import asyncio
import sqlite3
import threading
from collections.abc import Callable, Coroutine, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, TypeVar

import pytest
from sqlalchemy import Pool, event

from newsstand.errors import DatabaseError, DatabaseLocked
from newsstand.model import Origin, SyncState
from newsstand.storage import shared
from newsstand.storage.database import Database, open_database
from newsstand.storage.sqlite import connections
from newsstand.storage.sqlite.database import SqliteDatabase
from tests.contract._storage import ON_FILES, find_node, in_step, make_node
from tests.contract._workers import until
from tests.contract.test_storage_damage import destroy, make_larger
from tests.fakes.hold import SECONDS
from tests.fakes.program import NODE, at_work, contents
from tests.fakes.service import Service

T = TypeVar("T")
LOOPS = 3


async def in_loops(work: Callable[[int], Coroutine[Any, Any, T]], count: int = LOOPS) -> list[T]:
    """Each in a thread, and an event loop, of its own, side by side."""

    def run(number: int) -> T:
        return asyncio.run(work(number))

    loop = asyncio.get_running_loop()
    with ThreadPoolExecutor(count) as threads:
        async with asyncio.timeout(4 * SECONDS):
            return await asyncio.gather(*(loop.run_in_executor(threads, run, number) for number in range(count)))


@pytest.fixture(autouse=True)
def _nothing_is_left() -> Iterator[None]:
    yield
    assert [places for loop, places in shared._loops._places.items() if not loop.is_closed()] == []


async def test_loops_that_open_one_new_database_at_once_have_an_object_each(url: str) -> None:
    met = threading.Barrier(LOOPS, timeout=SECONDS)

    async def work(number: int) -> int:
        first, second = await asyncio.gather(shared.acquire(url), shared.acquire(url))
        assert first is second
        await make_node(first, f"node {number}")
        await asyncio.to_thread(met.wait)
        found = [await find_node(first, node_id) for node_id in range(1, LOOPS + 1)]
        assert len({record.key.node for record in found}) == LOOPS
        await asyncio.to_thread(met.wait)
        await shared.release(first)
        await make_node(second, f"another {number}")  # the other one is in nobody's way when it closes
        await shared.release(second)
        with pytest.raises(DatabaseError, match="closed"):
            await make_node(second)
        return id(first)

    assert len(set(await in_loops(work))) == LOOPS
    database = await open_database(url)
    await in_step(database)
    await database.close()


async def test_programs_in_loops_of_their_own_are_workers_that_share_the_nodes(url: str) -> None:
    """Each has its own stream to a service of the same contents; one of them follows the node, all serve it."""
    met = threading.Barrier(LOOPS, timeout=2 * SECONDS)

    async def work(_: int) -> tuple[bool, bool]:
        service = Service()
        service.create(NODE, "a", "b")
        database = await shared.acquire(url)
        async with at_work(database, service) as program:
            await program.read()
            await until(lambda: [record.state for record in program.replica.nodes()] == [SyncState.LIVE], program)
            await asyncio.to_thread(met.wait)
            answer = await program.read()
            serves = answer.origin is Origin.COPY and not answer.stale and contents(answer) == service.contents(NODE)
            led = program.copy().lease.ours
            await asyncio.to_thread(met.wait)
        await shared.release(database)
        return led, serves

    met_all = await in_loops(work)
    assert sorted(met_all) == [(False, True), (False, True), (True, True)]


async def test_an_object_of_another_loop_is_refused_at_once(url: str) -> None:
    database = await shared.acquire(url)

    async def work(_: int) -> None:
        for use in (
            lambda: database.read(lambda conn: None),
            lambda: database.scan(lambda conn: None),
            lambda: database.write(lambda conn: None),
            lambda: database.write_first(lambda conn: None),
            lambda: shared.release(database),
            lambda: database.session().__aenter__(),
        ):
            with pytest.raises(DatabaseError, match="another event loop"):
                await use()

    await in_loops(work, 1)
    await make_node(database)
    await shared.release(database)


# A loop that ends while a database is opened ----------------------------------------------------------------------


@contextmanager
def held_up(path: Path) -> Iterator[threading.Event]:
    """An opening has begun when the event is set, and waits for the lock of the file."""
    begun = threading.Event()
    with closing(sqlite3.connect(path, isolation_level=None, check_same_thread=False)) as other:
        other.execute("BEGIN IMMEDIATE")

        def told(*_: object) -> None:
            begun.set()

        event.listen(Pool, "connect", told)
        try:
            yield begun
        finally:
            event.remove(Pool, "connect", told)


def open_and_close(url: str) -> None:
    async def work() -> None:
        async with asyncio.timeout(2 * SECONDS):
            database = await shared.acquire(url)
        await make_node(database)
        await shared.release(database)

    asyncio.run(work())


def ends_by_an_error(opening: Callable[[], Coroutine[Any, Any, Any]], begun: threading.Event) -> None:
    async def main() -> None:
        opened = asyncio.ensure_future(opening())
        assert await asyncio.to_thread(begun.wait, SECONDS)
        assert not opened.done()
        raise KeyError("the program's own")

    with pytest.raises(KeyError):
        asyncio.run(main())


def is_stopped_and_closed(opening: Callable[[], Coroutine[Any, Any, Any]], begun: threading.Event) -> None:
    loop = asyncio.new_event_loop()
    opened = loop.create_task(opening())
    loop.run_until_complete(loop.run_in_executor(None, begun.wait, SECONDS))
    assert not opened.done()
    loop._default_executor.shutdown(wait=False)  # type: ignore[attr-defined]  # else closing it waits
    loop.close()
    opened._log_destroy_pending = False  # type: ignore[attr-defined]  # what asyncio complains of is meant


def is_stopped(opening: Callable[[], Coroutine[Any, Any, Any]], begun: threading.Event) -> None:
    loop = asyncio.new_event_loop()
    opened = loop.create_task(opening())
    loop.run_until_complete(loop.run_in_executor(None, begun.wait, SECONDS))
    assert not opened.done()
    opened._log_destroy_pending = False  # type: ignore[attr-defined]
    stopped.append(loop)


stopped: list[asyncio.AbstractEventLoop] = []


@pytest.fixture
def _loops_are_closed() -> Iterator[None]:
    yield
    while stopped:
        loop = stopped.pop()
        loop._default_executor.shutdown()  # type: ignore[attr-defined]
        loop.close()


@ON_FILES
@pytest.mark.usefixtures("_loops_are_closed")
@pytest.mark.parametrize("ends", [ends_by_an_error, is_stopped_and_closed, is_stopped])
async def test_a_loop_that_ended_while_it_opened_the_database_is_not_waited_for(
    url: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    ends: Callable[[Callable[[], Coroutine[Any, Any, Any]], threading.Event], None],
) -> None:
    monkeypatch.setattr(connections, "BUSY_SECONDS", 0.5)

    def work() -> None:
        with held_up(tmp_path / "news.db") as begun:
            ends(lambda: shared.acquire(url), begun)
        open_and_close(url)

    await asyncio.to_thread(work)


@ON_FILES
async def test_what_a_closed_loop_left_open_is_let_go_of(url: str) -> None:
    """Of a server nothing can be closed without the loop: Python warns of that."""
    left: list[Database] = []

    async def leave() -> None:
        left.append(await shared.acquire(url))
        await make_node(left[0])

    await asyncio.to_thread(lambda: asyncio.run(leave()))
    await asyncio.to_thread(open_and_close, url)
    assert isinstance(left[0], SqliteDatabase)
    await asyncio.to_thread(left[0]._writer._thread.join, SECONDS)
    assert not left[0]._writer._thread.is_alive()


@ON_FILES
async def test_a_damaged_file_is_not_set_aside_while_another_loop_has_it_open(
    url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Locks do not part what is in one process; and to look whether others hold one would end ours."""
    monkeypatch.setattr(connections, "BUSY_SECONDS", 0.2)
    await make_larger(tmp_path / "news.db")
    destroy(tmp_path / "news.db", "newsstand_item")
    database = await shared.acquire(url)
    (tmp_path / "news.db.doubted").touch()

    async def work(_: int) -> None:
        with pytest.raises(DatabaseLocked, match="another event loop of this process has it open"):
            await shared.acquire(url)

    await in_loops(work, 1)
    assert not list(tmp_path.glob("*.damaged-*"))
    await shared.release(database)
