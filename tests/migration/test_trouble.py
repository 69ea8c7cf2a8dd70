"""What comes in the way of a migration: no room, a full disk, a lock, files and folders that may not be written. Each
is told, and what was stored is as before."""

from __future__ import annotations

import asyncio
import os
import shutil
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from sqlalchemy import Engine, event

from newsstand.errors import DatabaseError, DatabaseLocked
from newsstand.storage.database import find_revision, migrate, open_database
from newsstand.storage.schema import versioning, waiting
from newsstand.storage.sqlite import connections, opening
from tests.contract.test_storage_opening import as_nobody, held_by_another_process, open_folder, url_of
from tests.migration._contents import contents, fill, schema_of
from tests.migration._warm import CHAIN

__all__ = ["open_folder"]  # a fixture

HEAD = versioning.revisions()[-1]
NEWEST = versioning.revisions(CHAIN)[-1]


class Usage(NamedTuple):
    total: int
    used: int
    free: int


@pytest.fixture
def older(open_folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A database with rows in every table, older than this Newsstand, which knows the chain as well."""
    path = open_folder / "place" / "news.db"
    path.parent.mkdir()
    asyncio.run(fill(path))
    migrations = open_folder / "migrations"
    shutil.copytree(versioning.MIGRATIONS, migrations)
    for file in CHAIN.glob("*.py"):
        shutil.copy(file, migrations / "versions")
    monkeypatch.setattr(versioning, "MIGRATIONS", migrations)
    return path


def state(path: Path) -> Any:
    return contents(path), schema_of(path)


async def open_and_close(path: Path) -> None:
    await (await open_database(url_of(path))).close()


def names(path: Path) -> set[str]:
    return {file.name for file in path.parent.iterdir()}


async def test_a_migration_leaves_one_backup_of_what_was_before(older: Path) -> None:
    before = state(older)
    await migrate(url_of(older), "9001")
    between = state(older)
    first = older.with_name(f"news.db.before-migration-from-{HEAD}")
    assert names(older) == {"news.db", first.name}
    assert state(first) == before
    assert first.stat().st_mode & 0o777 == 0o600
    await open_and_close(older)
    second = older.with_name("news.db.before-migration-from-9001")
    assert names(older) == {"news.db", second.name}
    assert state(second) == between
    await open_and_close(older)
    await migrate(url_of(older), "base")  # meant to drop everything: it keeps nothing more
    assert names(older) == {"news.db", second.name}


async def test_a_backup_can_be_taken_up_again(older: Path) -> None:
    before = state(older)
    await open_and_close(older)
    after = state(older)
    older.with_name(f"news.db.before-migration-from-{HEAD}").replace(older)
    assert state(older) == before
    await open_and_close(older)
    assert state(older) == after


async def test_without_room_a_migration_is_not_begun(older: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = state(older)
    needed = 4 * older.stat().st_size
    monkeypatch.setattr(shutil, "disk_usage", lambda _: Usage(10**9, 0, needed - 1))
    with pytest.raises(
        DatabaseError, match=rf"needs {needed / 2**20:.1f} MiB.*{needed / 2**20:.1f} are free: make room"
    ):
        await open_and_close(older)
    assert state(older) == before
    assert names(older) == {"news.db"}
    monkeypatch.setattr(shutil, "disk_usage", lambda _: Usage(10**9, 0, needed))
    await open_and_close(older)
    assert await find_revision(url_of(older)) == NEWEST


@pytest.mark.parametrize("backing_up", [True, False])
async def test_on_a_disk_that_fills_up_meanwhile_nothing_is_changed(older: Path, backing_up: bool) -> None:
    """As far as SQLite is concerned: it may not make the file longer."""
    before = state(older)

    def fill_up(connection: Any, cursor: Any, statement: str, *_: Any) -> None:
        if statement.strip().startswith("VACUUM" if backing_up else "CREATE TABLE newsstand_publisher"):
            if backing_up:
                raise sqlite3.OperationalError("database or disk is full")
            (pages,) = cursor.execute("PRAGMA page_count").fetchone()
            cursor.execute(f"PRAGMA max_page_count={pages}")

    event.listen(Engine, "before_cursor_execute", fill_up)
    try:
        with pytest.raises(DatabaseError, match="disk is full"):
            await open_and_close(older)
    finally:
        event.remove(Engine, "before_cursor_execute", fill_up)
    assert state(older) == before
    await open_and_close(older)
    assert await find_revision(url_of(older)) == NEWEST


async def test_on_a_disk_that_is_really_full_nothing_is_changed(
    older: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file system of its own, which only root may mount."""
    small = tmp_path / "small"
    small.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(small)], capture_output=True, check=False
    )
    if mounted.returncode:
        pytest.skip("no file system can be mounted here")
    try:
        path = small / "news.db"
        shutil.copy(older, path)
        before = state(path)
        filler = small / "filler"
        # What SQLite needs to look at the file at all is there.
        filler.write_bytes(b"x" * (shutil.disk_usage(small).free - 100_000))
        with pytest.raises(DatabaseError, match="make room"):
            await open_and_close(path)
        monkeypatch.setattr(opening, "ROOM", 0)
        with pytest.raises(DatabaseError, match=r"full|No space"):
            await open_and_close(path)
        assert state(path) == before
        assert names(path) == {"news.db", "filler"}
        filler.unlink()
        await open_and_close(path)
        assert await find_revision(url_of(path)) == NEWEST
    finally:
        subprocess.run(["umount", str(small)], check=True)


