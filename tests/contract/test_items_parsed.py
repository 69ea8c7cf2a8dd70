"""An item has what its parser makes of it, whatever answered; and so has the item of a change that is watched."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any
from xml.etree.ElementTree import Element

import pytest

from newsstand import Analyser, Policy
from newsstand.model import ChangeKind, Item, Origin
from newsstand.storage.database import Database
from newsstand.xmpp.transport import Session
from tests.fakes.hold import SECONDS
from tests.fakes.program import NODE, Program, at_work
from tests.fakes.service import NOTE, SERVICE, Service


def text_of(item: Element, **_: Any) -> dict[str, str]:
    text = item[0].text or ""
    if "bad" in text:
        raise ValueError("a bad one")
    return {"text": text}


NOTES = Analyser("notes", "notes", namespace=NOTE, to_sync=True, parser=text_of)


@pytest.fixture
def service() -> Service:
    service = Service()
    service.create(NODE, "a", "b")
    service.publish(NODE, "c", "a bad one", told=False)
    return service


@pytest.fixture
async def program(database: Database, service: Service) -> AsyncIterator[Program]:
    """It has read nothing yet."""
    async with at_work(database, service, analysers=(NOTES,)) as program:
        yield program


def made_of(items: Any) -> list[tuple[str, Any, str | None]]:
    return [(item.id, item.parsed, item.parse_error) for item in items]


EXPECTED = [
    ("a", {"text": "first a"}, None),
    ("b", {"text": "first b"}, None),
    ("c", None, "ValueError: a bad one"),
]


async def test_what_the_service_answers_is_parsed_as_what_the_copy_answers(program: Program) -> None:
    first = await program.read()
    assert (first.origin, made_of(first.items)) == (Origin.SERVICE, EXPECTED)
    await program.settled()
    copied = await program.read()
    assert (copied.origin, made_of(copied.items)) == (Origin.COPY, EXPECTED)


async def test_what_the_copy_holds_too_is_the_same_item(program: Program) -> None:
    await program.follow()
    copied = await program.read()
    asked = await program.replica.get_items(SERVICE, NODE, policy=Policy.ONLY_SERVICE)
    assert asked.origin is Origin.SERVICE
    assert asked.items == copied.items
    assert all(item.revision and item.first_seen for item in asked.items)


async def test_what_it_holds_otherwise_is_parsed_anew(program: Program) -> None:
    await program.follow()
    program.stream.turn(Session.LOST, Session.DEAF)
    program.service.publish(NODE, "a", "another text", told=False)
    answer = await program.read()
    assert answer.origin is Origin.SERVICE
    found = {item.id: item for item in answer.items}
    assert (found["a"].parsed, found["a"].revision) == ({"text": "another text"}, 0)
    assert found["b"].revision


async def test_what_is_stored_and_not_parsed_yet_is_parsed_for_whoever_reads_it(
    program: Program, monkeypatch: pytest.MonkeyPatch
) -> None:
    await program.follow()
    monkeypatch.setattr(program.replica._open.parsing, "want", lambda copy: None)
    program.service.retract(NODE, "c")
    program.service.publish(NODE, "a", "another text")
    await program.settled()
    answer = await program.replica.get_items(SERVICE, NODE, policy=Policy.ONLY_COPY)
    assert {item.id: item.parsed for item in answer.items} == {
        "a": {"text": "another text"},
        "b": {"text": "first b"},
    }


async def test_a_node_that_nobody_wants_copied_is_parsed_by_its_analyser(database: Database, service: Service) -> None:
    mine = Analyser("notes", "notes", namespace=NOTE, to_sync=False, parser=text_of)
    async with at_work(database, service, analysers=(mine,)) as program:
        for _ in range(2):
            answer = await program.read()
            assert (answer.origin, made_of(answer.items)) == (Origin.SERVICE, EXPECTED)
            await program.settled()


async def test_an_answer_is_not_kept_waiting_by_parsers_for_longer_than_the_patience(
    database: Database, service: Service
) -> None:
    released = asyncio.Event()

    async def hangs(item: Element, **_: Any) -> dict[str, str]:
        await released.wait()
        return {}

    slow = Analyser("notes", "notes", namespace=NOTE, to_sync=False, parser=hangs)
    async with at_work(database, service, analysers=(slow,), patience=0.05, parser_timeout=0.1) as program:
        answer = await program.read()
        errors = [item.parse_error for item in answer.items]
        assert errors == ["no result within 0.1 s", *["not parsed yet: others took 0.05 s"] * 2]
        released.set()


async def test_a_change_comes_with_its_item_parsed(program: Program) -> None:
    await program.follow()
    changes = program.replica.watch(SERVICE, NODE)
    program.service.publish(NODE, "d", "a new one")
    program.service.retract(NODE, "b")
    async with asyncio.timeout(SECONDS):
        put, gone = await anext(changes), await anext(changes)
    assert (put.kind, put.item_id) == (ChangeKind.PUT, "d")
    assert isinstance(put.item, Item)
    assert (put.item.id, put.item.parsed) == ("d", {"text": "a new one"})
    assert (gone.kind, gone.item) == (ChangeKind.RETRACT, None)
    await program.settled()
