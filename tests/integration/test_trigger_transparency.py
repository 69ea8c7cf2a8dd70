"""A program cannot tell whether it runs with Newsstand: whatever it asks, the answer is the service's own."""

from __future__ import annotations

from typing import Any
from xml.etree import ElementTree as ET

import pytest
from slixmpp import ClientXMPP

from newsstand.demo.servers.prosody import Prosody
from tests.conftest import Connect
from tests.databases import BACKENDS
from tests.integration._program import (
    NS_PUBSUB,
    OpenProgram,
    canonical_iq,
    create_node,
    outcome,
)

OTHERWISE = {
    "an attribute subid": "<items node='{node}' subid='1'/>",
    "an unknown attribute": "<items node='{node}' since='yesterday'/>",
    "an unknown child": "<items node='{node}'><since xmlns='urn:example'/></items>",
    "an unknown sibling": "<items node='{node}'/><order xmlns='urn:xmpp:order-by:0' by='creation'/>",
    "an item without id": "<items node='{node}'><item/></items>",
    "an item of empty id": "<items node='{node}'><item id=''/></items>",
    "an item with an attribute more": "<items node='{node}'><item id='id1' publisher='x'/></items>",
    "an item with a child": "<items node='{node}'><item id='id1'><why xmlns='urn:example'/></item></items>",
    "max_items 0": "<items node='{node}' max_items='0'/>",
    "max_items -1": "<items node='{node}' max_items='-1'/>",
    "max_items +2": "<items node='{node}' max_items='+2'/>",
    "max_items many": "<items node='{node}' max_items='many'/>",
    "max_items empty": "<items node='{node}' max_items=''/>",
    "max_items beyond 32 bits": "<items node='{node}' max_items='4294967297'/>",
    "ids and max_items": "<items node='{node}' max_items='1'><item id='id0'/><item id='id1'/></items>",
    "no node": "<items/>",
    "an empty node": "<items node=''/>",
    "two nodes": "<items node='{node}'/><items node='{node}-2'/>",
    "nothing": "",
    "a default request": "<default/>",
    "subscriptions": "<subscriptions node='{node}'/>",
}


@pytest.fixture(params=BACKENDS)
def backend(request: pytest.FixtureRequest) -> str:
    """On PostgreSQL the copy is read by a task, not in the call."""
    name: str = request.param
    return name


def request(client: ClientXMPP, service: str, inner: str, kind: str = "get") -> Any:
    iq = client.make_iq_get(ito=service)
    iq["type"] = kind
    iq.xml.append(ET.fromstring(f"<pubsub xmlns='{NS_PUBSUB}'>{inner}</pubsub>"))
    return iq


@pytest.mark.parametrize("what", OTHERWISE)
async def test_a_request_with_anything_unknown_in_it_goes_to_the_service(
    prosody: Prosody, connect: Connect, open_program: OpenProgram, node: str, what: str
) -> None:
    await create_node(await connect("romeo"), prosody.pubsub, node, 3)
    plain, program = await connect("juliet"), await open_program()
    await program.follow(node)
    program.wire.clear()
    inner = OTHERWISE[what].format(node=node)
    expected = await outcome(request(plain, prosody.pubsub, inner).send())
    given = await outcome(request(program.client, prosody.pubsub, inner).send())
    assert given == expected
    assert not given.hit
    assert len(program.wire.iqs) == 1


async def test_a_request_to_a_resource_or_of_type_set_goes_to_the_service(
    prosody: Prosody, connect: Connect, open_program: OpenProgram, node: str
) -> None:
    await create_node(await connect("romeo"), prosody.pubsub, node, 3)
    plain, program = await connect("juliet"), await open_program()
    await program.follow(node)
    for service, kind in ((f"{prosody.pubsub}/somewhere", "get"), (prosody.pubsub, "set")):
        inner = f"<items node='{node}'/>"
        expected = await outcome(request(plain, service, inner, kind).send())
        given = await outcome(request(program.client, service, inner, kind).send())
        assert given == expected
        assert not given.hit


async def test_a_page_of_a_service_that_ignores_pages_is_what_the_service_sends(
    prosody: Prosody, connect: Connect, open_program: OpenProgram, node: str
) -> None:
    await create_node(await connect("romeo"), prosody.pubsub, node, 5)
    plain, program = await connect("juliet"), await open_program()
    await program.follow(node)
    rsm = "<set xmlns='http://jabber.org/protocol/rsm'>{}</set>"
    for limit in ("<max>2</max>", "<max>2</max><before/>", "<max>2</max><after>id1</after>", "<max>0</max>", ""):
        inner = f"<items node='{node}'/>{rsm.format(limit)}"
        expected = await outcome(request(plain, prosody.pubsub, inner).send())
        assert await outcome(request(program.client, prosody.pubsub, inner).send()) == expected


async def test_many_items_are_put_together_elsewhere_and_come_out_the_same(
    prosody: Prosody, connect: Connect, open_program: OpenProgram, node: str
) -> None:
    await create_node(await connect("romeo"), prosody.pubsub, node, 520)
    plain, program = await connect("juliet"), await open_program()
    await program.follow(node)
    called: list[Any] = []
    future = program.pubsub.get_items(prosody.pubsub, node, callback=called.append)
    small = await program.pubsub.get_items(prosody.pubsub, node, max_items=1)
    whole = await future
    assert called == [whole]
    expected = await plain.plugin["xep_0060"].get_items(prosody.pubsub, node)
    assert canonical_iq(whole) == canonical_iq(expected)
    assert small["id"] != whole["id"]
