"""How a program gets and starts the plugin. No server is needed."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
from slixmpp import ClientXMPP

from newsstand.demo.servers.process import free_port
from newsstand.errors import ConfigurationError, DatabaseError
from newsstand.slixmpp import Newsstand
from tests.fakes.hold import SECONDS


def client() -> Any:
    return ClientXMPP("juliet@example.org", "secret")


async def test_the_plugin_is_registered_once_and_found_with_its_type(tmp_path: Path) -> None:
    xmpp = client()
    plugin = Newsstand.of(xmpp, database=f"sqlite:///{tmp_path}/news.db", patience=3)
    assert isinstance(plugin, Newsstand)
    assert plugin is xmpp.plugin["newsstand"] is Newsstand.of(xmpp)
    assert plugin.replica.settings.patience == 3
    with pytest.raises(ConfigurationError, match="registered already"):
        Newsstand.of(xmpp, database="sqlite:///other.db")
    await plugin.close()


async def test_a_setting_that_cannot_be_is_told_at_once(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="unknown setting patient"):
        Newsstand.of(client(), patient=3)


async def test_within_it_the_copy_can_be_used_and_afterwards_it_is_closed(tmp_path: Path) -> None:
    """Nobody is waited for where the program does not connect."""
    plugin = Newsstand.of(client(), database=f"sqlite:///{tmp_path}/news.db", patience=1000)
    async with asyncio.timeout(SECONDS), plugin as replica:
        assert replica.nodes() == []
    with pytest.raises(DatabaseError, match="the replica is closed"):
        replica.nodes()


async def test_a_server_that_cannot_be_reached_keeps_it_from_nothing(tmp_path: Path) -> None:
    xmpp = client()
    plugin = Newsstand.of(xmpp, database=f"sqlite:///{tmp_path}/news.db", patience=0.05)
    xmpp.connect("127.0.0.1", free_port("127.0.0.1"))
    async with asyncio.timeout(SECONDS), plugin as replica:
        assert replica.is_open
    xmpp.cancel_connection_attempt()


async def test_what_keeps_the_database_from_opening_is_raised(tmp_path: Path) -> None:
    (tmp_path / "news.db").mkdir()
    plugin = Newsstand.of(client(), database=f"sqlite:///{tmp_path}/news.db")
    with pytest.raises(DatabaseError):
        await plugin.__aenter__()
    await plugin.close()