async def test_an_older_database_that_another_process_holds_is_locked(
    older: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = state(older)
    monkeypatch.setattr(connections, "BUSY_SECONDS", 0.1)
    monkeypatch.setattr(waiting, "MIGRATION_SECONDS", 0.3)
    with held_by_another_process(older), pytest.raises(DatabaseLocked, match=r"news\.db"):
        await open_and_close(older)
    assert state(older) == before


async def test_a_lock_that_is_given_back_in_time_is_waited_for(older: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "BUSY_SECONDS", 0.1)
    with held_by_another_process(older):
        waiting = asyncio.ensure_future(open_and_close(older))
        await asyncio.sleep(0.5)
        assert not waiting.done()
    await waiting
    assert await find_revision(url_of(older)) == NEWEST


@pytest.mark.parametrize(("file", "folder"), [(0o400, 0o700), (0o600, 0o500)])
async def test_where_nothing_may_be_written_nothing_is_changed(older: Path, file: int, folder: int) -> None:
    before = state(older)
    older.chmod(file)
    older.parent.chmod(folder)
    with as_nobody(older.parent), pytest.raises(DatabaseError, match=r"denied|readonly|unable to open"):
        await open_and_close(older)
    older.parent.chmod(0o700)
    older.chmod(0o600)
    assert state(older) == before


async def test_damage_that_the_backup_meets_has_the_file_set_aside(older: Path) -> None:
    with closing(sqlite3.connect(older)) as connection:
        (root,) = connection.execute("SELECT rootpage FROM sqlite_master WHERE name = 'newsstand_item'").fetchone()
    with older.open("r+b") as file:
        file.seek((root - 1) * 4096)
        file.write(b"\xff" * 4096)
    damaged = older.read_bytes()
    await open_and_close(older)
    (aside,) = older.parent.glob("news.db.damaged-*")
    assert aside.read_bytes() == damaged
    assert names(older) == {"news.db", aside.name}
    assert await find_revision(url_of(older)) == NEWEST


def test_the_process_that_waits_is_told_when_the_one_that_migrates_is_done(older: Path) -> None:
    """Between processes: one may not migrate, and starts first."""
    wait = (
        "import asyncio, sys\n"
        "from pathlib import Path\n"
        "from newsstand.storage.schema import versioning as schema\n"
        "from newsstand.storage.database import open_database\n"
        "schema.MIGRATIONS = Path(sys.argv[2])\n"
        "async def main():\n"
        "    print('waiting', flush=True)\n"
        "    database = await open_database(sys.argv[1], migrate=False)\n"
        "    print(await database.read(schema.current))\n"
        "    await database.close()\n"
        "asyncio.run(main())\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", wait, url_of(older), versioning.MIGRATIONS],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ},
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "waiting\n"
        asyncio.run(open_and_close(older))
        assert process.communicate(timeout=60)[0] == f"{NEWEST}\n"
