"""A server that hands on what a component wrote, and a component that spells JIDs in its own way: ejabberd does."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from typing import Any
from xml.etree.ElementTree import Element

import pytest
from slixmpp import ComponentXMPP
from slixmpp.stanza import Iq
from slixmpp.xmlstream.handler import CoroutineCallback
from slixmpp.xmlstream.matcher.base import MatcherBase

from newsstand import Analyser
from newsstand.demo.servers.process import ServerMissing
from newsstand.errors import StanzaError
from newsstand.model import NS_DISCO_INFO, NS_DISCO_ITEMS, NS_PUBSUB, SyncState
from newsstand.xmpp import xmltext
from newsstand.xmpp.transport import Session
from tests.fakes.requests import read
from tests.fakes.service import NOTE, Service, Stream
from tests.integration._component import component
from tests.integration._program import OpenProgram, Program, ids_of, is_hit
from tests.servers.ejabberd import Ejabberd

PUBS = "pubs.localhost"
NODE = "notes"
SPELT = "PUBS.LocalHost"


@pytest.fixture(scope="module")
async def server() -> AsyncIterator[Ejabberd]:
    """One that lets a pubsub service in that is a component."""
    server = Ejabberd(accounts=("juliet",), components=(PUBS,))
    try:
        await server.start()
    except ServerMissing as error:
        if os.environ.get("CI"):
            raise
        pytest.skip(str(error))
    async with server:
        yield server


class _Requests(MatcherBase):
    """Requests that a pubsub service answers."""

    def match(self, stanza: Any) -> bool:
        namespaces = {child.tag[1:].partition("}")[0] for child in stanza.xml}
        asked = {NS_PUBSUB, NS_DISCO_INFO, NS_DISCO_ITEMS} & namespaces
        return stanza.name == "iq" and stanza.xml.get("type") in ("get", "set") and bool(asked)


class OnTheWire(Stream):
    """All streams of a fake service in one: a component's. It spells its own JID, and those that it writes to, as it
    likes, but in answers to disco#info, which slixmpp must know for answers."""

    def __init__(self, service: Service, xmpp: ComponentXMPP) -> None:
        super().__init__(service, service.jid, is_component=True)
        self.xmpp = xmpp
        handler = CoroutineCallback("pubsub", _Requests(None), self._answer)  # type: ignore[arg-type]  # its own kind
        for of_slixmpp in ("Disco Info", "Disco Items"):
            xmpp.remove_handler(of_slixmpp)
        xmpp.register_handler(handler)
        self.turn(Session.FRESH)

    def is_of(self, account: str) -> bool:
        return True

    def receive(self, message: Element) -> None:
        account = message.get("to", "").partition("/")[0]
        message.set("from", SPELT)
        message.set("to", account.title())
        self._send(message)

    async def _answer(self, iq: Iq) -> None:
        request = read(iq.xml[0], str(iq["from"]))
        try:
            answer = await self.service.take(request, None, self)
        except StanzaError as error:
            reply: Any = iq.reply()
            reply["error"]["condition"] = error.condition
            reply.send()
            return
        answer.set("id", iq["id"])
        answer.set("to", str(iq["from"]))
        answer.set("from", PUBS if request.kind == "info" else SPELT)
        self._send(answer)

    def _send(self, stanza: Element) -> None:
        text = xmltext.to_text(stanza)
        self.xmpp.send_raw(text.replace('xmlns="jabber:client"', 'xmlns="jabber:component:accept"', 1))


@pytest.fixture
async def service(server: Ejabberd) -> AsyncIterator[Service]:
    """With a node of two items."""
    service = Service(PUBS)
    service.create(NODE, "a", "b")
    async with component(server, PUBS) as opened:
        stream = OnTheWire(service, opened.xmpp)
        yield service
        stream.close()


@pytest.fixture
async def program(server: Ejabberd, service: Service, open_program: OpenProgram) -> Program:
    """It follows the node."""
    program = await open_program(server=server)
    program.replica.register_analyser(Analyser("notes", "notes", namespace=NOTE, to_sync=True))
    await program.replica.session_began()
    await program.replica.synchronise(PUBS, NODE)
    return program


async def caught_up(program: Program) -> None:
    """All that the service has sent so far has come, and so has what came of it."""
    for _ in range(2):
        iq = Iq(program.client, sto=PUBS, stype="get")
        iq.xml.append(Element(f"{{{NS_DISCO_INFO}}}query"))
        await iq.send()
        await program.replica.settled()


async def test_a_service_s_own_spelling_makes_no_difference(program: Program, service: Service) -> None:
    await caught_up(program)
    heard: list[Element] = []

    def notice(stanza: Any) -> Any:
        heard.append(stanza.xml)
        return stanza

    program.client.add_filter("in", notice)
    for text in ("new", "newer"):
        service.publish(NODE, "c", text)
        service.publish(NODE, "a", text)
    service.retract(NODE, "b")
    await caught_up(program)
    told = {(one.get("from"), one.get("to")) for one in heard if one.tag == "{jabber:client}message"}
    assert told == {(SPELT, "Juliet@Localhost")}, "the server hands on what was written"
    for name in (PUBS, "Pubs.localhost", "PUBS.LOCALHOST."):
        iq = await program.pubsub.get_items(name, NODE)
        assert is_hit(iq)
        assert ids_of(iq) == [item_id for item_id, _ in service.contents(NODE)]
        assert iq.xml.get("from") == PUBS
    assert [record.key.service for record in program.replica.nodes()] == [PUBS]


async def test_what_is_not_there_any_more_is_not_served_as_live(program: Program, service: Service) -> None:
    await caught_up(program)
    service.delete(NODE)
    await caught_up(program)
    assert program.record(NODE, PUBS).state is SyncState.GONE
