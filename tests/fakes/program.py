"""A replica at work at a fake service, and what tests ask of it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from typing import Any
from xml.etree.ElementTree import Element, SubElement, fromstring

from newsstand import Analyser, Replica
from newsstand.config import Settings
from newsstand.model import NS_PUBSUB, Answer, ItemsRequest, NodeKey, Origin, SyncState
from newsstand.rules.behaviour import ServiceBehaviour
from newsstand.serving.own_writes import Write
from newsstand.serving.port import Port
from newsstand.serving.steps import Ask, Pending, Read, Rows, Served, Step
from newsstand.state.copies import Copy
from newsstand.storage.database import Database
from newsstand.xmpp.requests import read_request
from newsstand.xmpp.transport import Session
from tests.fakes.hold import SECONDS
from tests.fakes.service import JULIET, NOTE, SERVICE, Service, Stream

NODE = "blog"
NOTES = Analyser("notes", "notes", namespace=NOTE, to_sync=True)


class Program:
    """One account's replica, which follows every node of notes that is read."""

    def __init__(self, service: Service, stream: Stream, replica: Replica) -> None:
        self.service = service
        self.stream = stream
        self.replica = replica

    async def settled(self) -> None:
        async with asyncio.timeout(SECONDS):
            await self.replica.settled()

    async def read(self, node: str = NODE, *, at: str = SERVICE) -> Answer:
        async with asyncio.timeout(SECONDS):
            return await self.replica.get_items(at, node)

    async def follow(self, node: str = NODE, *, at: str = SERVICE) -> None:
        """Read a node, and wait until its copy is live."""
        await self.read(node, at=at)
        await self.serves_live(node, at=at)

    def copy(self, node: str = NODE, *, at: str = SERVICE) -> Copy:
        copy = self.replica._open.context.copies.find(NodeKey(JULIET, at, node))
        assert copy is not None
        return copy

    async def serves_live(self, node: str = NODE, *, at: str = SERVICE) -> None:
        """Once all is quiet, the copy answers, is live, and holds what the service holds."""
        await self.settled()
        answer = await self.read(node, at=at)
        assert (answer.origin, answer.stale) == (Origin.COPY, False), self.copy(node, at=at).record
        assert contents(answer) == self.service.find(at).contents(node)
        assert self.copy(node, at=at).record.state is SyncState.LIVE

    async def becomes_live(self, node: str = NODE, *, at: str = SERVICE) -> None:
        """Wait for that, whatever else is under way."""
        copy = self.copy(node, at=at)
        async with asyncio.timeout(SECONDS):
            while copy.record.state is not SyncState.LIVE:
                await copy.changed.wait()

    async def asks_service(self, node: str = NODE) -> None:
        """Once all is quiet, the service answers."""
        await self.settled()
        answer = await self.read(node)
        assert answer.origin is Origin.SERVICE
        assert contents(answer) == self.service.contents(node)

    async def served_live(self, node: str = NODE) -> list[tuple[str, str]] | None:
        """What a read would be answered with at this moment, from the copy as live; None where it would not."""
        step = self.port.read(ItemsRequest(NodeKey(JULIET, SERVICE, node)), SECONDS, ())
        if isinstance(step, Rows):
            step = await self.port.go_on(step)
        served = isinstance(step, Served) and not step.made_of.stale
        return [_id_and_text(xml) for xml in step.found] if isinstance(step, Served) and served else None

    async def comes_to(self, request: ItemsRequest, max_age: float | None = None) -> Step:
        """What an adapter's read of this comes to; with the age, as if its analyser said so."""
        driver = self.replica._open.driver
        step = driver.begin(Read(request, asyncio.get_running_loop().time() + SECONDS, max_age=max_age))
        return await driver.go_on(step) if isinstance(step, Pending) else step

    @property
    def port(self) -> Port:
        """What an adapter asks of the replica."""
        assert self.replica.port is not None
        return self.replica.port

    def ask(self, request: ItemsRequest) -> Ask:
        """The service is asked now, by an adapter: what it answers goes to the port, with this."""
        return Ask(Read(request, 0.0), "a test says so", basis=self.replica._open.asking.basis(request))

    def behaviour(self, service: str = SERVICE) -> ServiceBehaviour:
        """What is known of a service's behaviour."""
        return self.replica._open.context.behaviour(service)

    def write(self, action: str, item: tuple[str, str] | None = None, *, node: str = NODE) -> Write:
        """Begin a write of the program's own to a node that is followed."""
        write = self.find_write(action, item, node=node)
        assert write is not None
        return write

    def begin_publish(self, item_id: str, text: str) -> Write | None:
        """The same, of a node that may not be followed."""
        return self.find_write("publish", (item_id, text))

    def find_write(self, action: str, item: tuple[str, str] | None, *, node: str = NODE) -> Write | None:
        """Begin a write; None where the node is not followed."""
        iq = Element("{jabber:client}iq", {"type": "set", "to": SERVICE})
        wanted = SubElement(SubElement(iq, f"{{{NS_PUBSUB}}}pubsub"), f"{{{NS_PUBSUB}}}{action}", {"node": node})
        if item is not None:
            published = SubElement(wanted, f"{{{NS_PUBSUB}}}item", {"id": item[0]})
            SubElement(published, f"{{{NOTE}}}note").text = item[1]
        request = read_request(iq, JULIET)
        assert request is not None
        assert not isinstance(request, ItemsRequest)
        return self.port.begin_write(request, ())

    def acknowledge(self, write: Write) -> None:
        self.port.end_write(write, Element("{jabber:client}iq", {"type": "result", "from": self.service.jid}))

    def publish_untold(self, item_id: str, text: str) -> None:
        """Publish at a service that does not tell the publisher."""
        write = self.write("publish", item=(item_id, text))
        self.service.publish(NODE, item_id, text, told=False)
        self.acknowledge(write)


@asynccontextmanager
async def at_work(
    database: Database,
    service: Service,
    *,
    retry_first: float = 0.02,
    analysers: Iterable[Analyser] = (NOTES,),
    entry_points: bool = True,
    quiet_start: float = 0,
    component: str | None = None,
    **settings: Any,
) -> AsyncIterator[Program]:
    """A program with a fresh session; closed at the end. Juliet's client, or the component of this JID."""
    stream = Stream(service) if component is None else Stream(service, component, is_component=True)
    replica = Replica(
        stream,
        settings=Settings(retry_first=retry_first, quiet_start=quiet_start, **settings),
        entry_points=entry_points,
    )
    for analyser in analysers:
        replica.register_analyser(analyser)
    await replica.open(database)
    stream.turn(Session.FRESH)
    try:
        yield Program(service, stream, replica)
    finally:
        if stream in service.streams:
            service.streams.remove(stream)
        await replica.close()


def contents(answer: Answer) -> list[tuple[str, str]]:
    return [_id_and_text(item.xml) for item in answer.items]


def _id_and_text(xml: str) -> tuple[str, str]:
    item = fromstring(xml)
    return item.get("id", ""), item[0].text or ""
