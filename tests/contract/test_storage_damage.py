"""A file that is damaged, or no database, is set aside, and the copy made anew: nothing is ever deleted, and nobody
else's tables vanish."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from newsstand.errors import DatabaseError, DatabaseLocked, NotADatabase
from newsstand.model import Origin, Policy
from newsstand.storage.database import find_revision, open_database
from newsstand.storage.sqlite import connections, damage
from newsstand.storage.sqlite.connections import doubt_of, make_file
from newsstand.storage.statements import items
from tests.contract._storage import NODE, apply, in_step, make_node, put
from tests.contract.test_storage_opening import HEAD, held_by_another_process, make_database, plain, url_of
from tests.fakes.program import at_work, contents
from tests.fakes.service import SERVICE, Service

NO_DATABASES = {
    "a text": b"Dear diary, today I learnt about databases. " * 200,
    "one byte": b"x",
    "a little less than a page": b"x" * 511,
    "a page": b"x" * 512,
    "the name of a database and then garbage": b"SQLite format 3\0" + b"\xff" * 5000,
}


def set_aside(folder: Path) -> list[Path]:
    return sorted(folder.glob("news.db.damaged-*"))


async def refilled(path: Path) -> None:
    """A new copy took its place, and works."""
    await make_database(path)
    assert await find_revision(url_of(path)) == HEAD
    assert path.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("content", NO_DATABASES.values(), ids=NO_DATABASES.keys())
async def test_a_file_that_is_no_database_is_set_aside_with_a_word(
    tmp_path: Path, content: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "news.db"
    path.write_bytes(content)
    await refilled(path)
    (aside,) = set_aside(tmp_path)
    assert aside.read_bytes() == content
    (told,) = [record for record in caplog.records if record.name == damage.__name__]
    assert told.levelno == logging.ERROR
    assert str(path) in told.getMessage()
    assert str(aside) in told.getMessage()


@pytest.mark.parametrize("share", [0.1, 0.5, 0.9])
async def test_a_truncated_database_is_set_aside(tmp_path: Path, share: float) -> None:
    path = tmp_path / "news.db"
    await make_database(path)
    content = path.read_bytes()
    cut = content[: int(len(content) * share)]
    path.write_bytes(cut)
    await refilled(path)
    (aside,) = set_aside(tmp_path)
    assert aside.read_bytes() == cut


def test_what_was_not_written_into_the_file_yet_goes_along(tmp_path: Path) -> None:
    path = tmp_path / "news.db"
    path.write_bytes(b"\xff" * 4096)
    for suffix in ("", *damage.SIDE_FILES):
        path.with_name(f"news.db{suffix}").write_text(f"the file{suffix}")
    path.with_name("news.db-shm").write_text("where what is in the log")
    damage.set_aside(path, path.stat(), NotADatabase("it is damaged"))
    assert [file.read_text() for file in set_aside(tmp_path)] == ["the file", "the file-journal", "the file-wal"]
    assert len(list(tmp_path.iterdir())) == 3


async def test_files_that_are_set_aside_do_not_overwrite_each_other(tmp_path: Path) -> None:
    path = tmp_path / "news.db"
    for number in range(3):
        path.write_bytes(bytes([65 + number]) * 600)
        await refilled(path)
    assert {aside.read_bytes()[:1] for aside in set_aside(tmp_path)} == {b"A", b"B", b"C"}


async def test_a_link_stays_a_link(tmp_path: Path) -> None:
    place = tmp_path / "place"
    place.mkdir()
    (place / "news.db").write_bytes(b"x" * 600)
    link = tmp_path / "link.db"
    link.symlink_to(place / "news.db")
    await make_database(link)
    assert link.is_symlink()
    assert len(set_aside(place)) == 1
    assert await find_revision(url_of(place / "news.db")) == HEAD


async def test_a_program_that_keeps_tables_of_its_own_in_it_is_told_and_keeps_its_file(tmp_path: Path) -> None:
    path = tmp_path / "news.db"
    await make_database(path)
    with plain(path) as connection:
        connection.execute("CREATE TABLE recipe (name TEXT)")
        connection.executemany("INSERT INTO recipe VALUES (?)", [("scones" * 100,)] * 100)
    cut = path.read_bytes()[:-4096]
    path.write_bytes(cut)
    with pytest.raises(NotADatabase, match=r"other tables too \(recipe\)"):
        await open_database(url_of(path))
    assert path.read_bytes() == cut
    assert set_aside(tmp_path) == []


async def test_who_cannot_refill_a_copy_may_have_it_refused(tmp_path: Path) -> None:
    path = tmp_path / "news.db"
    path.write_bytes(b"x" * 600)
    with pytest.raises(NotADatabase, match=r"news\.db"):
        await open_database(url_of(path), set_aside=False)
    assert path.read_bytes() == b"x" * 600


async def test_what_is_no_file_is_never_moved(tmp_path: Path) -> None:
    path = tmp_path / "news.db"
    for make in (path.mkdir, lambda: os.mkfifo(path), lambda: path.symlink_to("/dev/null")):
        make()
        with pytest.raises(DatabaseError, match=r"directory|not a file"):
            await open_database(url_of(path))
        assert [file.name for file in tmp_path.iterdir()] == ["news.db"]
        (path.rmdir if path.is_dir() else path.unlink)()


async def test_a_damaged_file_that_another_process_has_open_is_not_taken_from_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "news.db"
    await make_database(path)
    monkeypatch.setattr(connections, "BUSY_SECONDS", 0.2)
    with held_by_another_process(path):
        with path.open("r+b") as file:
            file.write(b"\xff" * 100)
        with pytest.raises(DatabaseLocked, match="end it"):
            await open_database(url_of(path))
        assert set_aside(tmp_path) == []
    await refilled(path)
    assert len(set_aside(tmp_path)) == 1


async def test_who_was_ended_while_setting_aside_is_taken_over_from(tmp_path: Path) -> None:
    """The file has its new name already, and its old one still; part of what belongs to it was moved."""
    path = tmp_path / "news.db"
    await make_database(path)  # as if the damage were in the part that was moved: the rest reads well
    content = path.read_bytes()
    aside = tmp_path / "news.db.damaged-20261124T2130"
    os.link(path, aside)
    aside.with_name(f"{aside.name}-wal").write_bytes(b"moved")
    path.with_name("news.db-journal").write_bytes(b"not yet moved")
    await refilled(path)
    assert aside.read_bytes() == content
    assert sorted(file.name for file in set_aside(tmp_path)) == [
        aside.name,
        f"{aside.name}-journal",
        f"{aside.name}-wal",
    ]


MANY = """
import asyncio, os, sys
from newsstand.storage.database import open_database
import alembic.command

