"""One database object per file and process, however many clients use it."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from newsstand.errors import ConfigurationError, DatabaseError
from newsstand.storage import shared
from newsstand.storage.statements import items


async def test_all_who_open_a_file_get_one_object_and_the_last_closes_it(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'news.db'}"
    first, second, third = await asyncio.gather(*(shared.acquire(url) for _ in range(3)))
    assert first is second is third
    await shared.release(first)
    await shared.release(second)
    assert await third.read(items.nodes_to_parse) == []
    await shared.release(third)
    with pytest.raises(DatabaseError, match="closed"):
        await third.read(items.nodes_to_parse)


async def test_other_ways_to_write_a_path_name_the_same_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "link").symlink_to(tmp_path)
    (tmp_path / "folder").mkdir()
    urls = [
        "sqlite:///news.db",
        f"sqlite:///{tmp_path}/news.db",
        "sqlite:///folder/../news.db",
        "sqlite:///link/news.db",
        "sqlite+pysqlite:///news.db",
    ]
    databases = [await shared.acquire(url) for url in urls]
    assert len(set(map(id, databases))) == 1
    for database in databases:
        await shared.release(database)


async def test_different_files_are_different_databases(tmp_path: Path) -> None:
    one, other = [await shared.acquire(f"sqlite:///{tmp_path / name}") for name in ("a.db", "b.db")]
    assert one is not other
    await shared.release(one)
    assert await other.read(items.nodes_to_parse) == []
    await shared.release(other)


async def test_who_opens_while_the_last_closes_gets_an_open_one(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'news.db'}"
    database = await shared.acquire(url)
    for _ in range(10):
        closing = asyncio.ensure_future(shared.release(database))
        await asyncio.sleep(0)
        opened = await asyncio.gather(shared.acquire(url), shared.acquire(url))
        await closing
        assert opened[0] is opened[1]
        assert await opened[0].read(items.nodes_to_parse) == []
        await shared.release(opened[0])
        database = opened[1]
    await shared.release(database)


async def test_an_opening_that_fails_is_told_to_each_and_may_be_tried_again(tmp_path: Path) -> None:
    path = tmp_path / "news.db"
    path.mkdir()
    url = f"sqlite:///{path}"
    outcomes = await asyncio.gather(shared.acquire(url), shared.acquire(url), return_exceptions=True)
    assert [type(outcome) for outcome in outcomes] == [DatabaseError, DatabaseError]
    path.rmdir()
    database = await shared.acquire(url)
    await shared.release(database)


async def test_who_stops_waiting_is_not_counted(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'news.db'}"
    gives_up = asyncio.ensure_future(shared.acquire(url))
    stays = asyncio.ensure_future(shared.acquire(url))
    await asyncio.sleep(0)
    gives_up.cancel()
    with pytest.raises(asyncio.CancelledError):
        await gives_up
    database = await stays
    await shared.release(database)
    with pytest.raises(DatabaseError, match="closed"):
        await database.read(items.nodes_to_parse)


async def test_a_url_that_cannot_be_right_is_refused() -> None:
    with pytest.raises(ConfigurationError):
        await shared.acquire("sqlite://")
