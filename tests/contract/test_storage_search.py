"""Searching: whatever a person types, newest first, page by page."""

from __future__ import annotations

import json
from typing import Any

import pytest
from sqlalchemy import Connection, Engine, event

from newsstand.errors import ConfigurationError
from newsstand.model import NodeRecord, SeenItem
from newsstand.rules.reconcile import Place, Put
from newsstand.storage.database import Database
from newsstand.storage.schema import full_text
from newsstand.storage.statements import search
from tests.contract._storage import JULIET, NOW, ON_FILES, SECOND, SERVICE, apply, ids_found, make_node, parse, put

ROMEO = "romeo@example.org"


async def fill(database: Database, node: NodeRecord, **parsed: dict[str, Any]) -> None:
    """Items in this order, the last the newest."""
    await apply(database, node, *(put(item_id) for item_id in parsed))
    await parse(database, node, parsed)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("romeo", ["plays", "letters"]),
        ("ROMEO", ["plays", "letters"]),
        ("romeo juliet", ["plays"]),
        ("juliet, romeo!", ["plays"]),
        ("cafe", ["code"]),
        ("CAFÉ", ["code"]),
        ("nobody", []),
        ('"', []),
        ("", []),
        ("-", []),
        ('"romeo', ["plays", "letters"]),
        ('romeo"', ["plays", "letters"]),
        ('"romeo juliet"', ["plays"]),
        ("NEAR(romeo juliet)", []),
        ("NEAR(", ["code"]),
        ("-romeo", ["plays", "letters"]),
        ("romeo OR code", []),
        ("romeo NOT juliet", []),
        ("C++", ["code"]),
        ("R&D", ["code"]),
        ("node:x", ["code"]),
        ("terms:romeo", []),
        ("scope:n1", []),
        ("n1", []),
        ("rom*", []),
        ("^romeo", ["plays", "letters"]),
        ("romeo + juliet", ["plays"]),
        ("{terms}: romeo", []),
        ("'; DROP TABLE newsstand_item; --", []),
        ("\0", []),
        ("\ud800", []),
        ("%", []),
        ("日", ["code"]),
        ("日本", ["code"]),
    ],
)
async def test_nothing_that_a_person_types_is_syntax(
    database: Database, node: NodeRecord, text: str, found: list[str]
) -> None:
    await fill(
        database,
        node,
        code={"title": "C++ for R&D near a Café", "body": "node:x", "tags": ["日本語"]},
        letters={"title": "Letters to Romeo"},
        plays={"title": "Romeo and Juliet"},
    )
    assert await ids_found(database, text) == found


async def test_a_text_of_very_many_words_is_refused_clearly(database: Database, node: NodeRecord) -> None:
    await fill(database, node, a={"text": " ".join(f"w{number}" for number in range(300))})
    assert await ids_found(database, " ".join(f"w{number}" for number in range(search.MAX_WORDS))) == ["a"]
    assert await ids_found(database, "w1 " * 5_000) == ["a"]
    with pytest.raises(ConfigurationError, match=str(search.MAX_WORDS)):
        await ids_found(database, " ".join(f"w{number}" for number in range(search.MAX_WORDS + 1)))


async def test_a_text_that_is_very_long_is_refused_before_it_is_cut(database: Database, node: NodeRecord) -> None:
    await fill(database, node, a={"text": "word"})
    assert await ids_found(database, "word" + "\u0f73" * (search.MAX_TEXT - 4)) == ["a"]
    with pytest.raises(ConfigurationError, match=str(search.MAX_TEXT)):
        search.Query("word" + "\u0f73" * search.MAX_TEXT)


RECORD = {
    "title": "Scones",
    "rating": 5,
    "weight": 0.5,
    "vegan": True,
    "baked": False,
    "one": 1,
    "tags": ["tea", "cream", 7, True],
    "author": {"name": "Juliet", "home": {"city": "Verona"}},
    "authors": [{"name": "Romeo"}],
    "nothing": None,
    "größe": "groß",
    'qu"ote': "x",
    "dot.ted": "x",
    "back\\slash": "yes",
    "new\nline": "yes",
    "": "empty",
    "$": "dollar",
    "a[0]": "bracket",
    "*": "star",
    "text": "5",
}


