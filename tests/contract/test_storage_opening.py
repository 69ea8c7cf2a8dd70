"""Opening: the state of a file is detected, and it is created, migrated, or refused and left as it was."""

from __future__ import annotations

import asyncio
import os
import sqlite3
import stat
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from sqlalchemy.engine import URL

from newsstand.errors import ConfigurationError, DatabaseError, DatabaseLocked, DatabaseNewer
from newsstand.model import NodeRecord
from newsstand.storage import mapping
from newsstand.storage.database import Database, find_revision, migrate, open_database
from newsstand.storage.schema import versioning, waiting
from newsstand.storage.sqlite import connections, opening
from newsstand.storage.sqlite.database import SqliteDatabase
from newsstand.storage.statements import items
from tests.contract._storage import apply, in_step, make_node, path_of, put
from tests.fakes.hold import SECONDS

HEAD = versioning.revisions()[-1]


@pytest.fixture
def backend() -> str:
    """All of this is about files."""
    return "sqlite"


def url_of(path: Path) -> str:
    return f"sqlite:///{path}"


async def make_database(path: Path) -> None:
    database = await open_database(url_of(path))
    await apply(database, await make_node(database), put("a"))
    await database.close()


@contextmanager
def plain(path: Path) -> Iterator[sqlite3.Connection]:
    connection = sqlite3.connect(path, isolation_level=None)
    try:
        yield connection
    finally:
        connection.close()


def make_foreign(path: Path, *statements: str) -> bytes:
    """A database that is not ours, and its bytes."""
    with plain(path) as connection:
        for statement in statements:
            connection.execute(statement)
    return path.read_bytes()


async def test_an_empty_place_gets_a_private_database_at_the_newest_revision(tmp_path: Path) -> None:
    path = tmp_path / "news.db"
    database = await open_database(url_of(path))
    try:
        assert await database.read(versioning.current) == HEAD
        for file in tmp_path.iterdir():
            assert stat.S_IMODE(file.stat().st_mode) == 0o600, file
    finally:
        await database.close()
    assert [file.name for file in tmp_path.iterdir()] == ["news.db"]


async def test_an_empty_file_is_filled(tmp_path: Path) -> None:
    path = tmp_path / "news.db"
    path.touch()
    await make_database(path)
    assert await find_revision(url_of(path)) == HEAD


async def test_what_was_stored_is_there_when_it_is_opened_again(tmp_path: Path) -> None:
    path = tmp_path / "news.db"
    await make_database(path)
    database = await open_database(url_of(path))
    try:
        assert await database.read(items.held_ids, 1) == ["a"]
    finally:
        await database.close()


async def test_a_database_that_was_downgraded_to_nothing_is_created_anew(tmp_path: Path) -> None:
    path = tmp_path / "news.db"
    await make_database(path)
    await migrate(url_of(path), "base")
    assert await find_revision(url_of(path)) is None
    await make_database(path)
    assert await find_revision(url_of(path)) == HEAD


async def test_an_older_database_is_upgraded_by_opening_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "news.db"
    await make_database(path)
    # A Newsstand with one revision more than this one.
    versions = tmp_path / "migrations" / "versions"
    versions.mkdir(parents=True)
    for file in versioning.MIGRATIONS.rglob("*.py"):
        target = tmp_path / "migrations" / file.relative_to(versioning.MIGRATIONS)
        target.write_bytes(file.read_bytes())
    (versions / "9999_later.py").write_text(
        "import sqlalchemy as sa\n"
        "from alembic import op\n"
        f"revision, down_revision, branch_labels, depends_on = '9999', {HEAD!r}, None, None\n"
        "def upgrade():\n"
        "    op.add_column('newsstand_item', sa.Column('later', sa.Text()))\n"
        "    op.execute(\"UPDATE newsstand_item SET later = item_id || '!'\")\n"
        "def downgrade():\n"
        "    op.drop_column('newsstand_item', 'later')\n"
    )
    monkeypatch.setattr(versioning, "MIGRATIONS", tmp_path / "migrations")
    monkeypatch.setattr(versioning.revisions, "__defaults__", None)
    database = await open_database(url_of(path))
    try:
        assert await database.read(versioning.current) == "9999"
        assert (
            await database.read(lambda conn: conn.exec_driver_sql("SELECT later FROM newsstand_item").scalar()) == "a!"
        )
    finally:
        await database.close()
    monkeypatch.undo()
    with pytest.raises(DatabaseNewer):
        await open_database(url_of(path))


