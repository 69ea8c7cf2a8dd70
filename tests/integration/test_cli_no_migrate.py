"""`--no-migrate`: a worker waits for a migration, and never runs one."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from newsstand.demo.servers.prosody import Prosody
from newsstand.storage.database import find_revision, is_file, migrate
from newsstand.storage.postgresql import opening as postgresql_opening
from newsstand.storage.schema import versioning, waiting
from newsstand.storage.sqlite import opening
from tests.conftest import Connect
from tests.databases import BACKENDS, Databases
from tests.integration._cli import Cli, make_node

NEWEST = versioning.revisions()[-1]


@pytest.fixture
def cli(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Cli:
    return Cli(tmp_path, capsys, monkeypatch)


@pytest.fixture(params=BACKENDS)
async def url(request: pytest.FixtureRequest, databases: Databases, tmp_path: Path) -> AsyncIterator[str]:
    """Of a database without tables, or of a file that is not there."""
    url = await databases.new(request.param, tmp_path, empty=True)
    yield url
    await databases.drop(url)


def looks(monkeypatch: pytest.MonkeyPatch) -> asyncio.Event:
    """Set when a waiting process has looked whether the database is ready."""
    looked = asyncio.Event()
    loop = asyncio.get_running_loop()
    for module, name in ((opening, "_what_is_missing"), (postgresql_opening, "_is_current")):
        look = getattr(module, name)

        def looking(where: Any, look: Any = look) -> Any:
            found = look(where)
            loop.call_soon_threadsafe(looked.set)
            return found

        monkeypatch.setattr(module, name, looking)
    return looked


async def test_it_waits_until_another_process_did(cli: Cli, url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    looked = looks(monkeypatch)
    waiting = asyncio.ensure_future(cli("nodes", "--json", "--no-migrate", "--database", url))
    await looked.wait()
    assert not waiting.done()
    await migrate(url, "head")
    assert (await waiting).json == {"nodes": []}


async def test_it_ends_with_what_is_missing_and_made_nothing(
    cli: Cli, url: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, prosody: Prosody
) -> None:
    monkeypatch.setattr(waiting, "MIGRATION_SECONDS", 0.2)
    missing = ["nodes"], ["search"], ["get", "pubsub.example.org", "n", "--offline"]
    connecting = ["sync", prosody.pubsub, "n", *cli.login(prosody)], ["watch", prosody.pubsub, "n", *cli.login(prosody)]
    for argv in (*missing, *connecting):
        error = (await cli(*argv, "--no-migrate", "--database", url)).error
        assert "may not migrate: start one that may, or run `newsstand db upgrade`" in error
    assert [file.name for file in tmp_path.iterdir()] == ["password"]
    assert is_file(url) or await find_revision(url) is None


async def test_on_a_database_that_is_ready_it_makes_no_difference(
    cli: Cli, prosody: Prosody, connect: Connect, node: str
) -> None:
    await make_node(await connect("romeo"), prosody, node, a="Balcony")
    assert (await cli("db", "upgrade")).code == 0
    assert (await cli("sync", prosody.pubsub, node, *cli.login(prosody), "--no-migrate")).code == 0
    assert [row[3] for row in (await cli("search", "balcony", "--no-migrate")).rows] == ["a"]
