"""What parsers made of items: kept beside the XML, dated, and its words indexed."""

from __future__ import annotations

import pytest

from newsstand.model import NodeRecord, SeenItem
from newsstand.rules.reconcile import Clear, Place, Put, Remove
from newsstand.storage.database import Database
from newsstand.storage.statements import items, nodes
from newsstand.storage.statements.items import RECENCY_SLACK, ParsedItem
from tests.contract._storage import NOW, ON_FILES, SECOND, apply, ids_found, in_step, parse, put, row, xml_of

DAY = 86_400 * SECOND


async def waiting(database: Database, node: NodeRecord) -> list[str]:
    return sorted(item.item_id for item in await database.read(items.to_parse, node.id, 100))


async def test_new_and_overwritten_items_wait_to_be_parsed(database: Database, node: NodeRecord) -> None:
    await apply(database, node, put("a"), put("b"))
    assert await waiting(database, node) == ["a", "b"]
    assert await database.scan(items.nodes_to_parse) == [node.id]
    await parse(database, node, {"a": {}, "b": {}})
    assert await waiting(database, node) == []
    assert await database.scan(items.nodes_to_parse) == []
    await apply(database, node, put("b", "new"))
    assert await waiting(database, node) == ["b"]


async def test_parsed_data_and_its_words_are_stored_beside_the_xml(database: Database, node: NodeRecord) -> None:
    await apply(database, node, put("a", "raw"))
    await parse(database, node, {"a": {"title": "Scones & clotted cream", "rating": 5}})
    stored = await row(database, node, "a")
    assert stored["parsed"] == {"title": "Scones & clotted cream", "rating": 5}
    assert (stored["parser"], stored["parser_version"], stored["parse_error"]) == ("notes", 1, None)
    assert stored["xml"] == xml_of("a", "raw")
    assert await ids_found(database, "clotted") == ["a"]


async def test_a_failure_to_parse_is_kept_and_the_item_not_lost(database: Database, node: NodeRecord) -> None:
    await apply(database, node, put("a"))
    (item,) = await database.read(items.to_parse, node.id, 10)
    await database.write(items.store_parsed, node.id, [ParsedItem(item, None, "no title", None, "")], "notes", 1)
    stored = await row(database, node, "a")
    assert (stored["parsed"], stored["parse_error"]) == (None, "no title")
    assert stored["xml"] == xml_of("a")
    assert await waiting(database, node) == []


async def test_an_item_that_changed_while_it_was_parsed_is_parsed_again(database: Database, node: NodeRecord) -> None:
    await apply(database, node, put("a"), put("b"))
    results = [
        ParsedItem(item, {"title": "old"}, None, None, "old")
        for item in await database.read(items.to_parse, node.id, 10)
    ]
    await apply(database, node, put("a", "new"))
    await database.write(items.store_parsed, node.id, results, "notes", 1)
    assert await waiting(database, node) == ["a"]
    assert (await row(database, node, "a"))["parsed"] is None
    assert await ids_found(database, "old") == ["b"]


async def test_an_item_that_went_while_it_was_parsed_stays_gone(database: Database, node: NodeRecord) -> None:
    await apply(database, node, put("a"))
    (item,) = await database.read(items.to_parse, node.id, 10)
    await apply(database, node, Remove(("a",)))
    await database.write(items.store_parsed, node.id, [ParsedItem(item, {}, None, None, "word")], "notes", 1)
    assert await ids_found(database, "word") == []


@pytest.mark.parametrize(
    ("date", "recency"),
    [
        (NOW - DAY, NOW - DAY),
        (NOW + DAY, NOW),
        (None, NOW),
        (0, 0),
        (NOW - RECENCY_SLACK, NOW),
    ],
    ids=["the past", "the future", "no date", "the beginning of time", "a moment ago"],
)
async def test_recency_is_the_earlier_of_the_payloads_date_and_the_first_sight(
    database: Database, node: NodeRecord, date: int | None, recency: int
) -> None:
    await apply(database, node, put("a"))
    await parse(database, node, {"a": {"title": "word"}}, **({} if date is None else {"a": date}))
    assert (await row(database, node, "a"))["recency"] == recency
    assert await ids_found(database, "word") == ["a"]


