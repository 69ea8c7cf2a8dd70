"""What the service says late, or after the copy could not be read, is believed all the same. The program's side is
slixmpp's; the replica's own stream leads to the fake service, and the test answers what the program sends."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from xml.etree.ElementTree import SubElement

import pytest
import slixmpp
from slixmpp.exceptions import IqError
from slixmpp.stanza import Iq

from newsstand.errors import DatabaseError
from newsstand.model import SyncState
from newsstand.slixmpp.transport import SlixmppTransport
from newsstand.slixmpp.trigger import Trigger
from newsstand.storage.database import open_database
from newsstand.xmpp.transport import Session
from tests.fakes.hold import SECONDS, Hold
from tests.fakes.program import NODE, Program, at_work
from tests.fakes.service import JULIET, SERVICE, Service

PATIENCE = 0.05


@dataclasses.dataclass
class Sent:
    """A request that the program sent to its service."""

    iq: Any
    callback: Any
    future: asyncio.Future[Any]

    def refuse(self, condition: str) -> None:
        """As slixmpp does when the error arrives."""
        error: Any = Iq(self.iq.stream, stype="error", sid=self.iq["id"], sfrom=SERVICE)
        element = SubElement(error.xml, "{jabber:client}error", {"type": "auth"})
        SubElement(element, f"{{urn:ietf:params:xml:ns:xmpp-stanzas}}{condition}")
        if not self.future.done():
            self.future.set_exception(IqError(error))
            self.future.exception()  # whoever awaits it is told; nobody need
        if self.callback is not None:
            self.callback(error)


class Client:
    """slixmpp's own client, with the trigger, and what it sent past it."""

    def __init__(self, program: Program) -> None:
        self.program = program
        self.xmpp = slixmpp.ClientXMPP(JULIET, "secret")
        self.xmpp.register_plugin("xep_0060")
        self.transport = SlixmppTransport(self.xmpp)
        self.trigger = Trigger(self.xmpp, program.replica, self.transport)
        self.trigger.install()
        self.sent: list[Sent] = []
        self.asked = asyncio.Event()

    def take(self, iq: Any, callback: Any = None, timeout: Any = None) -> asyncio.Future[Any]:
        """Instead of slixmpp's `Iq.send`."""
        sent = Sent(iq, callback, asyncio.get_running_loop().create_future())
        self.sent.append(sent)
        self.asked.set()
        return sent.future

    def read(self) -> asyncio.Future[Any]:
        pubsub: Any = self.xmpp.plugin["xep_0060"]
        future: asyncio.Future[Any] = pubsub.get_items(SERVICE, NODE)
        return future

    def lose_patience(self, monkeypatch: pytest.MonkeyPatch) -> None:
        context = self.program.replica._open.context
        monkeypatch.setattr(context, "settings", dataclasses.replace(context.settings, patience=PATIENCE))

    def go_deaf(self) -> None:
        """The service can be asked, and the copy is stale."""
        self.program.stream.turn(Session.LOST, Session.DEAF)


@pytest.fixture
async def client(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Client]:
    """Its program follows a node of two items."""
    database = await open_database(f"sqlite:///{tmp_path}/news.db")
    service = Service()
    service.create(NODE, "a", "b")
    async with at_work(database, service) as program:
        await program.follow()
        client = Client(program)
        with monkeypatch.context() as patch:
            patch.setattr(Iq, "send", lambda iq, callback=None, timeout=None: client.take(iq, callback, timeout))
            yield client
        client.trigger.remove()
        client.transport.close()
    await database.close()


async def test_nothing_is_served_after_a_refusal_that_came_late(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    client.go_deaf()
    client.lose_patience(monkeypatch)
    async with asyncio.timeout(SECONDS):
        assert (await client.read()).newsstand.stale
    client.sent[0].refuse("forbidden")
    assert client.program.copy().record.state is SyncState.GONE
    reading = client.read()
    await asyncio.sleep(0)
    client.sent[1].refuse("forbidden")
    with pytest.raises(IqError, match="forbidden"):
        await reading
    await client.program.settled()


async def test_an_answer_that_came_late_is_handed_to_nobody(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    client.go_deaf()
    client.lose_patience(monkeypatch)
    called: list[Any] = []
    pubsub: Any = client.xmpp.plugin["xep_0060"]
    async with asyncio.timeout(SECONDS):
        answer = await pubsub.get_items(SERVICE, NODE, callback=called.append)
    client.sent[0].refuse("internal-server-error")
    assert called == [answer]


async def test_a_refusal_after_the_copy_could_not_be_read_closes_it(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    database = client.program.replica._open.context.database

    def unreadable(*args: Any, **kwargs: Any) -> Any:
        raise DatabaseError("no")

    monkeypatch.setattr(database, "read_now", unreadable)
    reading = client.read()
    monkeypatch.undo()
    client.sent[0].refuse("forbidden")
    with pytest.raises(IqError, match="forbidden"):
        await reading
    await asyncio.sleep(0)
    assert client.program.copy().record.state is SyncState.GONE
    await client.program.settled()


async def test_a_refusal_after_what_arrived_was_waited_for_too_long_closes_it(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    context, hold = client.program.replica._open.context, Hold()
    write = context.database.write

    async def writing(*args: Any, **kwargs: Any) -> Any:
        await hold.wait()
        return await write(*args, **kwargs)

    with monkeypatch.context() as patch:
        patch.setattr(context.database, "write", writing)
        client.program.service.publish(NODE, "c", "not stored yet")
        await hold.reached()
        client.lose_patience(patch)
        reading = client.read()
        async with asyncio.timeout(SECONDS):
            await client.asked.wait()
        client.sent[0].refuse("forbidden")
        with pytest.raises(IqError, match="forbidden"):
            await reading
        assert client.program.copy().record.state is SyncState.GONE
        hold.release()
        await client.program.settled()


async def test_a_copy_answers_where_the_stream_is_lost_while_the_service_is_asked(client: Client) -> None:
    client.go_deaf()
    reading = client.read()
    assert len(client.sent) == 1
    client.program.stream.turn(Session.LOST)
    client.trigger._on_session(Session.LOST)
    async with asyncio.timeout(SECONDS):
        assert (await reading).newsstand.stale
