"""The databases that the contract of the storage is tried on, and the workers that share one."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from newsstand.model import NodeRecord
from newsstand.storage.database import Database, open_database
from newsstand.storage.sqlite.database import SqliteDatabase
from tests.contract._storage import in_step, make_node
from tests.contract._workers import Workers
from tests.databases import BACKENDS, Databases
from tests.fakes.program import NODE
from tests.fakes.service import Service


@pytest.fixture(params=BACKENDS)
def backend(request: pytest.FixtureRequest) -> str:
    """Of the databases that a test works on. A module whose tests are about files overrides it."""
    name: str = request.param
    return name


@pytest.fixture
async def url(backend: str, databases: Databases, tmp_path: Path) -> AsyncIterator[str]:
    """Of a file that does not exist yet, or of a database without tables."""
    url = await databases.new(backend, tmp_path, empty=True)
    yield url
    await databases.drop(url)


@pytest.fixture
async def database(backend: str, databases: Databases, tmp_path: Path) -> AsyncIterator[Database]:
    """An empty one. What it stores twice must agree when the test ends, whatever the test did. A file lies where `url`
    says."""
    url = await databases.new(backend, tmp_path)
    database = await open_database(url)
    try:
        yield database
        await in_step(database)
    finally:
        await database.close()
        await databases.drop(url, used=True)


@pytest.fixture
async def file_database(databases: Databases, tmp_path: Path) -> AsyncIterator[SqliteDatabase]:
    """A `database`, for what is so with files only."""
    database = await open_database(await databases.new("sqlite", tmp_path))
    assert isinstance(database, SqliteDatabase)
    try:
        yield database
        await in_step(database)
    finally:
        await database.close()


@pytest.fixture
async def node(database: Database) -> NodeRecord:
    """A node without items."""
    return await make_node(database)


@pytest.fixture
async def workers(backend: str, databases: Databases, tmp_path: Path) -> AsyncIterator[Workers]:
    """None yet, on an empty database, at a service with a node of two items."""
    url = await databases.new(backend, tmp_path)
    service = Service()
    service.create(NODE, "a", "b")
    yield Workers(url, service)
    await databases.drop(url, used=True)