async def test_a_newer_database_is_refused_by_name_and_left_as_it_was(tmp_path: Path) -> None:
    path = tmp_path / "news.db"
    await make_database(path)
    with plain(path) as connection:
        connection.execute("UPDATE newsstand_version SET version_num = '7777'")
    before = path.read_bytes()
    with pytest.raises(DatabaseNewer, match=rf"7777.*{HEAD}"):
        await open_database(url_of(path))
    with pytest.raises(DatabaseNewer, match="7777"):
        await migrate(url_of(path), "head")
    assert path.read_bytes() == before


async def test_tables_named_like_ours_without_a_version_are_refused_and_left_as_they_were(tmp_path: Path) -> None:
    path = tmp_path / "other.db"
    before = make_foreign(path, "CREATE TABLE newsstand_item (headline TEXT)")
    with pytest.raises(DatabaseError, match="newsstand_item"):
        await open_database(url_of(path))
    assert path.read_bytes() == before


async def test_a_programs_own_tables_survive_creation_upgrade_and_downgrade(tmp_path: Path) -> None:
    path = tmp_path / "program.db"
    make_foreign(
        path,
        "CREATE TABLE recipe (id INTEGER PRIMARY KEY, name TEXT)",
        "CREATE INDEX by_name ON recipe (name)",
        "INSERT INTO recipe (name) VALUES ('scones')",
        "CREATE TABLE alembic_version (version_num TEXT)",
        "INSERT INTO alembic_version VALUES ('deadbeef')",
        # Broken, and none of our business.
        "CREATE TABLE step (recipe_id INTEGER REFERENCES recipe)",
        "INSERT INTO step VALUES (42)",
    )

    def own_things() -> list[object]:
        with plain(path) as connection:
            return [
                connection.execute("SELECT * FROM recipe").fetchall(),
                connection.execute("SELECT * FROM step").fetchall(),
                connection.execute("SELECT * FROM alembic_version").fetchall(),
                connection.execute(
                    "SELECT sql FROM sqlite_master WHERE tbl_name NOT LIKE 'newsstand%' AND tbl_name NOT LIKE 'sqlite%'"
                ).fetchall(),
            ]

    before = own_things()
    await make_database(path)
    assert own_things() == before
    await migrate(url_of(path), "base")
    assert own_things() == before
    await migrate(url_of(path), "head")
    assert own_things() == before


async def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="attic"):
        await open_database(url_of(tmp_path / "attic" / "news.db"))


async def test_a_folder_is_not_a_database(tmp_path: Path) -> None:
    with pytest.raises(DatabaseError, match="directory"):
        await open_database(url_of(tmp_path))


