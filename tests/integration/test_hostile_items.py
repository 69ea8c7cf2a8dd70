"""An item that cannot be kept safely never blocks its node, and is always read from the service."""

from __future__ import annotations

from xml.etree import ElementTree as ET
from xml.etree.ElementTree import Element

import pytest
from slixmpp import ClientXMPP

from newsstand.demo.servers.prosody import Prosody
from newsstand.model import SyncState
from tests.conftest import Connect
from tests.integration._program import (
    OpenProgram,
    assert_copy_equals_service,
    create_node,
    entry,
    ids_of,
    is_hit,
)


@pytest.fixture
async def romeo(connect: Connect, prosody: Prosody) -> ClientXMPP:
    return await connect("romeo")


def deep(levels: int) -> Element:
    root = inner = Element("{http://www.w3.org/2005/Atom}entry")
    for _ in range(levels - 2):
        inner = ET.SubElement(inner, "{http://www.w3.org/2005/Atom}e")
    inner.text = "the bottom"
    return root


@pytest.mark.parametrize("levels", [190, 250])
async def test_a_deep_item_never_blocks_its_node(
    prosody: Prosody, romeo: ClientXMPP, open_program: OpenProgram, node: str, levels: int
) -> None:
    await create_node(romeo, prosody.pubsub, node, 2)
    program = await open_program()
    await program.follow(node)
    pubsub = romeo.plugin["xep_0060"]
    await pubsub.publish(prosody.pubsub, node, id="deep", payload=deep(levels))
    await pubsub.publish(prosody.pubsub, node, id="after", payload=entry("after"))
    await program.caught_up()
    record = program.record(node)
    assert record.state is SyncState.LIVE
    assert record.quarantined == (levels > 200)
    iq = await program.pubsub.get_items(prosody.pubsub, node)
    assert ids_of(iq) == ["id0", "id1", "deep", "after"]
    assert is_hit(iq) == (levels <= 200)
    assert "the bottom" in ET.tostring(iq.xml, encoding="unicode")
    if levels <= 200:
        await assert_copy_equals_service(program.replica, romeo, prosody.pubsub, node)
    program.wire.clear()
    await program.caught_up()
    assert program.wire.about(node) == []  # nothing loops
    await pubsub.retract(prosody.pubsub, node, "deep", notify=True)
    await program.caught_up()
    assert is_hit(await program.pubsub.get_items(prosody.pubsub, node))
    await assert_copy_equals_service(program.replica, romeo, prosody.pubsub, node)


async def test_an_item_of_200_kilobytes_is_copied(
    prosody: Prosody, romeo: ClientXMPP, open_program: OpenProgram, node: str
) -> None:
    await create_node(romeo, prosody.pubsub, node, 1)
    program = await open_program()
    await program.follow(node)
    await romeo.plugin["xep_0060"].publish(prosody.pubsub, node, id="big", payload=entry("long " * 20_000))
    await program.caught_up()
    assert is_hit(await program.pubsub.get_items(prosody.pubsub, node))
    await assert_copy_equals_service(program.replica, romeo, prosody.pubsub, node)
