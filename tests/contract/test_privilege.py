"""What a component reads and writes in an account's name (XEP-0356), whose copy a client of that account keeps."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from xml.etree.ElementTree import Element, fromstring

import pytest

from newsstand.errors import StanzaError
from newsstand.model import NS_PUBSUB, ItemsRequest, NodeKey, SeenItem, WriteKind, WriteRequest
from newsstand.serving.own_writes import Write
from newsstand.serving.steps import Ask, Pending, Rows, Served
from newsstand.xmpp.seen_items import read_item
from newsstand.xmpp.transport import Session
from tests.contract._workers import Workers, ownership_of, serves
from tests.fakes.hold import SECONDS
from tests.fakes.program import NODE, Program
from tests.fakes.service import JULIET, NOTE, SERVICE

KEY = NodeKey(JULIET, SERVICE, NODE)
READ = ItemsRequest(KEY, privileged=True)
DONE = Element("{jabber:client}iq", {"type": "result", "from": SERVICE})


@asynccontextmanager
async def both(workers: Workers) -> AsyncIterator[tuple[Program, Program]]:
    """Juliet's client, which follows the node, and the component, which knows that."""
    async with workers.another() as client:
        await client.follow()
        async with workers.another(component="gateway.example.org") as component:
            await component.settled()
            yield client, component


async def comes_to(component: Program, request: ItemsRequest = READ) -> Any:
    step = component.port.read(request, SECONDS, ())
    return await component.port.go_on(step) if isinstance(step, Pending) else step


async def served(component: Program) -> list[str] | None:
    """The texts of the items that a read by privilege is answered with, as live; None where the service is asked."""
    step = await comes_to(component)
    if isinstance(step, Served) and not step.made_of.stale:
        return [fromstring(xml)[0].text or "" for xml in step.found]
    assert isinstance(step, Ask | Served)
    return None


async def comes_to_serve(component: Program, client: Program) -> None:
    """After some polls it answers what the service holds."""
    async with asyncio.timeout(SECONDS):
        while await served(component) is None:
            await client.settled()
            await ownership_of(client).polling.poll()
            await ownership_of(component).polling.poll()
    assert await served(component) == [text for _, text in component.service.contents(NODE)]


def note(item_id: str, text: str) -> SeenItem:
    return read_item(fromstring(f'<item xmlns="{NS_PUBSUB}" id="{item_id}"><note xmlns="{NOTE}">{text}</note></item>'))


def publish(component: Program, item_id: str, text: str) -> Write:
    request = WriteRequest(KEY, WriteKind.PUBLISH, items=(note(item_id, text),), privileged=True)
    write = component.port.begin_write(request, ())
    assert write is not None
    return write


async def test_only_a_read_by_privilege_is_answered_from_another_account_s_copy(workers: Workers) -> None:
    async with both(workers) as (client, component):
        assert await served(component) == [text for _, text in workers.service.contents(NODE)]
        assert component.port.read(ItemsRequest(KEY), SECONDS, ()) is None
        assert client.port.read(READ, SECONDS, ()) is None, "Juliet needs no privilege"
        own = ItemsRequest(NodeKey("tybalt@gateway.example.org", SERVICE, NODE), privileged=True)
        assert component.port.read(own, SECONDS, ()) is None, "nor does the component for its own accounts"


async def test_what_is_written_by_privilege_blocks_the_copy_until_it_holds_it(workers: Workers) -> None:
    async with both(workers) as (client, component):
        write = publish(component, "c", "third")
        assert await served(component) is None
        workers.service.publish(NODE, "c", "third", told=False)
        component.port.end_write(write, DONE)
        assert await served(component) is None, "its next read would not find it"
        workers.service.publish(NODE, "c", "third")
        await comes_to_serve(component, client)
        await serves(client)


@pytest.mark.parametrize("kind", [WriteKind.PURGE, WriteKind.DELETE, WriteKind.OTHER])
async def test_what_only_a_listing_shows_is_left_to_the_worker_that_owns_the_node(
    workers: Workers, kind: WriteKind
) -> None:
    async with both(workers) as (client, component):
        write = component.port.begin_write(WriteRequest(KEY, kind, privileged=True), ())
        assert write is not None
        workers.service.nodes[NODE].remove("a")  # of which nobody is notified
        component.port.end_write(write, DONE)
        assert await served(component) is None
        await comes_to_serve(component, client)
        await serves(client)
        assert not component.copy().lease.ours


async def test_a_write_that_was_refused_changes_nothing(workers: Workers) -> None:
    async with both(workers) as (_, component):
        before = await served(component)
        write = publish(component, "c", "third")
        component.port.end_write(write, StanzaError("auth", "forbidden"))
        assert await served(component) == before


async def test_a_write_whose_session_ended_is_one_of_which_nobody_knows(workers: Workers) -> None:
    async with both(workers) as (client, component):
        write = publish(component, "c", "third")
        workers.service.publish(NODE, "c", "third", told=False)
        component.stream.turn(Session.LOST, Session.FRESH)
        component.port.end_write(write, None)
        assert await served(component) is None
        await comes_to_serve(component, client)


async def test_without_the_account_s_client_the_service_is_asked_and_the_copy_falls_back(workers: Workers) -> None:
    async with workers.another() as client:
        await client.follow()
    async with workers.another(component="gateway.example.org") as component:
        step = await comes_to(component)
        assert isinstance(step, Ask)
        assert step.patience is not None
        fallen = component.port.fall_back(step)
        end = await component.port.go_on(fallen) if isinstance(fallen, Rows) else fallen
        assert isinstance(end, Served)
        assert end.made_of.stale
        assert component.port.failed(step, StanzaError("cancel", "item-not-found"), None) is False
        await component.settled()
        assert not component.copy().lease.ours, "and nothing is synchronised by privilege"
