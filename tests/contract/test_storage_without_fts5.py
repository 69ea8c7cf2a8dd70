"""A SQLite library without FTS5: told when the database is opened, with what to do about it."""

from __future__ import annotations

import _sqlite3
import ctypes
import ctypes.util
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Pool, event

from newsstand.errors import DatabaseError
from newsstand.storage.database import open_database
from tests.integration._cli import Cli


@pytest.fixture
def without_fts5() -> Iterator[None]:
    """The library that this Python is linked to has no FTS5, as far as connections of ours can tell."""
    library = ctypes.CDLL(_sqlite3.__file__)  # its symbols, and those of what it is linked to
    if not hasattr(library, "sqlite3_drop_modules"):
        pytest.skip("this SQLite cannot forget modules")
    library.sqlite3_drop_modules.argtypes = [ctypes.c_void_p, ctypes.c_void_p]

    def forget_modules(connection: sqlite3.Connection, _: object) -> None:
        # In CPython the handle follows what every object begins with.
        handle = ctypes.c_void_p.from_address(id(connection) + object.__basicsize__)
        assert library.sqlite3_drop_modules(handle, None) == 0

    event.listen(Pool, "connect", forget_modules)
    yield
    event.remove(Pool, "connect", forget_modules)


def check_told(told: str) -> None:
    for words in ("needs FTS5", sqlite3.sqlite_version, "Debian", "-DSQLITE_ENABLE_FTS5", "PostgreSQL"):
        assert words in told


@pytest.mark.usefixtures("without_fts5")
async def test_a_new_database_is_refused_and_nothing_is_half_made(tmp_path: Path) -> None:
    path = tmp_path / "news.db"
    for _ in range(2):
        with pytest.raises(DatabaseError) as met:
            await open_database(f"sqlite:///{path}")
        check_told(str(met.value))
    assert path.stat().st_size == 0


async def test_one_that_is_there_is_refused_when_it_is_opened(
    tmp_path: Path, request: pytest.FixtureRequest, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    url = f"sqlite:///{tmp_path / 'news.db'}"
    await (await open_database(url)).close()
    request.getfixturevalue("without_fts5")
    with pytest.raises(DatabaseError) as met:
        await open_database(url)
    check_told(str(met.value))
    cli: Any = Cli(tmp_path, capsys, monkeypatch)
    for argv in (["search", "tea"], ["db", "check"]):  # to show the nodes, nothing is searched
        check_told((await cli(*argv)).error)