@pytest.mark.parametrize(
    ("field", "value", "holds"),
    [
        ("title", "Scones", True),
        ("title", "scones", False),
        ("title", "Scone", False),
        ("title", "' OR 1=1 --", False),
        ("rating", 5, True),
        ("rating", 5.0, True),
        ("rating", "5", False),
        ("text", "5", True),
        ("text", 5, False),
        ("weight", 0.5, True),
        ("vegan", True, True),
        ("vegan", False, False),
        ("vegan", 1, False),
        ("baked", False, True),
        ("baked", 0, False),
        ("one", 1, True),
        ("one", True, False),
        ("tags", "tea", True),
        ("tags", "milk", False),
        ("tags", 7, True),
        ("tags", True, True),
        ("tags", '["tea"]', False),
        ("author.name", "Juliet", True),
        ("author.home.city", "Verona", True),
        ("author", "Juliet", False),
        ("author", True, False),
        ("authors", "Romeo", False),
        ("authors.name", "Romeo", False),
        ("nothing", "null", False),
        ("missing", "x", False),
        ("missing.name", "x", False),
        ("title.deeper", "Scones", False),
        ("größe", "groß", True),
        ("back\\slash", "yes", True),
        ("new\nline", "yes", True),
        ("dot.ted", "x", False),
        ("$", "dollar", True),
        ("a[0]", "bracket", True),
        ("tags[0]", "tea", False),
        ("*", "star", True),
        ("#", "x", False),
    ],
)
async def test_a_field_equals_a_value_of_its_own_kind(
    database: Database, node: NodeRecord, field: str, value: str | float | bool, holds: bool
) -> None:
    await fill(database, node, record=RECORD, other={"title": "Crumpets"})
    await apply(database, node, put("unparsed"))
    assert await ids_found(database, where={field: value}) == (["record"] if holds else [])


@pytest.mark.parametrize("field", ["", ".", "a.", ".a", "a..b", 'qu"ote', '"', "a\0b", "a\ud800"])
async def test_a_field_that_is_none_is_refused(database: Database, field: str) -> None:
    with pytest.raises(ConfigurationError, match="not a field"):
        await ids_found(database, where={field: "x"})


@pytest.mark.parametrize("value", [None, 2**63, float("nan"), float("inf"), "a\ud800", b"x", ["x"]])
async def test_a_value_that_no_field_can_have_is_refused(database: Database, value: Any) -> None:
    with pytest.raises(ConfigurationError, match="cannot equal"):
        await ids_found(database, where={"title": value})


async def test_all_that_is_given_must_hold(database: Database, node: NodeRecord) -> None:
    other = await make_node(database, "other")
    await fill(database, node, a={"title": "tea", "n": 1, "m": 1}, b={"title": "tea", "n": 1, "m": 2})
    await fill(database, other, c={"title": "tea", "n": 1, "m": 1})
    assert await ids_found(database, "tea", node="blog", where={"n": 1, "m": 1}) == ["a"]
    assert await ids_found(database, "tea", where={"m": 1}) == ["c", "a"]
    assert await ids_found(database, "milk", where={"m": 1}) == []


async def test_types_services_nodes_and_accounts_narrow_a_search(database: Database) -> None:
    places = {
        "a": await make_node(database, "blog", type="blog"),
        "b": await make_node(database, "blog", type="blog", account=ROMEO),
        "c": await make_node(database, "blog", type="note", service=JULIET),
        "d": await make_node(database, "notes", type="note"),
    }
    for number, (item_id, place) in enumerate(places.items()):
        await apply(database, place, put(item_id), now=NOW + number)
        await parse(database, place, {item_id: {"title": "word"}})
    for text in (None, "word"):
        assert await ids_found(database, text) == ["d", "c", "b", "a"]
        assert await ids_found(database, text, type="blog") == ["b", "a"]
        assert await ids_found(database, text, service=SERVICE) == ["d", "b", "a"]
        assert await ids_found(database, text, node="blog") == ["c", "b", "a"]
        assert await ids_found(database, text, account=ROMEO) == ["b"]
        assert await ids_found(database, text, account=JULIET, node="blog", service=SERVICE) == ["a"]
        assert await ids_found(database, text, type="nothing") == []


async def test_a_search_over_more_nodes_than_the_index_is_asked_for_finds_the_same(database: Database) -> None:
    count = full_text.MAX_SCOPES + 10
    for number in range(count):
        place = await make_node(database, f"node-{number}", type="many" if number else "one")
        await apply(database, place, put(f"item-{number}"), now=NOW + number)
        await parse(database, place, {f"item-{number}": {"title": "word"}})
    newest = [f"item-{number}" for number in reversed(range(1, count))]
    assert await ids_found(database, "word", type="many", limit=100) == newest
    page = await database.scan(search.find, search.Query("word", type="many"))
    assert page.total == count - 1


