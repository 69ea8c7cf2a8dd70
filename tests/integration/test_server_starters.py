"""The throw-away servers of the tests keep what their docstrings say. For Prosody, see test_prosody_starter.py."""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Callable
from pathlib import Path

import pytest
from slixmpp import ComponentXMPP

from newsstand.demo.servers import process
from newsstand.demo.servers.process import ServerMissing
from newsstand.demo.servers.xmpp_server import XmppServer
from tests.conftest import Connect, Servers
from tests.servers.ejabberd import Ejabberd
from tests.servers.libervia_pubsub import LiberviaPubsub
from tests.servers.postgresql import PostgreSQL

MAKE: dict[str, Callable[..., XmppServer]] = {
    "ejabberd-mnesia": lambda **options: Ejabberd(db="mnesia", **options),
    "ejabberd-sql": lambda **options: Ejabberd(db="sql", **options),
    "libervia-pubsub": LiberviaPubsub,
}


@pytest.fixture(params=MAKE)
async def make(request: pytest.FixtureRequest, servers: Servers) -> Callable[..., XmppServer]:
    await servers.get(request.param)  # where it is not installed: skipped at home, failed in CI
    return MAKE[request.param]


def is_running(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


async def test_a_server_keeps_its_data_and_takes_components_and_leaves_nothing(
    make: Callable[..., XmppServer], connect: Connect
) -> None:
    async with make(accounts=["romeo"], components=["gateway.localhost"]) as server:
        port, folder, first = server.port, server.folder, server.pid
        assert folder is not None
        assert first is not None
        assert folder.stat().st_mode & 0o077 == 0
        assert server.password not in Path(f"/proc/{server.pid}/cmdline").read_text()
        romeo = await connect("romeo", server=server)
        await romeo.plugin["xep_0060"].create_node(server.pubsub, "kept")
        disconnected = romeo.disconnected
        await server.stop()
        await disconnected
        assert not is_running(first)
        await server.start()
        assert server.port == port
        again = await connect("romeo", server=server)
        await again.plugin["xep_0060"].get_items(server.pubsub, "kept")
        component = ComponentXMPP(
            "gateway.localhost",
            server.component_secret("gateway.localhost"),
            server.host,
            server.component_port_of("gateway.localhost"),
        )
        began = asyncio.get_running_loop().create_future()
        component.add_event_handler("session_start", began.set_result)
        component.connect(server.host, server.component_port_of("gateway.localhost"))
        async with asyncio.timeout(10):
            await began
        await component.disconnect()
        await again.disconnect()
        pid = server.pid
        assert pid is not None
    assert not is_running(pid)
    assert not folder.exists()


async def test_a_port_taken_meanwhile_is_given_up_for_another(
    make: Callable[..., XmppServer], monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        taken = other.getsockname()[1]
        ports = iter([taken])
        monkeypatch.setattr(
            "newsstand.demo.servers.xmpp_server.free_port", lambda host: next(ports, None) or process.free_port(host)
        )
        async with make(accounts=["romeo"]) as server:
            assert server.port != taken


@pytest.mark.parametrize("kind", [Ejabberd, LiberviaPubsub])
async def test_a_missing_server_names_the_line_that_installs_it(
    kind: Callable[[], XmppServer], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("shutil.which", lambda *_, **__: None)
    with pytest.raises(ServerMissing, match=r"apt-get install .*(ejabberd|libervia-pubsub)"):
        await kind().start()


async def test_postgresql_gives_databases_on_its_socket(servers: Servers) -> None:
    await servers.get("libervia-pubsub")  # which needs it too
    async with PostgreSQL() as postgresql:
        await postgresql.create_database("news")
        folder, pid = postgresql.folder, postgresql.pid
        assert folder is not None
        assert postgresql.url("news").startswith("postgresql://postgres@/news?host=%2F")
        assert folder.stat().st_mode & 0o077 == 0
    assert not folder.exists()
    assert pid is not None
    assert not is_running(pid)
