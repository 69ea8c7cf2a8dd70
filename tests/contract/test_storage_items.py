"""Carrying out steps: items, order, revisions and the log, in one go, and no row written without need."""

from __future__ import annotations

import pytest

from newsstand.errors import ConfigurationError, DatabaseError
from newsstand.model import ItemsRequest, NodeRecord, SeenItem, digest
from newsstand.rules.behaviour import Take
from newsstand.rules.reconcile import Clear, Move, Place, Put, Remove, plan_listing
from newsstand.storage.database import Database
from newsstand.storage.statements import answers, items
from tests.contract._storage import (
    NOW,
    SECOND,
    apply,
    find_node,
    item_ids,
    log,
    make_node,
    parse,
    put,
    row,
    rows,
    seen,
    xml_of,
)


async def test_new_items_go_last_in_the_order_they_came(database: Database, node: NodeRecord) -> None:
    applied = await apply(database, node, put("a"), put("b"), put("c"))
    assert (applied.revision, applied.count, applied.inserted) == (1, 3, ("a", "b", "c"))
    assert item_ids(await rows(database, node)) == ["a", "b", "c"]
    assert [stored["recency"] for stored in await rows(database, node)] == [NOW - 2, NOW - 1, NOW]


@pytest.mark.parametrize(
    ("place", "order"),
    [(Place.LAST, ["a", "c", "b"]), (Place.FIRST, ["b", "a", "c"]), (Place.KEEP, ["a", "b", "c"])],
)
async def test_an_overwritten_item_goes_where_its_service_puts_it(
    database: Database, node: NodeRecord, place: Place, order: list[str]
) -> None:
    await apply(database, node, put("a"), put("b"), put("c"))
    applied = await apply(database, node, Put(seen("b", "new"), Place.LAST, place))
    assert (applied.inserted, applied.overwritten) == ((), ("b",))
    assert item_ids(await rows(database, node)) == order


async def test_a_new_item_goes_first_where_its_service_puts_it_there(database: Database, node: NodeRecord) -> None:
    for item_id in "abc":
        await apply(database, node, Put(seen(item_id), Place.FIRST, Place.FIRST))
    assert item_ids(await rows(database, node)) == ["c", "b", "a"]


async def test_an_item_that_is_right_already_is_not_written(database: Database, node: NodeRecord) -> None:
    await apply(database, node, put("a"), put("b"))
    before = await rows(database, node)
    applied = await apply(database, node, put("b"), now=NOW + SECOND)
    assert (applied.revision, applied.overwritten) == (1, ("b",))
    assert await rows(database, node) == before
    assert len(await log(database, node)) == 2


async def test_a_listing_that_shows_what_is_held_writes_nothing(database: Database, node: NodeRecord) -> None:
    listed = [seen(f"item-{number}") for number in range(50)]
    await apply(database, node, *plan_listing([], listed))
    before = await rows(database, node)
    steps = plan_listing(await database.read(items.held, node.id), listed)
    assert steps == []
    assert (await apply(database, node, *steps, now=NOW + SECOND)).revision == 1
    assert await rows(database, node) == before


async def test_one_overwritten_item_among_many_is_the_only_row_rewritten(database: Database, node: NodeRecord) -> None:
    await apply(database, node, *(put(f"item-{number}") for number in range(10)))
    before = {stored["item_id"]: stored for stored in await rows(database, node)}
    await apply(database, node, Put(seen("item-3", "new"), Place.LAST, Place.KEEP), now=NOW + SECOND)
    after = {stored["item_id"]: stored for stored in await rows(database, node)}
    assert [item_id for item_id in after if after[item_id] != before[item_id]] == ["item-3"]
    changed = after["item-3"]
    assert (changed["revision"], changed["updated"], changed["first_seen"]) == (2, NOW + SECOND, NOW)
    assert changed["recency"] == before["item-3"]["recency"]
    assert changed["to_parse"]


async def test_what_is_not_exact_moves_and_keeps_its_contents(database: Database, node: NodeRecord) -> None:
    await apply(database, node, put("a", "old"), put("b"))
    await apply(database, node, put("a", "", exact=False))
    assert item_ids(await rows(database, node)) == ["b", "a"]
    assert (await row(database, node, "a"))["xml"] == xml_of("a", "old")


async def test_removing_reports_what_was_not_there(database: Database, node: NodeRecord) -> None:
    await apply(database, node, put("a"), put("b"))
    applied = await apply(database, node, Remove(("a", "ghost")))
    assert (applied.removed, applied.missed, applied.count, applied.revision) == (("a",), ("ghost",), 1, 2)
    applied = await apply(database, node, Remove(("ghost",)))
    assert (applied.removed, applied.revision) == ((), 2)


async def test_clearing_takes_everything_out_of_this_node_alone(database: Database, node: NodeRecord) -> None:
    other = await make_node(database, "other")
    await apply(database, node, put("a"), put("b"))
    await apply(database, other, put("a"))
    applied = await apply(database, node, Clear())
    assert (sorted(applied.removed), applied.count) == (["a", "b"], 0)
    assert item_ids(await rows(database, other)) == ["a"]
    assert (await apply(database, node, Clear())).revision == applied.revision


