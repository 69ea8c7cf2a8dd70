"""The databases that the contract of the storage is tried on."""

from __future__ import annotations

import shutil
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from newsstand.model import NodeRecord
from newsstand.storage.database import Database, open_database
from tests.contract._storage import in_step, make_node


@pytest.fixture(params=["sqlite"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Of a database that does not exist yet."""
    assert request.param == "sqlite"
    return f"sqlite:///{tmp_path / 'news.db'}"


@pytest.fixture(scope="session")
async def fresh(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database just created: copying it is quicker than creating one for each test."""
    path = tmp_path_factory.mktemp("fresh") / "news.db"
    await (await open_database(f"sqlite:///{path}")).close()
    return path


@pytest.fixture
async def database(url: str, fresh: Path) -> AsyncIterator[Database]:
    """An empty one. What it stores twice must agree when the test ends, whatever the test did."""
    shutil.copy(fresh, url.removeprefix("sqlite:///"))
    database = await open_database(url)
    try:
        yield database
        await in_step(database)
    finally:
        await database.close()


@pytest.fixture
async def node(database: Database) -> NodeRecord:
    """A node without items."""
    return await make_node(database)
