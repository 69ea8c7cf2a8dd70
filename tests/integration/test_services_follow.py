"""A program with Newsstand follows a node of each real service, and its copy stays equal to what the service holds."""

from __future__ import annotations

import contextlib
import itertools
import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any
from xml.etree import ElementTree as ET

import pytest
from slixmpp import JID, ClientXMPP
from slixmpp.exceptions import IqError
from slixmpp.stanza import Iq

from newsstand import Policy
from newsstand.demo.servers.xmpp_server import XmppServer
from newsstand.errors import NotInCopy
from newsstand.model import SyncState
from tests.conftest import Connect, log_in
from tests.integration._program import (
    NS_EVENT,
    NS_PUBSUB,
    OpenProgram,
    Program,
    assert_copy_equals_service,
    create_node,
    entry,
    fill_pep,
    is_hit,
)

IDS = ["a", "b", "c", "d"]
_numbers = itertools.count()


@dataclass
class Scene:
    """Juliet's program, which follows a node that romeo writes to; nurse looks without Newsstand."""

    program: Program
    romeo: ClientXMPP
    nurse: ClientXMPP
    service: str
    node: str

    @property
    def pubsub(self) -> Any:
        return self.romeo.plugin["xep_0060"]

    async def publish(self, item_id: str, title: str) -> None:
        await self.pubsub.publish(self.service, self.node, id=item_id, payload=entry(title))

    async def caught_up(self) -> None:
        """What the service told has come, and so has what came of it. Its events do not come behind an answer of the
        server's, nor is it sure that they come before a first answer of its own."""
        for _ in range(3):
            with contextlib.suppress(IqError):  # some refuse it of accounts that are no contacts: an answer, too
                await self.program.client.plugin["xep_0030"].get_items(JID(self.service), self.node)
        await self.program.caught_up()

    async def is_equal(self) -> None:
        """Once all has come, the copy is live, answers, and equals the service."""
        await self.caught_up()
        record = self.program.record(self.node, self.service)
        assert record.state is SyncState.LIVE, record
        answer = await self.program.pubsub.get_items(self.service, self.node)
        assert is_hit(answer)
        await assert_copy_equals_service(self.program.replica, self.nurse, self.service, self.node)


@pytest.fixture
async def scene(
    request: pytest.FixtureRequest, server: XmppServer, connect: Connect, open_program: OpenProgram
) -> Scene:
    node = f"follow-{next(_numbers)}-{re.sub('[^a-z0-9]+', '-', request.node.name)[:50]}"
    romeo = await connect("romeo", server=server)
    nurse = await connect("nurse", server=server)
    await create_node(romeo, server.pubsub, node, IDS, notify_delete="1")
    program = await open_program(server=server)
    await program.follow(node)
    return Scene(program, romeo, nurse, server.pubsub, node)


async def publish(scene: Scene) -> None:
    await scene.publish("new", "new")


async def overwrite(scene: Scene) -> None:
    await scene.publish("b", "again")
    await scene.publish("a", "again")


async def overwrite_with_the_same(scene: Scene) -> None:
    await scene.publish("a", "post a")


async def retract(scene: Scene) -> None:
    await scene.pubsub.retract(scene.service, scene.node, "b", notify=True)


async def publish_and_retract(scene: Scene) -> None:
    await scene.publish("new", "new")
    await scene.pubsub.retract(scene.service, scene.node, "new", notify=True)
    await scene.publish("c", "again")


ODD = {
    "pubsub": f"<note xmlns='{NS_PUBSUB}'><part>text</part></note>",
    "event": f"<note xmlns='{NS_EVENT}'>text</note>",
    "items": f"<items xmlns='{NS_PUBSUB}' node='other'>text</items>",
    "nested": f"<a xmlns='urn:a'><note xmlns='{NS_PUBSUB}'>text</note></a>",
    "in-event": f"<a xmlns='urn:a'><note xmlns='{NS_EVENT}'>text</note></a>",
    "client": "<body xmlns='jabber:client'>text</body>",
    "none": "<note xmlns=''>text</note>",
    "none-nested": "<a xmlns='urn:a'><note xmlns=''>text</note></a>",
    "beside": "before<a xmlns='urn:a'/>after",
    "spaced": "\n  <a xmlns='urn:a'> <b/> </a>\n",
}
"""What some services tell otherwise than they list it."""


async def publish_oddly(scene: Scene) -> None:
    for item_id, payload in ODD.items():
        item = f"<item id='{item_id}'>{payload}</item>"
        iq = Iq(scene.romeo, sto=scene.service, stype="set")
        iq.xml.append(
            ET.fromstring(f"<pubsub xmlns='{NS_PUBSUB}'><publish node='{scene.node}'>{item}</publish></pubsub>")
        )
        await iq.send()


async def purge(scene: Scene) -> None:
    await scene.pubsub.purge(scene.service, scene.node)
    await scene.publish("new", "after the purge")


async def evict(scene: Scene) -> None:
    """By a limit that the node reaches only now."""
    node = f"{scene.node}-small"
    await create_node(scene.romeo, scene.service, node, IDS, max_items="4")
    scene.node = node
    await scene.program.follow(node)
    await scene.publish("new", "evicts")


HAPPENINGS = [publish, publish_oddly, overwrite, overwrite_with_the_same, retract, publish_and_retract, purge, evict]
Happening = Callable[[Scene], Awaitable[None]]


async def test_a_node_that_is_read_becomes_live_and_equals_the_service(scene: Scene) -> None:
    await scene.is_equal()


@pytest.mark.parametrize("happen", HAPPENINGS, ids=lambda happen: happen.__name__)
async def test_what_happens_is_followed(scene: Scene, happen: Happening) -> None:
    await happen(scene)
    await scene.is_equal()


@pytest.mark.parametrize("happen", [overwrite, publish_and_retract, purge], ids=lambda happen: happen.__name__)
async def test_what_happened_while_away_is_found_in_a_fresh_session(scene: Scene, happen: Happening) -> None:
    await scene.program.client.disconnect()
    await happen(scene)
    await log_in(scene.program.client, scene.program.server)
    await scene.is_equal()


async def test_a_deleted_node_is_answered_no_more(scene: Scene) -> None:
    await scene.pubsub.delete_node(scene.service, scene.node)
    await scene.program.caught_up()
    record = scene.program.find_record(scene.node)
    assert record is None or record.state is SyncState.GONE
    with pytest.raises(NotInCopy):
        await scene.program.replica.get_items(scene.service, scene.node, policy=Policy.ONLY_COPY)


async def test_an_own_publish_is_read_back(scene: Scene) -> None:
    node = f"{scene.node}-open"
    await create_node(scene.romeo, scene.service, node, IDS, publish_model="open")
    scene.node = node
    await scene.program.follow(node)
    for number in range(3):
        await scene.program.pubsub.publish(scene.service, node, id="mine", payload=entry(f"mine {number}"))
        answer = await scene.program.pubsub.get_items(scene.service, node)
        assert f"mine {number}" in str(answer)
    await scene.is_equal()


async def test_a_node_of_a_contact_is_followed(server: XmppServer, connect: Connect, open_program: OpenProgram) -> None:
    node = f"contact-{next(_numbers)}"
    romeo = await connect("romeo", server=server)
    nurse = await connect("nurse", server=server)
    pep = str(romeo.boundjid.bare)
    await fill_pep(romeo, node, {"a": entry("first")}, max_items="")
    program = await open_program(server=server)
    await program.follow(node, pep)
    scene = Scene(program, romeo, nurse, pep, node)
    await scene.is_equal()
    await scene.publish("a", "again")
    await scene.is_equal()