async def test_what_is_retracted_and_published_again_in_one_go_is_there(database: Database, node: NodeRecord) -> None:
    await apply(database, node, put("a", "old"), put("b"))
    applied = await apply(database, node, Remove(("a",)), put("a", "new"))
    assert (applied.inserted, applied.removed, applied.count) == (("a",), ("a",), 2)
    assert item_ids(await rows(database, node)) == ["b", "a"]
    assert (await row(database, node, "a"))["xml"] == xml_of("a", "new")
    assert await log(database, node, after=1) == [(2, "put", "a")]


async def test_what_ends_as_it_was_is_not_written(database: Database, node: NodeRecord) -> None:
    await apply(database, node, put("a", "old"), put("b"))
    before = await rows(database, node)
    applied = await apply(
        database,
        node,
        put("b", "new"),
        put("b"),
        Remove(("a",)),
        Put(seen("a", "old"), Place.FIRST, Place.FIRST),
        Move(digest("a"), before[0]["position"]),
        now=NOW + SECOND,
    )
    assert applied.revision == 1
    assert await rows(database, node) == before


async def test_what_is_published_and_retracted_in_one_go_leaves_nothing(database: Database, node: NodeRecord) -> None:
    applied = await apply(database, node, put("a"), Remove(("a",)))
    assert (applied.inserted, applied.removed, applied.count, applied.revision) == ((), ("a",), 0, 0)
    assert await log(database, node) == []


async def test_a_move_is_a_new_revision_and_no_change_of_the_item(database: Database, node: NodeRecord) -> None:
    await apply(database, node, put("a"), put("b"))
    applied = await apply(database, node, Move(digest("a"), 7))
    assert applied.revision == 2
    assert item_ids(await rows(database, node)) == ["b", "a"]
    assert (await row(database, node, "a"))["revision"] == 1
    assert await log(database, node, after=1) == []


async def test_the_log_tells_puts_and_retracts_by_revision(database: Database, node: NodeRecord) -> None:
    await apply(database, node, put("a"), put("b"))
    await apply(database, node, put("b", "new"), Remove(("a",)), put("c"))
    assert await log(database, node) == [
        (1, "put", "a"),
        (1, "put", "b"),
        (2, "put", "b"),
        (2, "put", "c"),
        (2, "retract", "a"),
    ]


async def test_batches_beyond_the_limit_of_a_list_are_stored_looked_up_and_removed(
    database: Database, node: NodeRecord
) -> None:
    names = [f"item-{number}" for number in range(1_001)]
    assert (await apply(database, node, *(put(name) for name in names))).count == 1_001
    assert await database.read(items.held_ids, node.id) == names
    backwards = names[::-1]
    found = await database.read(items.xml_by_ids, node.id, backwards)
    assert found == [xml_of(name) for name in backwards]
    in_node_order = await database.read(items.xml_by_ids, node.id, backwards, node_order=True)
    assert in_node_order == found[::-1]
    whole = await database.scan(
        answers.take_items, node.id, ItemsRequest(node.key, tuple(backwards)), Take.IDS_IN_NODE_ORDER
    )
    assert [item.id for item in whole] == names
    assert sorted(await database.read(items.which, node.id, [*names, "ghost"])) == sorted(names)
    applied = await apply(database, node, Remove(tuple(names[1:])))
    assert (len(applied.removed), applied.count) == (1_000, 1)
    assert (await find_node(database, node.id)).item_count == 1


@pytest.mark.parametrize(
    "item_id",
    ["x" * 5_000, "ü" * 2_500, "", " ", "a'b\"c", "%s", "日本語", "a\nb"],
    ids=lambda item_id: repr(item_id[:9]),
)
async def test_an_item_id_may_be_any_text_that_xml_carries(database: Database, node: NodeRecord, item_id: str) -> None:
    other = item_id + "x"
    await apply(database, node, Put(SeenItem(item_id, "<one/>"), Place.LAST, Place.LAST))
    await apply(database, node, Put(SeenItem(other, "<other/>"), Place.LAST, Place.LAST))
    assert await database.read(items.held_ids, node.id) == [item_id, other]
    assert await database.read(items.xml_by_ids, node.id, [item_id]) == ["<one/>"]
    await apply(database, node, Remove((item_id,)))
    assert await database.read(items.held_ids, node.id) == [other]


@pytest.mark.parametrize("item_id", ["a\0b", "a\ud800b"])
async def test_an_item_id_that_xml_cannot_carry_is_refused_and_nothing_of_its_batch_stored(
    database: Database, node: NodeRecord, item_id: str
) -> None:
    with pytest.raises(ConfigurationError, match="item id"):
        await apply(database, node, put("a"), Put(SeenItem(item_id, "<item/>"), Place.LAST, Place.LAST))
    with pytest.raises(ConfigurationError, match="an item"):
        await apply(database, node, put("a"), Put(SeenItem("b", f"<item>{item_id}</item>"), Place.LAST, Place.LAST))
    assert await rows(database, node) == []
    assert await database.read(items.which, node.id, [item_id]) == []
    assert await database.read(items.xml_by_ids, node.id, [item_id, "a"]) == []


