"""Values that one database or another would refuse, or change: they fare alike on all."""

from __future__ import annotations

from typing import Any

import pytest

from newsstand.errors import ConfigurationError
from newsstand.model import NodeRecord
from newsstand.storage.database import Database
from newsstand.storage.statements import items, search
from tests.contract._storage import apply, find_node, ids_found, make_node, parse, put, row

LONG = "l\u00f6ng " * 1_000


@pytest.mark.parametrize("text", ["a\0b", "a\ud800b"])
async def test_what_no_database_can_keep_is_refused(database: Database, node: NodeRecord, text: str) -> None:
    for step in (put(text), put("a", text)):
        with pytest.raises(ConfigurationError):
            await apply(database, node, step)
    with pytest.raises(ConfigurationError):
        await make_node(database, text)
    assert await database.read(items.held_ids, node.id) == []


async def test_long_ids_and_names_are_kept(database: Database) -> None:
    node = await make_node(database, LONG)
    await apply(database, node, put(LONG), put(LONG + "!"))
    assert await database.read(items.held_ids, node.id) == [LONG, LONG + "!"]
    assert (await find_node(database, node.id)).key.node == LONG


NUMBERS: dict[str, Any] = {
    "largest": 2**63 - 1,
    "smallest": -(2**63),
    "exponent": 1e23,
    "whole": 1e16,
    "huge": 1.7976931348623157e308,
    "tiny": 5e-324,
    "tenth": 0.1,
    "one": 1.0,
    "list": [1e300, {"deep": -1e22}],
}


async def test_numbers_come_back_as_they_were(database: Database, node: NodeRecord) -> None:
    await apply(database, node, put("a"))
    await parse(database, node, {"a": NUMBERS})
    found = (await row(database, node, "a"))["parsed"]
    assert found == NUMBERS
    assert {name: type(value) for name, value in found.items()} == {n: type(v) for n, v in NUMBERS.items()}


@pytest.mark.parametrize("field", [name for name in NUMBERS if name != "list"])
async def test_numbers_are_found(database: Database, node: NodeRecord, field: str) -> None:
    await apply(database, node, put("a"), put("b"))
    await parse(database, node, {"a": NUMBERS, "b": {field: "1"}})
    assert await ids_found(database, where={field: NUMBERS[field]}) == ["a"]


@pytest.mark.parametrize(
    ("where", "found"),
    [
        ({"n": 1}, ["a", "b"]),
        ({"n": 1.0}, ["a", "b"]),
        ({"n": True}, ["c"]),
        ({"n": "1"}, ["d"]),
        ({"tags": "tea"}, ["a"]),
        ({"tags.0": "tea"}, []),
        ({"o": "x"}, []),
        ({"o.p": "x"}, ["a"]),
        ({"n": "a\0"}, []),
        ({"text": "\u00e9"}, ["b"]),
        ({"text": "e\u0301"}, []),
    ],
)
async def test_a_field_equals_or_holds_a_value(
    database: Database, node: NodeRecord, where: dict[str, Any], found: list[str]
) -> None:
    await apply(database, node, put("a"), put("b"), put("c"), put("d"))
    await parse(
        database,
        node,
        {
            "a": {"n": 1, "tags": ["tea", ["nested"]], "o": {"p": "x"}},
            "b": {"n": [1.0, 2], "text": "\u00e9"},
            "c": {"n": True},
            "d": {"n": "1"},
        },
    )
    assert sorted(await ids_found(database, where=where)) == found


@pytest.mark.parametrize("text", ["\0", "a\0b", "\ud800", "\ud800a"])
async def test_a_search_for_what_no_text_holds_finds_the_words_around_it(
    database: Database, node: NodeRecord, text: str
) -> None:
    await apply(database, node, put("a"))
    await parse(database, node, {"a": {"title": "a b"}})
    found = await database.scan(search.find, search.Query(text))
    assert [item.id for item in found.items] == (["a"] if "a" in text else [])


@pytest.mark.parametrize("column", ["service", "node", "type", "account"])
async def test_a_search_in_what_cannot_be_finds_nothing(database: Database, node: NodeRecord, column: str) -> None:
    await apply(database, node, put("a"))
    given: dict[str, Any] = {column: "a\0b"}
    assert (await database.scan(search.find, search.Query(**given))).items == []


async def test_a_failed_parse_may_say_anything(database: Database, node: NodeRecord) -> None:
    await apply(database, node, put("a"))
    (waiting,) = await database.read(items.to_parse, node.id, 1)
    failed = items.ParsedItem(waiting, None, "odd: a\0b\ud800c", None, "")
    await database.write(items.store_parsed, node.id, [failed], "notes", 1)
    assert (await row(database, node, "a"))[
        "parse_error"
    ] == "odd: a\N{REPLACEMENT CHARACTER}b\N{REPLACEMENT CHARACTER}c"
