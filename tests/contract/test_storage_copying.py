"""A database is copied to another, of any kind to any kind: whole, checked, and without losing what was there."""

from __future__ import annotations

import asyncio
import itertools
import json
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from newsstand.errors import ConfigurationError, DatabaseError, DatabaseLocked, DatabaseNewer
from newsstand.storage.database import find_revision, migrate, open_database
from newsstand.storage.maintenance import copying
from newsstand.storage.maintenance.checking import check
from newsstand.storage.maintenance.copying import copy
from newsstand.storage.schema import portable, versioning
from tests.contract._copied import fill, held, next_ids
from tests.contract._storage import NOW, apply, find_node, make_node, put
from tests.contract.test_storage_checking import change
from tests.databases import BACKENDS, Databases
from tests.migration._contents import contents, execute, schema_of

HEAD = versioning.revisions()[-1]
DIRECTIONS = list(itertools.product(BACKENDS, BACKENDS))
ACROSS = pytest.mark.parametrize(
    "places", [("sqlite", "postgresql"), ("postgresql", "sqlite")], indirect=True, ids="-to-".join
)
"""A test that each kind need meet only once on either side."""


@pytest.fixture(params=DIRECTIONS, ids="-to-".join)
async def places(
    request: pytest.FixtureRequest, databases: Databases, tmp_path: Path
) -> AsyncIterator[tuple[str, str]]:
    """The URLs of two databases without tables, of each kind and each kind."""
    urls = []
    for name, backend in zip(("old", "new"), request.param, strict=True):
        (tmp_path / name).mkdir()
        urls.append(await databases.new(backend, tmp_path / name, empty=True))
    yield urls[0], urls[1]
    for url in urls:
        await databases.drop(url)


@pytest.fixture
async def old(places: tuple[str, str]) -> str:
    """One that is hard to copy."""
    await fill(places[0])
    return places[0]


@pytest.fixture
def new(places: tuple[str, str]) -> str:
    return places[1]


@pytest.fixture
def small_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(copying, "ROWS", 7)


def stop_after(rows: int) -> copying.Report:
    """Interrupts a copy, as an error would."""

    def report(come: int, total: int) -> None:
        if come > rows:
            raise InterruptedError

    return report


async def begin(old: str, new: str, rows: int = 60) -> None:
    """A copy that is interrupted."""
    with pytest.raises(InterruptedError):
        await copy(old, new, report=stop_after(rows))


async def test_a_copy_holds_the_same_and_finds_the_same(old: str, new: str) -> None:
    before = contents(old), schema_of(old)
    done = await copy(old, new)
    assert (done.found, done.differences) == (0, ())
    assert (contents(old), schema_of(old)) == before
    assert await held(new) == await held(old)
    assert await check(new) == []
    counts = {table.name: table.rows for table in done.tables}
    assert counts == {name: len(rows) for name, rows in (await held(old))[0].items()}
    assert min(counts.values()) > 0


async def test_ids_that_were_given_are_not_given_again(old: str, new: str) -> None:
    await copy(old, new)
    last_there = max(row[0] for row in contents(old)["newsstand_node"])
    new_id, given = await next_ids(new)
    assert (new_id, given) == await next_ids(old)
    assert new_id == given["newsstand_node"] + 1 == last_there + 2  # between them is one that is gone