async def test_items_without_a_payload_are_items(database: Database, node: NodeRecord) -> None:
    empty = SeenItem("a", '<item xmlns="http://jabber.org/protocol/pubsub" id="a"/>', has_payload=False)
    await apply(database, node, Put(empty, Place.LAST, Place.LAST))
    assert await database.read(items.xml_of_all, node.id) == [empty.xml]


async def test_items_in_quarantine_are_counted_and_left_out_of_whole_items(
    database: Database, node: NodeRecord
) -> None:
    poison = SeenItem("poison", "", quarantine="nested too deep")
    applied = await apply(database, node, put("a"), Put(poison, Place.LAST, Place.LAST), put("b"))
    assert (applied.count, applied.quarantined) == (3, 1)
    record = await find_node(database, node.id)
    assert (record.item_count, record.quarantined) == (3, 1)
    whole = await database.scan(answers.take_items, node.id, ItemsRequest(node.key), Take.ALL)
    assert [item.id for item in whole] == ["a", "b"]
    applied = await apply(database, node, put("poison", "cured"))
    assert (applied.count, applied.quarantined) == (3, 0)
    assert (await row(database, node, "poison"))["quarantine"] is None
    await apply(database, node, Put(poison, Place.LAST, Place.LAST))
    assert (await apply(database, node, Clear())).quarantined == 0


async def test_recencies_are_unique_over_all_nodes_however_the_clock_goes(database: Database, node: NodeRecord) -> None:
    other = await make_node(database, "other")
    for number in range(5):
        await apply(database, node, *(put(f"{number}-{i}") for i in range(20)), now=NOW - number)
        await apply(database, other, *(put(f"{number}-{i}") for i in range(20)), now=NOW)
    stored = [*await rows(database, node), *await rows(database, other)]
    assert len({item["recency"] for item in stored}) == len(stored) == 200
    for number in range(5):  # what came together is in order
        together = [r["recency"] for r in await rows(database, node) if r["item_id"].startswith(f"{number}-")]
        assert together == sorted(together)


async def test_a_date_that_thousands_of_items_share_costs_no_more_than_others(
    database: Database, node: NodeRecord
) -> None:
    names = [f"item-{number}" for number in range(3_000)]
    await apply(database, node, *(put(name) for name in names))
    midnight = NOW - 86_400 * SECOND
    statements = 0

    def counting(*_: object) -> None:
        nonlocal statements
        statements += 1

    from sqlalchemy import Engine, event

    event.listen(Engine, "before_cursor_execute", counting)
    try:
        for start in range(0, 3_000, 100):
            batch = names[start : start + 100]
            await parse(database, node, {name: {} for name in batch}, **dict.fromkeys(batch, midnight))
    finally:
        event.remove(Engine, "before_cursor_execute", counting)
    recencies = {stored["recency"] for stored in await rows(database, node)}
    assert recencies == set(range(midnight, midnight + 3_000))
    assert statements < 30 * 200


async def test_steps_for_a_node_that_is_not_there_are_an_error(database: Database, node: NodeRecord) -> None:
    with pytest.raises(DatabaseError):
        await database.write(items.apply, node.id + 1, [put("a")], NOW)


@pytest.mark.parametrize(
    ("take", "limit", "expected"),
    [
        (Take.ALL, None, "abcde"),
        (Take.LAST, 2, "de"),
        (Take.LAST_REVERSED, 2, "ed"),
        (Take.FIRST, 2, "ab"),
        (Take.FIRST_REVERSED, 2, "ba"),
        (Take.LAST, 99, "abcde"),
        (Take.IDS, None, "dbe"),
        (Take.IDS_EACH_TIME, None, "dbed"),
        (Take.IDS_IN_NODE_ORDER, None, "bde"),
    ],
)
async def test_answers_hold_what_was_asked_for_in_the_order_it_was_foreseen(
    database: Database, node: NodeRecord, take: Take, limit: int | None, expected: str
) -> None:
    await apply(database, node, *(put(item_id) for item_id in "abcde"))
    request = ItemsRequest(node.key, ("d", "b", "ghost", "e", "d") if limit is None else (), limit)
    assert await database.read(answers.take_xml, node.id, request, take) == [xml_of(item_id) for item_id in expected]
    whole = await database.scan(answers.take_items, node.id, request, take)
    assert [item.id for item in whole] == list(expected)


@pytest.mark.parametrize("count", [1, 2, 5, 6])
async def test_ids_are_found_by_where_they_stand_from_either_end(
    database: Database, node: NodeRecord, count: int
) -> None:
    ids = list("abcdef"[:count])
    await apply(database, node, *(put(item_id) for item_id in ids))
    assert await database.read(items.ids_at, node.id, range(count), count) == ids
    assert await database.read(items.ids_at, node.id, (count - 1, 0), count) == [ids[-1], ids[0]]
