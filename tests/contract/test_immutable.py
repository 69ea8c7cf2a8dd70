"""Items that are right for ever, because they are named by the hash of what they hold: avatar data."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from xml.etree.ElementTree import Element, fromstring

import pytest

from newsstand import Analyser
from newsstand.model import Answer, Origin, Policy
from newsstand.storage.database import Database
from newsstand.xmpp.transport import Session
from tests.fakes.program import Program, at_work
from tests.fakes.service import NOTE, SERVICE, Service

NODE = "images"
TEXTS = ["an image", "another"]


def name_of(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def is_named_by_hash(item: Element) -> bool:
    return item.get("id") == name_of(item[0].text or "")


IMAGES = Analyser("images", "image", namespace=NOTE, to_sync=True, is_immutable=is_named_by_hash)


@pytest.fixture
def service() -> Service:
    service = Service()
    service.create(NODE)
    service.create("other", "a", "b", "c")
    for text in TEXTS:
        service.publish(NODE, name_of(text), text)
    service.publish(NODE, "named otherwise", "a text")
    return service


@asynccontextmanager
async def offline(database: Database, service: Service) -> AsyncIterator[Program]:
    """The node was copied, and the stream is down."""
    async with at_work(database, service, analysers=[IMAGES]) as program:
        await program.follow("other")
        await program.follow(NODE)
        program.stream.turn(Session.LOST)
        yield program


async def read(program: Program, *item_ids: str, policy: Policy | None = None) -> Answer:
    return await program.replica.get_items(SERVICE, NODE, item_ids=item_ids, policy=policy)


async def test_they_are_served_offline_and_are_not_stale(database: Database, service: Service) -> None:
    async with offline(database, service) as program:
        answer = await read(program, *map(name_of, TEXTS))
        assert (answer.origin, answer.stale) == (Origin.COPY, False)
        assert [fromstring(item.xml)[0].text for item in answer.items] == TEXTS


async def test_in_a_new_session_they_cost_no_request(database: Database, service: Service) -> None:
    async with offline(database, service):
        pass
    async with at_work(database, service, analysers=[IMAGES], quiet_start=1000.0) as program:
        service.requests.clear()
        answer = await read(program, name_of(TEXTS[0]))
        await program.settled()
        assert (answer.origin, answer.stale) == (Origin.COPY, False)
        assert service.requests == []


async def test_others_among_them_are_as_ever(database: Database, service: Service) -> None:
    async with offline(database, service) as program:
        for item_ids in (["named otherwise"], [name_of(TEXTS[0]), "named otherwise"]):
            answer = await read(program, *item_ids)
            assert (answer.origin, answer.stale) == (Origin.COPY, True)


async def test_what_the_copy_lacks_is_asked_of_the_service(database: Database, service: Service) -> None:
    async with offline(database, service):
        pass
    service.publish(NODE, name_of("new"), "new", told=False)
    async with at_work(database, service, analysers=[IMAGES], quiet_start=1000.0) as program:
        answer = await read(program, name_of(TEXTS[0]), name_of("new"))
        assert answer.origin is Origin.SERVICE
        assert [item.id for item in answer.items] == [name_of(TEXTS[0]), name_of("new")]


async def test_what_a_read_says_itself_stands(database: Database, service: Service) -> None:
    async with offline(database, service):
        pass
    async with at_work(database, service, analysers=[IMAGES], quiet_start=1000.0) as program:
        answer = await read(program, name_of(TEXTS[0]), policy=Policy.ONLY_SERVICE)
        assert answer.origin is Origin.SERVICE


async def test_a_changed_item_is_not_served_under_its_hash(database: Database, service: Service) -> None:
    """Whoever can write to the node may publish anything under any id."""
    async with at_work(database, service, analysers=[IMAGES]) as program:
        await program.follow("other")
        await program.follow(NODE)
        service.publish(NODE, name_of(TEXTS[0]), "something else")
        await program.settled()
        program.stream.turn(Session.LOST)
        assert (await read(program, name_of(TEXTS[0]))).stale


async def test_refused_it_is_served_no_more(database: Database, service: Service) -> None:
    async with at_work(database, service, analysers=[IMAGES]) as program:
        await program.follow("other")
        await program.follow(NODE)
        service.delete(NODE)
        await program.settled()
        program.stream.turn(Session.LOST)
        with pytest.raises(Exception, match="no session"):
            await read(program, name_of(TEXTS[0]))


async def test_a_function_that_raises_says_nothing(database: Database, service: Service) -> None:
    def fails(item: Element) -> bool:
        raise IndexError(item.tag)

    async with offline(database, service):
        pass
    failing = dataclasses.replace(IMAGES, is_immutable=fails)
    async with at_work(database, service, analysers=[failing]) as program:
        await program.settled()
        program.stream.turn(Session.LOST)
        assert (await read(program, name_of(TEXTS[0]))).stale