@ACROSS
async def test_what_is_of_the_moment_is_not_carried_over(old: str, new: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """As if it were what was learnt of services, and the nodes' states."""
    monkeypatch.setattr(portable, "_TABLES_OF_THE_MOMENT", {"newsstand_service"})
    monkeypatch.setattr(portable, "_COLUMNS_OF_THE_MOMENT", {("newsstand_node", "analysed_by")})
    assert (await copy(old, new)).differences == ()
    assert contents(new)["newsstand_service"] == []
    analysed = "SELECT count(*) FROM newsstand_node WHERE analysed_by IS NOT NULL"
    assert (execute(old, analysed), execute(new, analysed)) == ([(6,)], [(0,)])


async def test_what_is_being_parsed_is_not_carried_over(old: str, new: str) -> None:
    assert len(contents(old)["newsstand_parsing"]) == 1
    assert (await copy(old, new)).differences == ()
    assert contents(new)["newsstand_parsing"] == []


@ACROSS
async def test_a_program_goes_on_with_the_copy(old: str, new: str) -> None:
    await copy(old, new)
    database = await open_database(new)
    try:
        node = await make_node(database, "garden")
        await apply(database, node, put("later"))
        assert (await find_node(database, node.id)).item_count == 44
        await make_node(database, "of another account", account="nurse@example.org")
    finally:
        await database.close()
    assert await check(new) == []


async def test_an_empty_database_is_copied(places: tuple[str, str]) -> None:
    old, new = places
    await migrate(old, "head")
    done = await copy(old, new)
    assert {table.rows for table in done.tables} == {0}
    assert await find_revision(new) == HEAD
    assert await next_ids(new) == await next_ids(old)


@ACROSS
@pytest.mark.usefixtures("small_batches")
async def test_digests_are_the_same_whatever_the_database_and_the_batches(
    old: str, new: str, monkeypatch: pytest.MonkeyPatch, databases: Databases, tmp_path: Path
) -> None:
    there = await copy(old, new)
    monkeypatch.undo()
    (tmp_path / "back").mkdir()
    back = await copy(new, await databases.new("sqlite", tmp_path / "back", empty=True))
    assert back.tables == there.tables


@ACROSS
async def test_a_batch_is_bounded_in_bytes_as_well(old: str, new: str, monkeypatch: pytest.MonkeyPatch) -> None:
    sizes: list[int] = []
    batches = copying._batches

    def watched(rows: Any) -> Any:
        for batch in batches(rows):
            sizes.append(len(batch))
            yield batch

    monkeypatch.setattr(copying, "_batches", watched)
    monkeypatch.setattr(copying, "BYTES", 600)
    assert (await copy(old, new)).differences == ()
    assert 1 < max(sizes) < 30  # of the same rows, unbounded batches are of 45


@pytest.mark.usefixtures("small_batches")
async def test_a_copy_that_was_interrupted_goes_on_where_it_was(old: str, new: str) -> None:
    await begin(old, new)
    for opening in (open_database, check):
        with pytest.raises(DatabaseError, match="is a copy that is not finished"):
            await opening(new)
    rows = sum(map(len, contents(new).values())) - 1  # the version
    assert rows > 50
    done = await copy(old, new)
    assert (done.found, done.differences) == (rows, ())
    assert await held(new) == await held(old)


@pytest.mark.usefixtures("small_batches")
async def test_what_was_written_to_the_old_database_meanwhile_is_copied_too(old: str, new: str) -> None:
    await begin(old, new, 80)
    database = await open_database(old)
    node = await make_node(database, "garden")
    await apply(database, node, put("item 3", "changed"), put("another"), now=NOW + 1)
    await database.write(lambda conn: conn.exec_driver_sql("DELETE FROM newsstand_node WHERE name = 'undecided'"))
    await make_node(database, "undecided", account="romeo@example.org")
    await database.close()
    done = await copy(old, new)
    assert done.differences == ()
    assert await held(new) == await held(old)
    assert await check(new) == []


async def test_what_is_written_while_it_is_copied_is_of_the_next_moment(old: str, new: str) -> None:
    """One snapshot: neither half of a change, nor an error."""
    database = await open_database(old)
    node = await make_node(database, "garden")
    before = await held(old)
    loop = asyncio.get_running_loop()
    numbers = itertools.count()

    def write(come: int, total: int) -> None:
        item = put(f"while {next(numbers)}")
        asyncio.run_coroutine_threadsafe(apply(database, node, item), loop).result(20)

    done = await copy(old, new, report=write)
    await database.close()
    assert next(numbers) > 5
    assert done.differences == ()
    assert await held(new) == before


WRONGS = [
    ("UPDATE newsstand_item SET xml = xml || ' ' WHERE item_id = 'item 7'", "newsstand_item", "differs in xml"),
    ("UPDATE newsstand_service SET learnt = 5 WHERE jid = 'z.example.org'", "newsstand_service", "jid 'z.example.org'"),
    ("DELETE FROM newsstand_change WHERE item_id = 'item 9'", "newsstand_change", "is missing"),
]


@ACROSS
@pytest.mark.usefixtures("small_batches")
@pytest.mark.parametrize(("statement", "table", "told"), WRONGS)
async def test_a_change_in_the_copy_is_found_and_copying_again_mends_it(
    old: str, new: str, statement: str, table: str, told: str
) -> None:
    """Somebody changes what was copied, before it is compared."""
    halfway = False

    def meddle(come: int, total: int) -> None:
        nonlocal halfway
        if come * 2 >= total and not halfway:
            halfway = True
            execute(new, statement)

    done = await copy(old, new, report=meddle)
    (difference,) = done.differences
    assert difference.startswith(f"{table}: ")
    assert told in difference
    with pytest.raises(DatabaseError, match="not finished"):
        await open_database(new)
    assert (await copy(old, new)).differences == ()
    assert await held(new) == await held(old)


async def refused(old: str, new: str, match: str, kind: type[Exception] = DatabaseError) -> None:
    """And nothing was changed."""
    before = [_state(url) for url in (old, new)]
    with pytest.raises(kind, match=match):
        await copy(old, new)
    assert [_state(url) for url in (old, new)] == before


def _state(url: str) -> Any:
    file = Path(url.removeprefix("sqlite:///"))
    return (contents(url), schema_of(url)) if not url.startswith("sqlite") or file.exists() else None


@ACROSS
async def test_what_holds_copies_already_is_refused(old: str, new: str) -> None:
    database = await open_database(new)
    await make_node(database, "mine")
    await database.close()
    await refused(old, new, "holds copies already.*downgrade base --yes")
    await migrate(new, "base")
    assert (await copy(old, new)).differences == ()
    await refused(old, new, "holds copies already")


@ACROSS
async def test_an_unfinished_copy_of_another_database_is_refused_and_can_be_emptied(
    old: str, new: str, databases: Databases, tmp_path: Path
) -> None:
    (tmp_path / "other").mkdir()
    other = await databases.new("sqlite", tmp_path / "other", empty=True)
    await fill(other)
    await begin(other, new)
    await refused(old, new, "an unfinished copy of another database")
    await migrate(new, "base")
    assert await find_revision(new) is None
    assert (await copy(old, new)).differences == ()


@ACROSS
async def test_an_unfinished_copy_is_not_itself_copied(old: str, new: str, tmp_path: Path) -> None:
    await begin(old, new)
    await refused(new, f"sqlite:///{tmp_path}/third.db", "not finished")


@ACROSS
async def test_tables_of_others_stay_as_they_are(old: str, new: str) -> None:
    await change(new, "CREATE TABLE recipe (name TEXT)", "INSERT INTO recipe VALUES ('scones')")
    assert (await copy(old, new)).differences == ()
    assert contents(new, "recipe") == {"recipe": [("scones",)]}


@ACROSS
async def test_a_newer_one_on_either_side_is_refused(old: str, new: str) -> None:
    await migrate(new, "head")
    await change(new, "UPDATE newsstand_version SET version_num = '7777'")
    await refused(old, new, "7777", DatabaseNewer)
    await refused(new, old, "7777", DatabaseNewer)


@ACROSS
async def test_an_older_one_must_be_upgraded_first(old: str, new: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(versioning, "revisions", lambda *_: ["0001", "0002", HEAD, "9876"])
    await refused(old, new, "db upgrade")


@ACROSS
async def test_a_damaged_one_is_refused(old: str, new: str) -> None:
    await change(old, "UPDATE newsstand_item SET xml = replace(xml, '<', '[') WHERE item_id = 'item 5'")
    await refused(old, new, r"damaged \(item 'item 5' .*db check.*--repair")
    await change(old, "UPDATE newsstand_item SET xml = '<item/>' WHERE item_id = 'item 5'")
    await refused(old, new, r"damaged \(.* counts .* bytes of items and has .*db check.*--repair")


@ACROSS
async def test_one_that_is_not_there_or_holds_nothing_is_told(places: tuple[str, str], tmp_path: Path) -> None:
    old, new = places
    with pytest.raises(ConfigurationError, match=r"there is no database at .*none\.db"):
        await copy(f"sqlite:///{tmp_path}/none.db", new)
    await change(old, "CREATE TABLE recipe (name TEXT)")
    await refused(old, new, "holds nothing of ours")


@ACROSS
async def test_a_database_is_not_copied_to_itself(old: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="to itself"):
        await copy(old, old)


@ACROSS
@pytest.mark.usefixtures("small_batches")
async def test_another_process_that_writes_meanwhile_is_noticed(old: str, new: str) -> None:
    """Two that copy at once, say."""
    met = False

    def meddle(come: int, total: int) -> None:
        nonlocal met
        if come > 30 and not met:
            met = True
            execute(new, "DELETE FROM newsstand_change")

    with pytest.raises(DatabaseLocked, match="another process writes to"):
        await copy(old, new, report=meddle)
    assert (await copy(old, new)).differences == ()
    assert await held(new) == await held(old)


@ACROSS
async def test_who_waits_no_longer_ends_the_copy(old: str, new: str) -> None:
    begun = asyncio.Event()
    loop = asyncio.get_running_loop()

    def report(come: int, total: int) -> None:
        loop.call_soon_threadsafe(begun.set)

    task = asyncio.ensure_future(copy(old, new, report=report))
    await begun.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert (await copy(old, new)).differences == ()


KILLED = """
import asyncio, json, os, signal, sys
import alembic.command
from sqlalchemy import Engine, event
from newsstand.storage.maintenance import copying

old, new = sys.argv[1:]
copying.ROWS = 7

def run():
    writing, commits = set(), []
    def on_statement(conn, cursor, statement, *_):
        if statement.startswith(("INSERT", "UPDATE", "CREATE")):
            writing.add(conn)
    def on_commit(conn):
        if conn in writing:
            writing.remove(conn)
            commits.append(1)
            if len(commits) == 3:
                os.kill(os.getpid(), signal.SIGKILL)
    event.listen(Engine, "before_cursor_execute", on_statement)
    event.listen(Engine, "commit", on_commit)
    asyncio.run(copying.copy(old, new))

killed, status = 0, -signal.SIGKILL
while status == -signal.SIGKILL and killed < 100:
    child = os.fork()
    if child == 0:
        try:
            run()
            os._exit(0)
        finally:
            os._exit(1)
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    killed += status == -signal.SIGKILL
print(json.dumps([killed, status]))
"""


@pytest.mark.timeout(240)
async def test_killed_again_and_again_a_copy_still_comes_to_its_end(old: str, new: str) -> None:
    """Each process is killed when it is to commit what it wrote for the third time: so it leaves two steps behind, and
    half of another, and the next one must go on from there, or none would ever come further."""
    told = subprocess.run([sys.executable, "-c", KILLED, old, new], capture_output=True, text=True, check=False)
    assert told.stderr == ""
    killed, status = json.loads(told.stdout)
    assert status == 0
    assert killed > 10
    assert await held(new) == await held(old)
    assert await check(new) == []