async def test_a_pipe_is_not_a_database(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(DatabaseError, match="not a file"):
        await open_database(url_of(tmp_path / "pipe"))


@contextmanager
def as_nobody(folder: Path) -> Iterator[None]:
    """As the owner of the folder, and nobody in particular: permissions do not hold root back. Only for so long as it
    takes, because nobody may not read this project's own files everywhere."""
    was = os.geteuid()
    if was == 0:
        for path in (folder, *folder.rglob("*")):
            os.chown(path, 65534, 65534)
        os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(was)


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """Below a folder that everybody may pass through, unlike pytest's own."""
    with tempfile.TemporaryDirectory() as name:
        yield Path(name)


async def test_a_read_only_file_is_refused_and_left_as_it_was(open_folder: Path) -> None:
    path = open_folder / "news.db"
    await make_database(path)
    path.chmod(0o400)
    before = path.read_bytes()
    with as_nobody(open_folder), pytest.raises(DatabaseError, match="Permission denied"):
        await open_database(url_of(path))
    assert path.read_bytes() == before


async def test_a_folder_that_may_not_be_written_to_is_named(open_folder: Path) -> None:
    folder = open_folder / "locked"
    folder.mkdir(mode=0o500)
    with as_nobody(open_folder), pytest.raises(DatabaseError, match="Permission denied"):
        await open_database(url_of(folder / "news.db"))


@pytest.mark.parametrize(
    ("url", "hint"),
    [
        ("news.db", "sqlite:///"),
        ("", "sqlite:///"),
        ("sqlite://", "memory"),
        ("sqlite:///", "memory"),
        ("sqlite:///:memory:", "memory"),
        ("sqlite:///file:news?mode=memory&uri=true", "memory"),
        ("sqlite:///news.db?timeout=5", "options"),
        ("sqlite:///file:news.db?uri=true", "options"),
        ("sqlite://news.db", "no host"),
        ("sqlite://localhost/news.db", "no host"),
        ("sqlite+pysqlcipher:///news.db", "driver"),
        ("mysql://juliet:secret@db/news", "mysql"),
        ("postgresql://juliet:secret@db", "names no database"),
        ("postgresql+psycopg://juliet:secret@db/news", "driver"),
        ("mysql://db/news", "mysql"),
        ("sqlite:///a\0b", "path"),
        ("postgresql://juliet:secret@db:port/news", "sqlite:///"),
    ],
)
async def test_a_url_that_cannot_be_right_says_what_would_be(url: str, hint: str) -> None:
    with pytest.raises(ConfigurationError, match=hint) as caught:
        await open_database(url)
    assert "secret" not in str(caught.value)


@contextmanager
def held_by_another_process(path: Path) -> Iterator[None]:
    """Another process is writing to the file, and takes its time."""
    hold = (
        "import sqlite3, sys\n"
        "connection = sqlite3.connect(sys.argv[1], isolation_level=None)\n"
        "connection.execute('BEGIN IMMEDIATE')\n"
        "print('held', flush=True)\n"
        "sys.stdin.read()\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", hold, path], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        try:
            yield
        finally:
            process.communicate("")


async def test_a_new_database_that_another_process_holds_is_locked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "news.db"
    path.touch()
    monkeypatch.setattr(connections, "BUSY_SECONDS", 0.1)
    monkeypatch.setattr(waiting, "MIGRATION_SECONDS", 0.1)
    with held_by_another_process(path), pytest.raises(DatabaseLocked, match=r"news\.db"):
        await open_database(url_of(path))
    await make_database(path)


async def test_while_another_process_writes_an_up_to_date_database_opens_and_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "news.db"
    await make_database(path)
    monkeypatch.setattr(connections, "BUSY_SECONDS", 0.1)
    with held_by_another_process(path):
        database = await open_database(url_of(path))
        try:
            assert await database.read(items.held_ids, 1) == ["a"]
            assert await database.scan(items.held_ids, 1) == ["a"]
            with pytest.raises(DatabaseLocked):
                await make_node(database, "another")
        finally:
            await database.close()


RACE = """
import asyncio, os, sys
import alembic.command, newsstand.storage.schema.versioning
from newsstand.model import NodeKey, NodeRecord
from newsstand.storage.statements import nodes
from newsstand.storage.database import open_database

async def open_and_write(url, name):
    database = await open_database(url)
    await database.write(nodes.save, NodeRecord(0, NodeKey("juliet@example.org", "pubsub.example.org", name)))
    await database.close()

move = newsstand.storage.schema.versioning.move
def counted(conn, revision):
    print("migrated", flush=True)
    move(conn, revision)
newsstand.storage.schema.versioning.move = counted

url, names = sys.argv[1], sys.argv[2:]
start, gun = os.pipe()
children = []
for name in names:
    child = os.fork()
    if child == 0:
        os.close(gun)
        os.read(start, 1)
        try:
            asyncio.run(open_and_write(url, name))
        except BaseException as error:
            print(repr(error), flush=True)
        os._exit(0)
    children.append(child)
os.close(gun)  # they all start now
for child in children:
    os.waitpid(child, 0)
"""


@pytest.mark.parametrize("round_", range(5))
async def test_of_processes_that_open_an_empty_database_at_once_one_migrates_and_all_succeed(
    tmp_path: Path, round_: int
) -> None:
    url = url_of(tmp_path / "news.db")
    names = {f"node-{number}" for number in range(6)}
    told = subprocess.run([sys.executable, "-c", RACE, url, *names], capture_output=True, text=True, check=True)
    assert told.stdout == "migrated\n"
    database = await open_database(url)
    try:
        await in_step(database)
        found = await database.read(lambda c: set(c.exec_driver_sql("SELECT name FROM newsstand_node").scalars()))
        versions = await database.read(lambda c: c.exec_driver_sql("SELECT * FROM newsstand_version").all())
    finally:
        await database.close()
    assert found == names
    assert [tuple(row) for row in versions] == [(HEAD,)]


async def test_opening_leaves_the_locks_that_a_program_has_on_the_same_file(tmp_path: Path) -> None:
    """A process that closes a file loses all its locks on it, also those that another connection took."""
    path = tmp_path / "news.db"
    await make_database(path)
    with plain(path) as connection:
        connection.execute("PRAGMA journal_mode=DELETE")
        connection.execute("BEGIN IMMEDIATE")
        assert connections.make_file(path).st_size > 0
        try_to_write = "import sqlite3, sys; sqlite3.connect(sys.argv[1], timeout=0).execute('BEGIN IMMEDIATE')"
        told = subprocess.run([sys.executable, "-c", try_to_write, path], capture_output=True, text=True, check=False)
    assert "database is locked" in told.stderr


async def test_who_may_not_migrate_waits_for_one_who_does(tmp_path: Path) -> None:
    path = tmp_path / "news.db"
    waiting = asyncio.ensure_future(open_database(url_of(path), migrate=False))
    await asyncio.sleep(0.2)
    assert list(tmp_path.iterdir()) == []
    await make_database(path)
    database = await asyncio.wait_for(waiting, 20)
    assert await database.read(items.held_ids, 1) == ["a"]
    await database.close()


async def test_who_may_not_migrate_does_not_wait_for_ever(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(waiting, "MIGRATION_SECONDS", 0.2)
    path = tmp_path / "news.db"
    with pytest.raises(DatabaseError, match="does not exist, and this process may not migrate"):
        await open_database(url_of(path), migrate=False)
    await make_database(path)
    await migrate(url_of(path), "base")
    before = path.read_bytes()
    with pytest.raises(DatabaseError, match="is at revision none, and this process may not migrate"):
        await open_database(url_of(path), migrate=False)
    assert path.read_bytes() == before
    path.write_bytes(before[:3000])
    with pytest.raises(DatabaseError, match=r"cannot be used.*may not migrate"):
        await open_database(url_of(path), migrate=False)
    assert path.read_bytes() == before[:3000]


async def test_two_files_are_migrated_side_by_side_in_one_process(tmp_path: Path) -> None:
    opened = await asyncio.gather(*(open_database(url_of(tmp_path / f"{number}.db")) for number in range(4)))
    assert [await database.read(versioning.current) for database in opened] == [HEAD] * 4
    for database in opened:
        await database.close()


async def test_who_stops_waiting_for_an_opening_leaves_nothing_open(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    closed = threading.Event()
    close_now = SqliteDatabase.close_now

    def closing(database: SqliteDatabase) -> None:  # in a thread
        close_now(database)
        closed.set()

    begun, go_on = threading.Event(), threading.Event()
    prepare = opening.prepare

    def preparing(url: URL, *, set_aside: bool) -> None:  # in a thread
        begun.set()
        go_on.wait(SECONDS)
        prepare(url, set_aside=set_aside)

    monkeypatch.setattr(SqliteDatabase, "close_now", closing)
    monkeypatch.setattr(opening, "prepare", preparing)
    opened = asyncio.ensure_future(open_database(url_of(tmp_path / "news.db")))
    assert await asyncio.to_thread(begun.wait, SECONDS)
    opened.cancel()
    with pytest.raises(asyncio.CancelledError):
        await opened
    go_on.set()
    assert await asyncio.to_thread(closed.wait, SECONDS)
    assert [file.name for file in tmp_path.iterdir()] == ["news.db"]
    assert await find_revision(url_of(tmp_path / "news.db")) == HEAD


async def test_only_looking_creates_nothing(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="no database"):
        await find_revision(url_of(tmp_path / "news.db"))
    assert list(tmp_path.iterdir()) == []
    before = make_foreign(tmp_path / "other.db", "CREATE TABLE recipe (name TEXT)")
    assert await find_revision(url_of(tmp_path / "other.db")) is None
    assert (tmp_path / "other.db").read_bytes() == before


async def test_the_revision_of_a_database_in_use_can_be_looked_up(database: Database, node: NodeRecord) -> None:
    await apply(database, node, put("a"))
    assert await find_revision(url_of(path_of(database))) == HEAD


async def test_a_revision_that_does_not_exist_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "news.db"
    await make_database(path)
    with pytest.raises(ConfigurationError, match=HEAD):
        await migrate(url_of(path), "4711")
    assert await find_revision(url_of(path)) == HEAD


def test_every_table_of_ours_is_called_so() -> None:
    assert all(name.startswith(mapping.PREFIX) for name in mapping.Base.metadata.tables)
