"""What becomes of reads when the plugin is closed, and of those in another's name."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from slixmpp.exceptions import IqTimeout

from newsstand.demo.servers.prosody import Prosody
from tests.conftest import Connect
from tests.databases import BACKENDS
from tests.integration._program import OpenProgram, create_node, ids_of, is_hit

pytestmark = pytest.mark.usefixtures("prosody")  # where none is installed: skipped at home, failed in CI


@pytest.fixture(params=BACKENDS)
def backend(request: pytest.FixtureRequest) -> str:
    """On PostgreSQL the copy is read by a task, not in the call."""
    name: str = request.param
    return name


async def test_a_hit_that_was_begun_is_delivered_although_the_plugin_is_closed(
    prosody: Prosody, connect: Connect, open_program: OpenProgram, node: str, backend: str
) -> None:
    romeo, program = await connect("romeo"), await open_program()
    await create_node(romeo, prosody.pubsub, node, ["a", "b"])
    await program.follow(node)
    begun = program.pubsub.get_items(prosody.pubsub, node)
    await program.newsstand.close()
    iq = await begun
    assert is_hit(iq) or backend == "postgresql"  # not read yet, perhaps: then the service answers
    assert ids_of(iq) == ["a", "b"]
    assert not is_hit(await program.pubsub.get_items(prosody.pubsub, node))


async def test_offline_one_account_s_copy_is_not_given_to_another_that_borrows_its_name(
    prosody: Prosody, connect: Connect, open_program: OpenProgram, node: str, tmp_path: Path
) -> None:
    database = f"sqlite:///{tmp_path}/both.db"
    romeo, juliet = await connect("romeo"), await open_program("juliet", database=database)
    await create_node(romeo, prosody.pubsub, node, ["secret"])
    await juliet.follow(node)
    nurse = await open_program("nurse", database=database, online=False)
    borrowed = nurse.pubsub.get_items(prosody.pubsub, node, ifrom=juliet.jid, timeout=0.2)
    with pytest.raises(IqTimeout):
        await asyncio.wait_for(borrowed, 5)
