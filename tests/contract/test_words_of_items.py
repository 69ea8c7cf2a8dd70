"""By which words an item is found: by what people read of it, whoever parsed or changed it before."""

from __future__ import annotations

import dataclasses
from typing import Any
from xml.etree.ElementTree import Element, fromstring

import pytest
from sqlalchemy import select, update

from newsstand import Analyser
from newsstand.analysis.words import MAX_TEXT, NOT_ALL_WORDS, XML_VERSION
from newsstand.model import NodeRecord
from newsstand.storage.database import Database
from newsstand.storage.maintenance.checking import check
from newsstand.storage.mapping import PubsubItem, PubsubNode, table
from newsstand.storage.statements import items
from newsstand.storage.statements.items import ParsedItem
from tests.contract._storage import ids_found, row
from tests.contract._workers import Workers
from tests.fakes.program import NODE, NOTES, Program
from tests.fakes.service import NOTE, SERVICE


def parse_note(item: Element, *, service: str, node: str) -> dict[str, Any]:
    return {
        "kind": "entry",
        "title": item[0].text,
        "links": [{"rel": "alternate", "title": "Moon"}],
        "at": "2024-03-09",
    }


ALL = Analyser("notes", "notes", namespace=NOTE, to_sync=True, parser=parse_note)
FOR_PEOPLE = dataclasses.replace(ALL, version=2, words=("title", "links.title"))
NONE = dataclasses.replace(ALL, version=3, words=())
MACHINES = ("entry", "alternate", "2024", "09")


async def found(program: Program, *texts: str) -> list[list[str]]:
    """The items that are found by each of the texts."""
    pages = [await program.replica.search(text, node=NODE) for text in texts]
    return [sorted(item.id for item in page.items) for page in pages]


async def test_fields_for_programs_are_parsed_and_not_found(workers: Workers) -> None:
    workers.service.publish(NODE, "c", "soft light")
    async with workers.another(analysers=[FOR_PEOPLE]) as program:
        await program.follow()
        await program.settled()
        assert await found(program, "light", "moon") == [["c"], ["a", "b", "c"]]
        assert await found(program, *MACHINES) == [[]] * len(MACHINES)
        page = await program.replica.search(where={"kind": "entry"}, node=NODE)
        assert page.total == 3


async def test_what_an_earlier_version_indexed_is_indexed_anew(workers: Workers) -> None:
    async with workers.another(analysers=[ALL]) as program:
        await program.follow()
        await program.settled()
        assert await found(program, *MACHINES) == [["a", "b"]] * len(MACHINES)
    for analyser, moon in ((FOR_PEOPLE, ["a", "b"]), (NONE, [])):
        async with workers.another(analysers=[analyser]) as program:
            await program.serves_live()
            await program.settled()
            assert await found(program, "moon", *MACHINES) == [moon, *[[]] * len(MACHINES)]
    assert await check(workers.url) == [], "items without a word lack none"


async def test_what_was_indexed_without_a_parser_by_an_earlier_version_is_indexed_anew(workers: Workers) -> None:
    """As where secrets were words."""
    async with workers.another() as program:
        await program.follow()
        await program.settled()
        node = program.copy().record
    async with workers.database() as database:
        await database.write(items.mark_to_parse, node.id, "another", 0)
        waiting = await database.read(items.to_parse, node.id, 10)
        old = [ParsedItem(item, None, None, None, "hunter2") for item in waiting]
        await database.write(items.store_parsed, node.id, old, None, XML_VERSION - 1)
        forget = update(table(PubsubNode)).values(analysed_by=b"an earlier version")
        await database.write(lambda conn: conn.execute(forget))
        assert sorted(await ids_found(database, "hunter2")) == ["a", "b"]
    async with workers.another() as program:
        await program.serves_live()
        await program.settled()
        assert await found(program, "hunter2", "first") == [[], ["a", "b"]]


async def test_an_analyser_without_a_parser_indexes_the_texts_of_elements(workers: Workers) -> None:
    async with workers.another(analysers=[NOTES]) as program, workers.database() as database:
        await program.follow()
        await program.settled()
        stored = await row(database, program.copy().record, "a")
        assert (stored["parser"], stored["parser_version"], stored["parsed"]) == (None, XML_VERSION, None)


async def test_a_programs_own_changes_are_found_by_the_same_fields(workers: Workers) -> None:
    async with workers.another(analysers=[FOR_PEOPLE]) as program:
        await program.follow()
        await program.settled()
        async with program.replica.session() as session:
            one, other = (await session.scalars(select(PubsubItem).order_by(PubsubItem.item_id))).all()
            one.recency -= 1_000_000
            other.parsed = {"kind": "entry", "title": "rewritten", "at": "2024"}
            await session.commit()
        await program.settled()
        assert await found(program, "moon", "rewritten", *MACHINES) == [["a"], ["b"], *[[]] * len(MACHINES)]
    assert await check(workers.url) == []


def parse_title_and_body(item: Element, *, service: str, node: str) -> dict[str, Any]:
    title, _, body = (item[0].text or "").partition(":")
    return {"title": title, "body": body}


@pytest.mark.parametrize("parser", [parse_title_and_body, None], ids=["parsed", "texts"])
async def test_an_item_with_a_body_beyond_a_size_is_found_by_its_title_alone(workers: Workers, parser: Any) -> None:
    body = "loam " * (MAX_TEXT // 5 + 1)
    if parser is None:
        note = fromstring(f'<note xmlns="{NOTE}"><title>Compost</title><body>{body}</body></note>')
        workers.service.publish(NODE, "c", "", payload=note)
    else:
        workers.service.publish(NODE, "c", f"Compost:{body}")
    analyser = Analyser("notes", "notes", namespace=NOTE, to_sync=True, parser=parser)
    async with workers.another(analysers=[analyser]) as program:
        await program.follow()
        await program.settled()
        assert await found(program, "compost", "loam") == [["c"], []]
        (item,) = (await program.replica.get_items(SERVICE, NODE, item_ids=["c"])).items
        assert item.parse_error == NOT_ALL_WORDS
        assert item.parsed == (None if parser is None else {"title": "Compost", "body": body})
        async with program.replica.session() as session:  # a change of a program's own cuts its words anew
            stored = (await session.scalars(select(PubsubItem).where(PubsubItem.item_id == "c"))).one()
            stored.recency -= 1_000_000
            await session.commit()
        assert await found(program, "compost", "loam") == [["c"], []]
    assert await check(workers.url) == []


async def test_without_analysers_all_texts_that_a_program_sets_are_found(database: Database, node: NodeRecord) -> None:
    async with database.session() as session:
        session.add(
            PubsubItem(
                node_id=node.id,
                item_id="a",
                xml='<item xmlns="http://jabber.org/protocol/pubsub" id="a"/>',
                parsed={"title": "set", "kind": "entry"},
            )
        )
        await session.commit()
    assert await ids_found(database, "set entry") == ["a"]
