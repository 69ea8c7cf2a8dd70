"""What tests of every room may ask for: a real server, and clients that are logged in to it."""

from __future__ import annotations

import asyncio
import gc
import os
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Protocol

import hypothesis
import pytest
from slixmpp import ClientXMPP

from newsstand.demo.servers.process import ServerMissing
from newsstand.demo.servers.prosody import Prosody
from newsstand.demo.servers.xmpp_server import XmppServer
from tests.databases import Databases, Guarded
from tests.fakes.packages import Packages
from tests.memory import keep_files_in_memory
from tests.servers.ejabberd import Ejabberd
from tests.servers.libervia_pubsub import LiberviaPubsub
from tests.signals import end_as_if_interrupted

end_as_if_interrupted()
keep_files_in_memory()

# The examples of a continuous integration run are the same each time: what it says is about the change. Elsewhere they
# are new each time, and one that fails tells how to replay it.
hypothesis.settings.register_profile("ci", derandomize=True)
if os.environ.get("CI"):
    hypothesis.settings.load_profile("ci")

# Each client of slixmpp reads the system's certificates, twice: 0.1 s of work, for clients that never encrypt. Tests of
# TLS name those that they trust.
os.environ["SSL_CERT_FILE"] = os.devnull

# Tests do not wait until a session's start is over, but those of that.
os.environ["NEWSSTAND_QUIET_START"] = "0"

LOGIN_SECONDS = 15.0
PLUGINS = ("xep_0004", "xep_0030", "xep_0060", "xep_0163")


def pytest_collection_finish() -> None:
    """What is imported and collected lives as long as the run, and need not be looked through for garbage again and
    again. What tests make is collected as ever."""
    gc.collect()
    gc.freeze()


class Connect(Protocol):
    """Logs an account of a server in, and returns its slixmpp client once the session has begun.

    `plugins` are registered besides PLUGINS ("xep_0198" for resumable streams). With `presence` the client is
    available, without it the service sends it no events. Disconnected when the test ends, if it still is
    connected."""

    async def __call__(
        self,
        account: str,
        *,
        server: XmppServer | None = None,
        plugins: Iterable[str] = (),
        resource: str = "",
        presence: bool = True,
    ) -> ClientXMPP: ...


@pytest.fixture
def packages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Packages:
    """Installed packages that bring analysers: none, until the test installs some."""
    folder = tmp_path / "packages"
    folder.mkdir()
    return Packages(folder, monkeypatch)


SERVERS: dict[str, Callable[[], XmppServer]] = {
    "prosody": Prosody,
    "ejabberd-mnesia": lambda: Ejabberd(db="mnesia"),
    "ejabberd-sql": lambda: Ejabberd(db="sql"),
    "libervia-pubsub": LiberviaPubsub,
}


class Servers:
    """The servers of the run, each started when it is first asked for. All have the accounts romeo (who may create
    nodes), juliet and nurse."""

    def __init__(self) -> None:
        self._running: dict[str, XmppServer] = {}
        self._missing: dict[str, ServerMissing] = {}

    async def get(self, name: str) -> XmppServer:
        """One of SERVERS. Where it is not installed the test is skipped, and in continuous integration fails."""
        if name not in self._running and name not in self._missing:
            server = SERVERS[name]()
            try:
                await server.start()
                self._running[name] = server
            except ServerMissing as error:
                self._missing[name] = error
        if name in self._missing:
            if os.environ.get("CI"):
                raise self._missing[name]
            pytest.skip(str(self._missing[name]))
        return self._running[name]

    async def close(self) -> None:
        for server in self._running.values():
            await server.kill()  # nobody is there to be told
            async with AsyncExitStack() as stack:
                stack.push_async_exit(server)


@pytest.fixture(scope="session")
async def databases(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Databases]:
    """See Databases."""
    databases = Databases(tmp_path_factory.mktemp("databases"))
    yield databases
    await databases.close()


