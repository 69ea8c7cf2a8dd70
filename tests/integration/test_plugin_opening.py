"""The plugin opens its database: damaged, or another process's to make. No server is needed."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
from slixmpp import ClientXMPP

import newsstand.slixmpp  # noqa: F401 - makes the plugin known
from newsstand.errors import ConfigurationError, DatabaseError
from newsstand.storage.schema import waiting
from tests.contract.test_storage_damage import destroy, make_larger
from tests.contract.test_storage_opening import make_database

Plugin = Callable[..., Any]


@pytest.fixture
async def plugin(tmp_path: Path) -> AsyncIterator[Plugin]:
    """Registers it with a client that never connects."""
    made = []

    def plugin(**config: Any) -> Any:
        client = ClientXMPP("juliet@example.org", "secret")
        client.register_plugin("newsstand", {"database": f"sqlite:///{tmp_path / 'news.db'}"} | config)
        made.append(client.plugin["newsstand"])
        return made[-1]

    yield plugin
    for each in made:
        await each.close()


@pytest.mark.parametrize("table", ["newsstand_node", "newsstand_account", "newsstand_service", "newsstand_version"])
async def test_a_copy_whose_nodes_cannot_be_read_is_set_aside_at_once(
    plugin: Plugin, tmp_path: Path, table: str
) -> None:
    path = tmp_path / "news.db"
    await make_larger(path)
    destroy(path, table)
    damaged = path.read_bytes()
    opened = plugin()
    await opened.ready()
    assert opened.replica.nodes() == []
    (aside,) = tmp_path.glob("news.db.damaged-*")
    assert aside.read_bytes() == damaged


async def test_a_worker_may_wait_for_another_process_to_make_the_database(
    plugin: Plugin, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    made = tmp_path_factory.mktemp("elsewhere") / "news.db"
    await make_database(made)
    worker = plugin(migrate=False)
    ready = asyncio.ensure_future(worker.ready())
    await asyncio.sleep(0.2)
    assert not ready.done()
    assert list(tmp_path.iterdir()) == []
    made.rename(tmp_path / "news.db")  # whole: a worker need not wait for what is stored later
    await ready
    assert [record.key.node for record in worker.replica.nodes()] == ["blog"]


async def test_a_worker_that_waits_in_vain_is_told(
    plugin: Plugin, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(waiting, "MIGRATION_SECONDS", 0.2)
    with pytest.raises(DatabaseError, match="may not migrate"):
        await plugin(migrate=False).ready()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("wrong", [None, 0, "wait"])
async def test_whether_it_migrates_is_true_or_false(wrong: Any) -> None:
    client = ClientXMPP("juliet@example.org", "secret")
    with pytest.raises(ConfigurationError, match="migrate must be True or False"):
        client.register_plugin("newsstand", {"migrate": wrong})