async def open_and_close(url):
    await (await open_database(url)).close()

start, gun = os.pipe()
children = []
for _ in range(8):
    child = os.fork()
    if child == 0:
        os.close(gun)
        os.read(start, 1)
        try:
            asyncio.run(open_and_close(sys.argv[1]))
        except BaseException as error:
            print(repr(error), flush=True)
        os._exit(0)
    children.append(child)
os.close(gun)
for child in children:
    os.waitpid(child, 0)
"""


async def test_of_processes_that_start_on_a_damaged_file_one_sets_it_aside_and_all_go_on(tmp_path: Path) -> None:
    for round_ in range(5):
        path = tmp_path / str(round_) / "news.db"
        path.parent.mkdir()
        path.write_bytes(b"\xff" * 8192)
        told = subprocess.run([sys.executable, "-c", MANY, url_of(path)], capture_output=True, text=True, check=True)
        assert told.stdout == ""
        assert len(set_aside(path.parent)) == 1
        await refilled(path)


def test_a_file_that_another_process_sets_aside_between_two_looks_is_made_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "news.db"
    path.write_bytes(b"")
    access, looks = os.access, []

    def accessed(*args: Any, **kwargs: Any) -> bool:
        looks.append(path.stat().st_ino)
        if len(looks) == 1:
            path.rename(tmp_path / "aside.db")
        return access(*args, **kwargs)

    monkeypatch.setattr(os, "access", accessed)
    assert make_file(path).st_ino == path.stat().st_ino != looks[0]


# Found while it is used -------------------------------------------------------------------------------------


def page_of(path: Path, table: str) -> tuple[int, int]:
    """Where the root of a table is in the file, and how long a page is."""
    with plain(path) as connection:
        (root,) = connection.execute("SELECT rootpage FROM sqlite_master WHERE name = ?", (table,)).fetchone()
        (size,) = connection.execute("PRAGMA page_size").fetchone()
    return (root - 1) * size, size


def destroy(path: Path, table: str) -> None:
    at, size = page_of(path, table)
    with path.open("r+b") as file:
        file.seek(at)
        file.write(b"\xff" * size)


async def make_larger(path: Path) -> None:
    database = await open_database(url_of(path))
    await apply(database, await make_node(database), *(put(f"i{number}", "x" * 500) for number in range(50)))
    await database.close()


async def test_damage_that_is_met_is_told_once_and_the_next_start_sets_the_file_aside(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "news.db"
    await make_larger(path)
    destroy(path, "newsstand_item")
    database = await open_database(url_of(path))
    for _ in range(3):
        with pytest.raises(NotADatabase):
            await database.read(items.held_ids, 1)
        with pytest.raises(NotADatabase):
            await database.scan(items.held_ids, 1)
    with pytest.raises(NotADatabase):
        await database.write(items.apply, 1, [put("new")], 1)
    assert await database.read(lambda conn: conn.execute(NODE.select()).one().name) == "blog"
    await database.close()
    assert sum("is damaged" in record.getMessage() for record in caplog.records) == 1
    assert doubt_of(path).exists()
    await refilled(path)
    assert len(set_aside(tmp_path)) == 1
    assert not doubt_of(path).exists()


async def test_a_doubt_that_turns_out_wrong_costs_one_look(tmp_path: Path) -> None:
    path = tmp_path / "news.db"
    await make_larger(path)
    doubt_of(path).touch()
    database = await open_database(url_of(path))
    await in_step(database)
    assert len(await database.read(items.held_ids, 1)) == 50
    await database.close()
    assert [file.name for file in tmp_path.iterdir()] == ["news.db"]


async def test_whatever_page_is_damaged_reading_gives_what_was_stored_or_our_error(tmp_path: Path) -> None:
    """Never a crash, an error of the driver, or half a node."""
    whole = tmp_path / "whole.db"
    await make_larger(whole)
    content = whole.read_bytes()
    outcomes = set()
    for number, page in enumerate(range(0, len(content), 4096)):
        path = tmp_path / str(number) / "news.db"
        path.parent.mkdir()
        path.write_bytes(content[:page] + b"\xa5" * 4096 + content[page + 4096 :])
        database = await open_database(url_of(path))
        try:
            held = await database.read(items.held_ids, 1)
        except DatabaseError:
            outcomes.add("refused")
        else:
            outcomes.add("read" if len(held) == 50 else "begun anew")
            assert len(held) in (0, 50)
        finally:
            await database.close()
    assert outcomes == {"refused", "read", "begun anew"}


async def test_a_program_whose_copy_is_damaged_is_answered_by_the_service(tmp_path: Path) -> None:
    path = tmp_path / "news.db"
    service = Service()
    service.create("blog")
    for number in range(30):
        service.publish("blog", f"i{number}", "x" * 500, told=False)
    database = await open_database(url_of(path))
    async with at_work(database, service) as program:
        await program.follow()
    await database.close()
    destroy(path, "newsstand_item")

    database = await open_database(url_of(path))
    try:
        async with at_work(database, service) as program:
            answer = await program.replica.get_items(SERVICE, "blog", policy=Policy.SERVE_STALE)
            assert (answer.origin, contents(answer)) == (Origin.SERVICE, service.contents("blog"))
            await program.asks_service()
            service.publish("blog", "new", "told and not to be stored")
            await program.asks_service()
            with pytest.raises(DatabaseError):
                await program.replica.get_items(SERVICE, "blog", policy=Policy.ONLY_COPY)
    finally:
        await database.close()

    database = await open_database(url_of(path))  # the next start
    try:
        async with at_work(database, service) as program:
            await program.follow()
    finally:
        await database.close()
    assert len(set_aside(tmp_path)) == 1