@pytest.mark.parametrize("text", [None, "word"])
async def test_pages_follow_each_other_without_gaps_or_repeats(
    database: Database, node: NodeRecord, text: str | None
) -> None:
    names = [f"item-{number}" for number in range(50)]
    await fill(database, node, **{name: {"title": "word"} for name in names})
    found: list[str] = []
    after = None
    for page_number in range(8):
        page = await database.scan(search.find, search.Query(text, limit=7, after=after))
        assert page.total == 50 + page_number  # what came meanwhile is counted, and newer than the cursor
        found += [item.id for item in page.items]
        after = page.next
        await apply(database, node, put(f"late-{page_number}"), now=NOW + SECOND + page_number)
        await parse(database, node, {f"late-{page_number}": {"title": "word"}})
    assert after is None
    assert found == names[::-1]


async def test_a_page_that_holds_all_has_no_next(database: Database, node: NodeRecord) -> None:
    await fill(database, node, **{f"item-{number}": {"title": "word"} for number in range(5)})
    for text in (None, "word"):
        assert (await database.scan(search.find, search.Query(text, limit=5))).next is None
        assert (await database.scan(search.find, search.Query(text, limit=4))).next is not None


async def test_pages_may_be_longer_than_a_list_of_keys(database: Database, node: NodeRecord) -> None:
    names = [f"item-{number}" for number in range(900)]
    await fill(database, node, **{name: {"title": "word"} for name in names})
    assert await ids_found(database, "word", limit=900) == names[::-1]


async def test_common_words_are_counted_only_so_far(
    database: Database, node: NodeRecord, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(search, "MAX_TOTAL", 20)
    await fill(database, node, **{f"item-{number}": {"title": "word", "n": 1} for number in range(30)})
    for query in (search.Query("word"), search.Query(), search.Query("word", where={"n": 1})):
        assert (await database.scan(search.find, query)).total == 20


@pytest.mark.parametrize("limit", [0, -1, 1001])
def test_a_limit_out_of_range_is_refused(limit: int) -> None:
    with pytest.raises(ConfigurationError, match="limit"):
        search.Query(limit=limit)


async def test_items_in_quarantine_are_not_found(database: Database, node: NodeRecord) -> None:
    await fill(database, node, a={"title": "word"}, b={"title": "word"})
    await apply(database, node, Put(SeenItem("a", "", quarantine="too deep"), Place.LAST, Place.LAST))
    assert await ids_found(database) == ["b"]
    assert await ids_found(database, "word") == ["b"]


@ON_FILES
async def test_a_search_by_words_reads_no_more_than_its_page(database: Database, node: NodeRecord) -> None:
    """The index is asked first and gives newest first: nothing is sorted, no list of all matches is made."""
    await fill(database, node, **{f"item-{number}": {"title": "word"} for number in range(50)})
    asked: list[tuple[str, Any]] = []

    def note(_: Any, __: Any, statement: str, parameters: Any, *___: Any) -> None:
        asked.append((statement, parameters))

    event.listen(Engine, "before_cursor_execute", note)
    try:
        for query in (search.Query("word"), search.Query("word", node="blog", where={"n": 1}, after=NOW)):
            await database.scan(search.find, query)
    finally:
        event.remove(Engine, "before_cursor_execute", note)

    def plan_of(conn: Connection, statement: str, parameters: Any) -> list[str]:
        return [step[3] for step in conn.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", parameters)]

    for statement, parameters in asked:
        plan = await database.scan(plan_of, statement, parameters)
        assert not any("TEMP B-TREE" in step or "LIST SUBQUERY" in step for step in plan), (statement, plan)
        assert not any(step.startswith("SCAN newsstand_item") and "VIRTUAL" not in step for step in plan), plan


@ON_FILES
async def test_parsed_data_is_stored_as_json_that_the_database_reads(database: Database, node: NodeRecord) -> None:
    await fill(database, node, a=RECORD)
    stored = await database.read(lambda conn: conn.exec_driver_sql("SELECT parsed FROM newsstand_item").scalar_one())
    assert json.loads(stored) == RECORD
    assert "größe" in stored
