"""What starting costs: an up-to-date database needs no Alembic, and reading one no XMPP library."""

from __future__ import annotations

import subprocess
import sys

import pytest

from newsstand.storage.database import open_database

START = """
import asyncio, sys
from newsstand.storage.database import open_database

async def main():
    database = await open_database(sys.argv[1])
    await database.close()

asyncio.run(main())
print(*sorted({name.partition(".")[0] for name in sys.modules}))
"""


@pytest.fixture
def backend() -> str:
    """All of this is about files."""
    return "sqlite"


def modules_after_opening(url: str) -> set[str]:
    told = subprocess.run([sys.executable, "-c", START, url], capture_output=True, text=True, check=True)
    return set(told.stdout.split())


async def test_opening_an_up_to_date_database_imports_neither_alembic_nor_slixmpp(url: str) -> None:
    await (await open_database(url)).close()
    modules = modules_after_opening(url)
    assert "sqlalchemy" in modules
    assert not modules & {"alembic", "mako", "slixmpp", "aiosqlite"}


def test_creating_one_imports_alembic_and_no_slixmpp(url: str) -> None:
    modules = modules_after_opening(url)
    assert "alembic" in modules
    assert "slixmpp" not in modules
