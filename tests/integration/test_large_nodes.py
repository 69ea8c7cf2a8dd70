"""A node whose whole answer is larger than what a server on the way takes is copied all the same."""

from __future__ import annotations

import asyncio
from typing import Any
from xml.etree import ElementTree as ET

from newsstand import Policy
from newsstand.model import SyncState
from tests.conftest import Connect
from tests.integration._program import (
    NS_PUBSUB,
    OpenProgram,
    Program,
    create_node,
    entry,
    is_hit,
)
from tests.servers.entities import canonical
from tests.servers.libervia_pubsub import LiberviaPubsub

LIMIT = 512 << 10
"""What Prosody takes of a component, unless its operator says otherwise; in bytes. Of more it closes the stream, and
whoever asked never hears of it."""
COUNT, CHARACTERS = 60, 20_000
"""Items of the node, and characters of each."""
SECONDS = 60


async def is_live(program: Program, node: str) -> None:
    """The component is away for a moment after each answer that was too large: until then it is tried again."""
    async with asyncio.timeout(SECONDS):
        while (record := program.find_record(node)) is None or record.state is not SyncState.LIVE:
            await program.client.get_roster()  # so that the loop waits for something
        await program.replica.settled()


def authenticated(server: LiberviaPubsub) -> int:
    """How many streams the component has had."""
    assert server.prosody.folder is not None
    return (
        (server.prosody.folder / "prosody.log")
        .read_text(encoding="utf-8")
        .count("External component successfully authenticated")
    )


async def contents_by_id(plain: Any, service: str, node: str, ids: list[str]) -> list[tuple[str, str]]:
    found = []
    for item_id in ids:
        iq = await plain.get_item(service, node, item_id)
        found += [(item.get("id"), canonical(item)) for item in iq.xml.iter(f"{{{NS_PUBSUB}}}item")]
    return found


async def test_a_node_that_does_not_arrive_whole_is_copied(connect: Connect, open_program: OpenProgram) -> None:
    async with LiberviaPubsub(stanza_size_limit=LIMIT) as server:
        romeo = await connect("romeo", server=server)
        pubsub: Any = romeo.plugin["xep_0060"]
        await create_node(romeo, server.pubsub, "large")
        ids = [f"id{number}" for number in range(COUNT)]
        for item_id in ids:
            await pubsub.publish(server.pubsub, "large", id=item_id, payload=entry("x" * CHARACTERS))
        program = await open_program(server=server, request_timeout=2.0, retry_first=0.2)
        await program.pubsub.get_items(server.pubsub, "large", max_items=3)
        await is_live(program, "large")
        copy = await program.replica.get_items(server.pubsub, "large", policy=Policy.ONLY_COPY)
        assert copy.complete
        held = [(item.id, canonical(ET.fromstring(item.xml))) for item in copy.items]
        assert held == await contents_by_id(pubsub, server.pubsub, "large", ids)
        assert is_hit(await program.pubsub.get_items(server.pubsub, "large"))

        # Once it is known what arrives, nothing else is asked for: each answer that is too large would end the
        # component's stream, for everybody.
        streams = authenticated(server)
        await program.replica.synchronise(server.pubsub, "large")
        await pubsub.publish(server.pubsub, "large", id="new", payload=entry("x" * CHARACTERS))
        await program.caught_up()
        assert program.record("large").state is SyncState.LIVE
        assert is_hit(await program.pubsub.get_items(server.pubsub, "large", max_items=1))
        assert (await program.replica.verify(server.pubsub, "large")).equal
        assert authenticated(server) == streams > 1
