"""Programs with Newsstand, at the server of the run."""

from __future__ import annotations

import itertools
import re
from collections.abc import AsyncIterator, Iterable
from pathlib import Path
from typing import Any

import pytest
from slixmpp import ClientXMPP

from newsstand.demo.servers.prosody import Prosody
from newsstand.demo.servers.xmpp_server import XmppServer
from tests.conftest import Connect, log_in, log_out, new_client
from tests.databases import Databases
from tests.integration._program import OpenProgram, Program, Wire, create_node, newsstand_of, recipe
from tests.integration._recipes import DISHES

_numbers = itertools.count()


@pytest.fixture
def node(request: pytest.FixtureRequest) -> str:
    """A node name that no other test uses."""
    return f"node-{next(_numbers)}-{re.sub('[^a-z0-9]+', '-', request.node.name)[:60]}"


@pytest.fixture
def backend() -> str:
    """Of the database that programs work on, if they name none. A module may override it by all BACKENDS."""
    return "sqlite"


@pytest.fixture
async def database_url(backend: str, databases: Databases, tmp_path: Path) -> AsyncIterator[str]:
    """Of a database without tables; a file does not exist yet."""
    url = await databases.new(backend, tmp_path, empty=True)
    yield url
    await databases.drop(url)


@pytest.fixture
async def open_program(request: pytest.FixtureRequest, database_url: str) -> AsyncIterator[OpenProgram]:
    """See OpenProgram."""
    programs: list[Program] = []

    async def open_program(
        account: str = "juliet",
        *,
        server: XmppServer | None = None,
        plugins: Iterable[str] = (),
        presence: bool = True,
        database: str | None = None,
        online: bool = True,
        **settings: Any,
    ) -> Program:
        server = server or request.getfixturevalue("prosody")
        client = new_client(server, account, plugins=plugins)
        url = database or database_url
        client.register_plugin("newsstand", {"database": url, **settings})
        plugin = newsstand_of(client)
        program = Program(client, plugin, server, Wire.tap(client))
        programs.append(program)
        await plugin.ready()
        if online:
            await log_in(client, server, presence=presence)
        return program

    yield open_program
    for program in programs:
        await program.newsstand.close()
        await log_out(program.client)


@pytest.fixture
async def cook(prosody: Prosody, connect: Connect, node: str) -> ClientXMPP:
    """Romeo, who made `node`, which holds a recipe for each of DISHES."""
    romeo = await connect("romeo")
    await create_node(romeo, prosody.pubsub, node)
    for dish in DISHES:
        await romeo.plugin["xep_0060"].publish(prosody.pubsub, node, id=dish, payload=recipe(dish))
    return romeo
