"""The plugin in several event loops, in loops that ended, and in children; and an opening that fails, in whatever way.
No server is needed."""

from __future__ import annotations

import asyncio
import json
import os
import sys
import threading
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
from slixmpp import ClientXMPP

import newsstand.slixmpp  # noqa: F401 - makes the plugin known
from newsstand.errors import DatabaseError, DatabaseLost
from newsstand.model import NodeKey, NodeRecord
from newsstand.storage.statements import nodes
from tests.contract.test_storage_loops import in_loops
from tests.databases import BACKENDS, Databases
from tests.fakes.hold import SECONDS
from tests.logged import records_of_ours, warnings_of_ours

OFF = "Newsstand is off: every read goes to the service"


@pytest.fixture(params=BACKENDS)
async def url(request: pytest.FixtureRequest, databases: Databases, tmp_path: Path) -> AsyncIterator[str]:
    """Of a file that does not exist yet, or of a database without tables."""
    url = await databases.new(request.param, tmp_path, empty=True)
    yield url
    await databases.drop(url)


@pytest.fixture
def file_url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path / 'news.db'}"


def plugin_of(url: str, name: str = "juliet") -> Any:
    client = ClientXMPP(f"{name}@example.org", "secret")
    client.register_plugin("newsstand", {"database": url})
    return client.plugin["newsstand"]


async def save(plugin: Any, node: str) -> NodeRecord:
    record = NodeRecord(0, NodeKey("juliet@example.org", "pubsub.example.org", node))
    saved: NodeRecord = await plugin._database.write(nodes.save, record)
    return saved


async def test_three_bots_in_threads_open_use_and_close_one_database(
    url: str, caplog: pytest.LogCaptureFixture
) -> None:
    met = threading.Barrier(3, timeout=2 * SECONDS)

    async def bot(number: int) -> int:
        plugin = plugin_of(url, f"bot{number}")
        await plugin.ready()
        await save(plugin, f"node {number}")
        await asyncio.to_thread(met.wait)
        page = await plugin.replica.search(account="*")
        async with plugin.replica.session() as session:
            count = len((await session.execute(nodes._SELECT_NODES)).all())
        assert page.items == []
        await plugin.close()
        return count

    assert await in_loops(bot) == [3, 3, 3]
    assert warnings_of_ours(caplog) == []


async def test_a_run_that_was_cancelled_while_it_opened_is_followed_by_another(file_url: str) -> None:
    """In the same process, and again and again, wherever the opening is."""

    async def begin(steps: int) -> None:
        plugin_of(file_url)
        for _ in range(steps):
            await asyncio.sleep(0)
        raise KeyError("the program's own")

    async def whole() -> None:
        plugin = plugin_of(file_url)
        async with asyncio.timeout(SECONDS):
            await plugin.ready()
            await plugin.close()

    def run() -> None:
        for steps in range(6):
            with pytest.raises(KeyError):
                asyncio.run(begin(steps))
            asyncio.run(whole())

    await asyncio.to_thread(run)


async def test_closing_does_not_wait_for_an_opening(tmp_path: Path) -> None:
    plugin = plugin_of(f"sqlite:///{tmp_path / 'news.db'}")
    worker = plugin_of(f"sqlite:///{tmp_path / 'other.db'}")
    worker._migrate = False  # it would wait two minutes for another process
    ready = asyncio.ensure_future(worker.ready())
    async with asyncio.timeout(SECONDS):
        await plugin.ready()
        await worker.close()
        with pytest.raises(DatabaseError, match="closed before the database was opened"):
            await ready
        with pytest.raises(DatabaseError, match="closed before the database was opened"):
            await worker.ready()
        await plugin.close()


async def test_another_loop_is_refused_the_plugin_at_once(file_url: str) -> None:
    plugin = plugin_of(file_url)
    await plugin.ready()

    async def elsewhere(_: int) -> None:
        for verb in (plugin.ready, plugin.close):
            with pytest.raises(DatabaseError, match="another event loop"):
                await verb()

    await in_loops(elsewhere, 1)
    await plugin.ready()
    await plugin.close()
    await plugin.close()


# What goes wrong ---------------------------------------------------------------------------------------------------


def no_thread(self: threading.Thread) -> None:
    raise RuntimeError("can't start new thread")


def no_memory(*_: object, **__: object) -> None:
    raise MemoryError


