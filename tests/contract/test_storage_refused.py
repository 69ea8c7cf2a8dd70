"""What an account may not read any more is kept for a while, hidden; who takes the database elsewhere does not take it
along, unless that is asked for."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from newsstand.model import SyncState, Verdict
from newsstand.storage.database import open_database
from newsstand.storage.maintenance import copying
from newsstand.storage.maintenance.backing_up import back_up
from newsstand.storage.maintenance.checking import check
from newsstand.storage.maintenance.copying import copy
from newsstand.storage.statements import items, nodes
from tests.contract._copied import held
from tests.contract._storage import apply, find_node, ids_found, log, make_node, parse, put
from tests.databases import BACKENDS, Databases

SECRET, WORD, PLAIN = "unspeakable", "zwieback", "compost"
"""What the refused items say, a word that only their index has, and what the others say."""
ITEMS = 40
DIRECTIONS = list(itertools.product(BACKENDS, BACKENDS))


async def fill(url: str) -> None:
    """A node that was refused, one that is gone for good, and one that is live."""
    database = await open_database(url)
    refused = await make_node(database, "refused", state=SyncState.STALE, verdict=Verdict.WANTED, complete=True)
    live = await make_node(database, "live", state=SyncState.LIVE, verdict=Verdict.WANTED, complete=True)
    await make_node(database, "gone", state=SyncState.GONE)
    for number in range(ITEMS):
        await apply(database, refused, put(f"{SECRET}-{number}", SECRET * 20))
        await apply(database, live, put(f"{PLAIN}-{number}", PLAIN))
    await parse(database, refused, {f"{SECRET}-{number}": {"title": WORD} for number in range(ITEMS)})
    await parse(database, live, {f"{PLAIN}-{number}": {"title": PLAIN} for number in range(ITEMS)})
    record = await find_node(database, refused.id)
    closed = dataclasses.replace(record, state=SyncState.GONE, complete=False, retry_at=2**62)
    await database.write(nodes.save, closed)
    await database.close()


async def assert_left_out(url: str) -> None:
    """The database holds nothing of the refused items, and is right."""
    assert await check(url) == []
    database = await open_database(url)
    try:
        records = {record.key.node: record for record in [await find_node(database, number) for number in (1, 2, 3)]}
        refused, live = records["refused"], records["live"]
        assert (refused.state, refused.item_count, refused.quarantined) == (SyncState.GONE, 0, 0)
        assert await database.scan(items.held_ids, refused.id) == []
        assert await log(database, refused) == []
        assert (live.state, live.item_count) == (SyncState.LIVE, ITEMS)
        assert len(await log(database, live)) == ITEMS
        assert await ids_found(database, WORD) == []
        assert len(await ids_found(database, PLAIN, limit=1000)) == ITEMS
    finally:
        await database.close()


def holds(folder: Path, text: str) -> bool:
    """Whether a file of the folder has it anywhere."""
    return any(text.encode() in file.read_bytes() for file in folder.iterdir() if file.is_file())


@pytest.fixture
async def file(tmp_path: Path, databases: Databases) -> str:
    """The URL of a file that is filled."""
    url = await databases.new("sqlite", tmp_path, empty=True)
    await fill(url)
    return url


async def test_a_backup_leaves_refused_items_out(file: str, tmp_path: Path) -> None:
    (tmp_path / "there").mkdir()
    backup = tmp_path / "there" / "backup.db"
    assert await back_up(file, backup) == backup.stat().st_size
    assert [each.name for each in backup.parent.iterdir()] == ["backup.db"]
    assert not holds(backup.parent, SECRET)
    assert not holds(backup.parent, WORD)
    assert holds(backup.parent, PLAIN)
    await assert_left_out(f"sqlite:///{backup}")


async def test_a_backup_has_refused_items_where_that_is_asked_for(file: str, tmp_path: Path) -> None:
    (tmp_path / "there").mkdir()
    backup = tmp_path / "there" / "backup.db"
    await back_up(file, backup, with_refused=True)
    assert holds(backup.parent, SECRET)
    assert await held(f"sqlite:///{backup}") == await held(file)


async def test_where_nothing_was_refused_a_backup_is_as_it_was(tmp_path: Path, databases: Databases) -> None:
    url = await databases.new("sqlite", tmp_path)
    database = await open_database(url)
    await apply(database, await make_node(database), put("a"))
    await database.close()
    for name, kept in (("without.db", False), ("with.db", True)):
        await back_up(url, tmp_path / name, with_refused=kept)
    assert (tmp_path / "without.db").read_bytes() == (tmp_path / "with.db").read_bytes()


@pytest.fixture(params=DIRECTIONS, ids="-to-".join)
async def places(
    request: pytest.FixtureRequest, databases: Databases, tmp_path: Path
) -> AsyncIterator[tuple[str, str]]:
    """The URLs of a database that is filled, and of one without tables, of each kind and each kind."""
    urls = []
    for name, backend in zip(("old", "new"), request.param, strict=True):
        (tmp_path / name).mkdir()
        urls.append(await databases.new(backend, tmp_path / name, empty=True))
    await fill(urls[0])
    yield urls[0], urls[1]
    for url in urls:
        await databases.drop(url)


async def test_a_copy_leaves_refused_items_out(places: tuple[str, str], tmp_path: Path) -> None:
    old, new = places
    before = await held(old)
    assert (await copy(old, new)).differences == ()
    assert await held(old) == before
    await assert_left_out(new)
    assert not holds(tmp_path / "new", SECRET)
    assert not holds(tmp_path / "new", WORD)


async def test_a_copy_has_refused_items_where_that_is_asked_for(places: tuple[str, str]) -> None:
    old, new = places
    assert (await copy(old, new, with_refused=True)).differences == ()
    assert await held(new) == await held(old)


async def test_what_an_interrupted_copy_took_along_is_not_in_the_file_once_it_is_finished_without(
    places: tuple[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    old, new = places
    monkeypatch.setattr(copying, "ROWS", 7)

    def report(come: int, total: int) -> None:
        if come > 2 * ITEMS:
            raise InterruptedError

    with pytest.raises(InterruptedError):
        await copy(old, new, with_refused=True, report=report)
    if new.startswith("sqlite"):
        assert holds(tmp_path / "new", SECRET)
    done = await copy(old, new)
    assert done.differences == ()
    await assert_left_out(new)
    assert not holds(tmp_path / "new", SECRET)
    assert not holds(tmp_path / "new", WORD)


async def test_a_copy_that_was_interrupted_goes_on_where_it_was_though_some_is_left_out(
    places: tuple[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    old, new = places
    monkeypatch.setattr(copying, "ROWS", 7)

    def report(come: int, total: int) -> None:
        if come > ITEMS:
            raise InterruptedError

    with pytest.raises(InterruptedError):
        await copy(old, new, report=report)
    done = await copy(old, new)
    assert done.found > 0
    assert done.differences == ()
    await assert_left_out(new)
