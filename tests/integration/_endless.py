"""A test that starts servers, tells so on the port NEWSSTAND_TEST_TELLS, and never ends: test_ended_runs.py ends it."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

import pytest

from tests.conftest import Servers
from tests.databases import Databases


@pytest.mark.parametrize("name", ["ejabberd-mnesia", "prosody"])
async def test_without_end(name: str, servers: Servers, databases: Databases, tmp_path: Path) -> None:
    await servers.get(name)
    await databases.new("postgresql", tmp_path)
    reader, writer = await asyncio.open_connection("127.0.0.1", int(os.environ["NEWSSTAND_TEST_TELLS"]))
    await reader.read()
    writer.close()