@pytest.mark.parametrize(
    ("spoil", "error", "why"),
    [
        (lambda patch, path: path.mkdir(), DatabaseError, "Is a directory"),
        (lambda patch, path: patch.setattr(threading.Thread, "start", no_thread), RuntimeError, "start new thread"),
        (lambda patch, path: patch.setattr(json, "loads", no_memory), MemoryError, "MemoryError"),
    ],
)
async def test_whatever_goes_wrong_while_opening_is_told_once_with_what_follows_from_it(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    spoil: Callable[[pytest.MonkeyPatch, Path], object],
    error: type[Exception],
    why: str,
) -> None:
    path = tmp_path / "news.db"
    if error is MemoryError:  # a database in which something is to be read
        plugin = plugin_of(f"sqlite:///{path}")
        await plugin.ready()
        await plugin._database.write(
            lambda conn: conn.exec_driver_sql("INSERT INTO newsstand_service VALUES ('a.example', '{}', 1)")
        )
        await plugin.close()
    with monkeypatch.context() as patch:
        spoil(patch, path)
        plugin = plugin_of(f"sqlite:///{path}")
        for _ in range(2):
            with pytest.raises(error):
                await plugin.ready()
    assert not plugin.replica.is_open
    (told,) = [record.getMessage() for record in records_of_ours(caplog) if record.levelname == "ERROR"]
    assert told.startswith(OFF)
    assert why in told
    await plugin.close()


async def test_an_opening_that_failed_is_told_though_nobody_waits_for_it(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "news.db").mkdir()
    plugin = plugin_of(f"sqlite:///{tmp_path / 'news.db'}")
    await asyncio.wait({plugin._opening})
    assert [text.startswith(OFF) for text in warnings_of_ours(caplog)] == [True]
    await plugin.close()


# Forks -------------------------------------------------------------------------------------------------------------

FORK = """
import asyncio, os, signal, sys
import slixmpp, newsstand.slixmpp
from newsstand.errors import NewsstandError

signal.alarm(60)
os.register_at_fork(after_in_child=lambda: signal.alarm(60))

def plugin_of(url):
    client = slixmpp.ClientXMPP("juliet@example.org", "secret")
    client.register_plugin("newsstand", {"database": url})
    return client.plugin["newsstand"]

async def met(work):
    try:
        await work
    except NewsstandError as error:
        return str(error)
    return "done"

async def main(url):
    plugin = plugin_of(url)
    await plugin.ready()
    child = os.fork()
    if child == 0:
        async def run():
            print("ready:", await met(plugin.ready()))
            print("read:", await met(plugin.replica.get_items("pubsub.example.org", "node")))
            print("close:", await met(plugin.close()))
            own = plugin_of(url)
            await own.ready()
            print("own:", own.replica.nodes(), own._database is plugin._database)
            await own.close()
        asyncio.run(run())
        sys.stdout.flush()
        os._exit(0)
    await asyncio.to_thread(os.waitpid, child, 0)
    print("parent:", await met(plugin.ready()), await met(plugin._database.write(lambda conn: None)))
    await plugin.close()

asyncio.run(main(sys.argv[1]))
"""


async def test_a_child_is_refused_its_parents_plugin_and_makes_its_own(url: str) -> None:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", FORK, url), stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    async with asyncio.timeout(4 * SECONDS):
        out, err = await process.communicate()
    assert process.returncode == 0, err.decode()
    ready, read, close, own, parent = out.decode().splitlines()
    assert "opened in the process that this one was forked from" in ready
    assert "opened by the process that this one was forked from" in read
    assert (close, own, parent) == ("close: done", "own: [] False", "parent: done done")


# The file is moved -------------------------------------------------------------------------------------------------


async def test_newsstand_turns_off_where_its_file_is_moved_and_says_so_once(
    tmp_path: Path, file_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    plugin, other = plugin_of(file_url), plugin_of(file_url, "nurse")
    await plugin.ready()
    await other.ready()
    await save(plugin, "node")
    os.rename(tmp_path / "news.db", tmp_path / "moved.db")
    with pytest.raises(DatabaseLost, match="moved or deleted"):
        await save(plugin, "another")
    for each in (plugin, other):
        with pytest.raises(DatabaseLost, match="moved or deleted"):
            await each.ready()
        assert not each.replica.is_open
        assert "Iq" not in vars(each.xmpp)
        await each.close()
    (told,) = warnings_of_ours(caplog)
    assert "news.db was moved or deleted while it was used" in told
    assert "Newsstand is off, every read goes to the service" in told

    anew = plugin_of(file_url)
    await anew.ready()
    assert anew.replica.nodes() == []
    await anew.close()
    (aside,) = tmp_path.glob("news.db.lost-*-wal")
    assert f"its last changes are in {aside}" in told
    aside.rename(tmp_path / "moved.db-wal")
    moved = plugin_of(f"sqlite:///{tmp_path / 'moved.db'}")
    await moved.ready()
    assert [record.key.node for record in moved.replica.nodes()] == ["node"]
    await moved.close()
