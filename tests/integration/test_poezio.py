"""The plugin for poezio. poezio is a program for a terminal: here stands the little of it that a plugin meets."""

from __future__ import annotations

import importlib
import importlib.metadata
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
from slixmpp import ClientXMPP

from newsstand.errors import ConfigurationError


class BasePlugin:
    """As `poezio.plugin.BasePlugin` of poezio 0.18: it has the client and its own settings, and calls `init`."""

    def __init__(self, xmpp: ClientXMPP, settings: dict[str, str]) -> None:
        self.core = SimpleNamespace(xmpp=xmpp)
        self.config = SimpleNamespace(options=lambda: list(settings), get=settings.__getitem__)
        self.init()

    def init(self) -> None:
        raise NotImplementedError


@pytest.fixture
def module(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """What poezio imports, by the entry point."""
    plugin = ModuleType("poezio.plugin")
    plugin.BasePlugin = BasePlugin  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "poezio", ModuleType("poezio"))
    monkeypatch.setitem(sys.modules, "poezio.plugin", plugin)
    (found,) = importlib.metadata.entry_points(group="poezio_plugins", name="newsstand")
    yield importlib.import_module(found.value)
    sys.modules.pop(found.value)


async def test_it_is_registered_with_its_settings_and_taken_out_again(module: Any, tmp_path: Path) -> None:
    client = ClientXMPP("juliet@example.org", "secret")
    settings = {"database": f"sqlite:///{tmp_path / 'news.db'}", "max_nodes": "7", "policy": "avatar=serve-stale"}
    for _ in range(2):  # poezio may unload a plugin, and load it again
        plugin = module.Plugin(client, settings)
        newsstand = client.plugin["newsstand"]
        await newsstand.ready()
        assert newsstand.replica.settings.max_nodes == 7
        assert newsstand.replica.settings.policy == {"avatar": "serve-stale"}
        plugin.cleanup()
        assert "newsstand" not in client.plugin
        await newsstand.close()
    assert (tmp_path / "news.db").exists()


async def test_a_setting_that_cannot_be_right_says_where_it_stands(module: Any) -> None:
    client = ClientXMPP("juliet@example.org", "secret")
    with pytest.raises(ConfigurationError, match=r"max_nodes in newsstand\.cfg is 'many': it must be a whole number"):
        module.Plugin(client, {"max_nodes": "many"})