@pytest.fixture(scope="session")
async def guarded_server() -> AsyncIterator[Guarded]:
    """See Guarded."""
    guarded = Guarded()
    yield guarded
    await guarded.close()


@pytest.fixture
def guarded(guarded_server: Guarded, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Guarded:
    """See Guarded; and no password is found, unless the test sees to it."""
    for name in [name for name in os.environ if name.startswith("PG")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path))
    return guarded_server


@pytest.fixture(scope="session")
async def servers() -> AsyncIterator[Servers]:
    """See Servers."""
    servers = Servers()
    yield servers
    await servers.close()


@pytest.fixture(scope="session")
async def prosody(servers: Servers) -> Prosody:
    """One server for the whole run, with the accounts romeo (who may create nodes), juliet and nurse.
    A test uses nodes of its own name, and leaves the server running; one that stops it starts its own."""
    server = await servers.get("prosody")
    assert isinstance(server, Prosody)
    return server


@pytest.fixture(params=SERVERS)
async def server(request: pytest.FixtureRequest, servers: Servers) -> XmppServer:
    """Each of SERVERS. As for `prosody`: a test uses nodes of its own, and leaves the server running."""
    name: str = request.param
    return await servers.get(name)


@pytest.fixture
async def connect(request: pytest.FixtureRequest) -> AsyncIterator[Connect]:
    """See Connect. Without `server=` it is the `prosody` of the run that must have been asked for too."""
    clients: list[ClientXMPP] = []

    async def connect(
        account: str,
        *,
        server: XmppServer | None = None,
        plugins: Iterable[str] = (),
        resource: str = "",
        presence: bool = True,
    ) -> ClientXMPP:
        server = server or request.getfixturevalue("prosody")
        client = new_client(server, account, plugins=plugins, resource=resource)
        clients.append(client)
        await log_in(client, server, presence=presence)
        return client

    yield connect
    for client in clients:
        await log_out(client)


def new_client(server: XmppServer, account: str, *, plugins: Iterable[str] = (), resource: str = "") -> ClientXMPP:
    """A client that is not connected yet. slixmpp encrypts by default; loopback has nothing to hide."""
    jid = f"{server.jid(account)}/{resource}" if resource else server.jid(account)
    client = ClientXMPP(
        jid,
        server.password,
        plugin_config={"feature_mechanisms": {"unencrypted_plain": True, "use_mech": "PLAIN"}},
    )
    client.enable_plaintext = True
    client.enable_starttls = client.enable_direct_tls = False
    for plugin in (*PLUGINS, *plugins):
        client.register_plugin(plugin)
    return client


class Listening(Protocol):
    """What a client can connect to."""

    @property
    def host(self) -> str: ...

    @property
    def port(self) -> int: ...


async def log_in(client: ClientXMPP, server: Listening, *, presence: bool = True) -> None:
    """Returns when the session has begun."""
    outcome: asyncio.Future[str] = asyncio.get_running_loop().create_future()

    def ended_as(how: str) -> None:
        if not outcome.done():
            outcome.set_result(how)

    def on_start(_: object) -> None:
        ended_as("session_start")

    def on_failure(_: object) -> None:
        ended_as("failed_auth")

    client.add_event_handler("session_start", on_start)
    client.add_event_handler("failed_all_auth", on_failure)
    try:
        client.connect(server.host, server.port)
        async with asyncio.timeout(LOGIN_SECONDS):
            assert await outcome == "session_start"
    finally:
        client.del_event_handler("session_start", on_start)
        client.del_event_handler("failed_all_auth", on_failure)
    if presence:
        await client.get_roster()
        client.send_presence()


async def log_out(client: ClientXMPP) -> None:
    """Closes the stream if there is one, and a connection attempt if there is one."""
    client.cancel_connection_attempt()
    if client.transport is not None:
        await client.disconnect()
