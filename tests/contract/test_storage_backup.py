"""A backup is the database as it was at one moment, whole, private, and never another file's end."""

from __future__ import annotations

import asyncio
import sqlite3
import stat
from contextlib import closing
from pathlib import Path

import pytest

from newsstand.errors import ConfigurationError, DatabaseError, DatabaseLocked
from newsstand.storage.database import Database, check_unused, open_database
from newsstand.storage.maintenance.backing_up import back_up
from newsstand.storage.maintenance.checking import check
from tests.contract._storage import apply, make_node, put


@pytest.fixture
def backend() -> str:
    """All of this is about files."""
    return "sqlite"


def item_ids(file: Path) -> list[str]:
    with closing(sqlite3.connect(file)) as conn:
        return [item_id for (item_id,) in conn.execute("SELECT item_id FROM newsstand_item ORDER BY position")]


async def test_a_program_is_backed_up_while_it_writes(database: Database, url: str, tmp_path: Path) -> None:
    node = await make_node(database)
    await apply(database, node, put("a"), put("b"))
    writes = [asyncio.ensure_future(apply(database, node, put(f"i{number}"))) for number in range(200)]
    file = tmp_path / "backup.db"

    size = await back_up(url, file)

    await asyncio.gather(*writes)
    assert (stat.S_IMODE(file.stat().st_mode), file.stat().st_size) == (0o600, size)
    kept = item_ids(file)
    assert kept == item_ids(tmp_path / "news.db")[: len(kept)]
    assert kept[:2] == ["a", "b"]
    assert await check(f"sqlite:///{file}") == []
    assert sorted(each.name for each in tmp_path.iterdir() if "newsstand" in each.name) == []


async def test_a_file_that_is_there_is_replaced_only_by_force(database: Database, url: str, tmp_path: Path) -> None:
    await apply(database, await make_node(database), put("a"))
    file = tmp_path / "backup.db"
    file.write_text("letters", encoding="utf-8")
    with pytest.raises(ConfigurationError, match="--force replaces it"):
        await back_up(url, file)
    assert file.read_text(encoding="utf-8") == "letters"
    await back_up(url, file, force=True)
    assert item_ids(file) == ["a"]


async def test_a_file_that_cannot_be_meant_is_refused_even_by_force(
    database: Database, url: str, tmp_path: Path
) -> None:
    (tmp_path / "link.db").symlink_to(tmp_path / "news.db")
    (tmp_path / "used.db").touch()
    (tmp_path / "used.db-wal").touch()
    for name, told in (
        ("news.db", "is the database itself"),
        ("link.db", "is the database itself"),
        ("used.db", "uses .* as its database"),
        (".", "is not a file"),
        ("none/backup.db", "does not exist; make it first"),
    ):
        with pytest.raises(ConfigurationError, match=told):
            await back_up(url, tmp_path / name, force=True)
    with pytest.raises(ConfigurationError, match="there is no database at"):
        await back_up(f"sqlite:///{tmp_path}/none.db", tmp_path / "backup.db")


async def test_a_backup_that_fails_leaves_nothing_behind(database: Database, url: str, tmp_path: Path) -> None:
    before = sorted(tmp_path.iterdir())
    with pytest.raises(DatabaseError, match="cannot write /proc"):
        await back_up(url, Path("/proc/backup.db"))
    with pytest.raises(DatabaseError, match="File name too long"):
        await back_up(url, tmp_path / ("x" * 300))
    assert sorted(tmp_path.iterdir()) == before


async def test_whether_a_program_has_it_open_can_be_told(url: str) -> None:
    database = await open_database(url)
    await apply(database, await make_node(database), put("a"))
    with pytest.raises(DatabaseLocked, match="end it first"):
        await check_unused(url)
    await database.close()
    await check_unused(url)
    database = await open_database(url)  # and it is as usable as before
    await apply(database, await make_node(database), put("b"))
    await database.close()
