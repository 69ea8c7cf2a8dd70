"""The databases that migrations are tried on."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.databases import BACKENDS, Databases


@pytest.fixture(params=BACKENDS)
def backend(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


@pytest.fixture
async def empty(backend: str, databases: Databases, tmp_path: Path) -> AsyncIterator[str]:
    """The URL of a file that does not exist yet, or of a database without tables."""
    url = await databases.new(backend, tmp_path, empty=True)
    yield url
    await databases.drop(url)