async def test_items_of_one_date_get_recencies_of_their_own(database: Database, node: NodeRecord) -> None:
    names = [f"item-{number}" for number in range(300)]
    await apply(database, node, *(put(name) for name in names))
    await parse(database, node, {name: {} for name in names}, **dict.fromkeys(names, NOW - DAY))
    recencies = {(await row(database, node, name))["recency"] for name in names[::50]}
    assert len(recencies) == 6
    assert all(NOW - DAY <= recency < NOW - DAY + 300 for recency in recencies)


async def test_a_date_taken_back_lets_the_item_return_to_its_first_sight(database: Database, node: NodeRecord) -> None:
    await apply(database, node, put("a"))
    await parse(database, node, {"a": {"title": "word"}}, a=NOW - DAY)
    await apply(database, node, put("a", "new"), now=NOW + SECOND)
    await parse(database, node, {"a": {"title": "word"}})
    assert (await row(database, node, "a"))["recency"] == NOW
    assert await ids_found(database, "word") == ["a"]


async def test_two_items_may_change_places_in_time(database: Database, node: NodeRecord) -> None:
    await apply(database, node, put("a"), put("b"))
    await parse(database, node, {"a": {}, "b": {}}, a=NOW - 2 * DAY, b=NOW - DAY)
    await apply(database, node, put("a", "new"), put("b", "new"))
    await parse(database, node, {"a": {}, "b": {}}, a=NOW - DAY, b=NOW - 2 * DAY)
    a, b = [(await row(database, node, name))["recency"] for name in "ab"]
    assert (a // SECOND, b // SECOND) == ((NOW - DAY) // SECOND, (NOW - 2 * DAY) // SECOND)


async def test_the_words_follow_every_change(database: Database, node: NodeRecord) -> None:
    await apply(database, node, put("a"), put("b"), put("c"))
    await parse(database, node, {name: {"title": f"common {name}{name}"} for name in "abc"})
    assert await ids_found(database, "common") == ["c", "b", "a"]
    await in_step(database)
    await apply(database, node, put("a", "new"))
    await in_step(database)
    await parse(database, node, {"a": {"title": "rewritten"}})
    assert await ids_found(database, "common") == ["c", "b"]
    assert await ids_found(database, "rewritten") == ["a"]
    await in_step(database)
    await apply(database, node, Remove(("b",)), put("b"))
    await in_step(database)
    await apply(database, node, Remove(("b",)))
    assert await ids_found(database, "common") == ["c"]
    await in_step(database)
    await apply(database, node, Put(SeenItem("c", "", quarantine="too large"), Place.LAST, Place.LAST))
    assert await ids_found(database, "common") == []
    await in_step(database)
    await apply(database, node, Clear())
    assert await ids_found(database, "rewritten") == []


async def test_erasing_removing_and_clearing_take_the_words_along(database: Database, node: NodeRecord) -> None:
    for take_away in (nodes.erase_items, nodes.remove):
        await apply(database, node, put("a"))
        await parse(database, node, {"a": {"title": "word"}})
        assert await ids_found(database, "word") == ["a"]
        await database.write(take_away, node.id)
        assert await ids_found(database, "word") == []
        await in_step(database)


async def test_items_of_another_parser_or_version_are_parsed_again(database: Database, node: NodeRecord) -> None:
    await apply(database, node, put("a"), put("b"))
    await parse(database, node, {"a": {}, "b": {}})
    assert await database.write(items.mark_to_parse, node.id, "notes", 1) == 0
    assert await waiting(database, node) == []
    assert await database.write(items.mark_to_parse, node.id, "notes", 2) == 2
    assert await waiting(database, node) == ["a", "b"]
    await parse(database, node, {"a": {}, "b": {}})
    assert await database.write(items.mark_to_parse, node.id, None, None) == 2


@ON_FILES
async def test_what_waits_to_be_parsed_is_found_without_reading_the_node(database: Database, node: NodeRecord) -> None:
    plan = await database.read(
        lambda conn: conn.exec_driver_sql(
            f"EXPLAIN QUERY PLAN {items._TO_PARSE.compile(dialect=conn.dialect)}", (node.id, 100, 0)
        ).all()
    )
    assert ["ix_newsstand_item_to_parse" in step[3] for step in plan] == [True]
