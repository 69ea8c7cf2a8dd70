"""Sessions: plain SQLAlchemy over the mapped classes; what hangs on a change follows by itself."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from sqlalchemy import delete, func, insert, select, update
from sqlalchemy.exc import IntegrityError, InvalidRequestError
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import selectinload

from newsstand.errors import ConfigurationError, DatabaseError
from newsstand.model import NodeRecord, digest
from newsstand.storage.database import Database, open_database
from newsstand.storage.mapping import Account, ItemChange, PubsubItem, PubsubNode
from newsstand.storage.orm import sessions
from newsstand.storage.statements import nodes
from tests.contract._storage import (
    JULIET,
    NOW,
    SECOND,
    SERVICE,
    apply,
    find_node,
    ids_found,
    in_step,
    item_ids,
    log,
    make_node,
    parse,
    put,
    row,
    rows,
    xml_of,
)


@pytest.fixture
async def filled(database: Database, node: NodeRecord) -> NodeRecord:
    """The node with three parsed items; revision 1."""
    await apply(database, node, *(put(name) for name in "abc"))
    await parse(database, node, {name: {"title": f"common {name}{name}", "n": i} for i, name in enumerate("abc")})
    return node


@pytest.fixture
async def session(database: Database, filled: NodeRecord) -> AsyncIterator[AsyncSession]:
    async with database.session() as session:
        yield session


async def get_item(session: AsyncSession, node: NodeRecord, item_id: str) -> PubsubItem:
    found = await session.get(PubsubItem, PubsubItem.key(node.id, item_id))
    assert found is not None
    return found


async def get_node(session: AsyncSession, node: NodeRecord) -> PubsubNode:
    found = await session.get(PubsubNode, node.id)
    assert found is not None
    return found


async def test_items_are_read_with_their_node_and_account(session: AsyncSession, filled: NodeRecord) -> None:
    item = await get_item(session, filled, "b")
    assert (item.item_id, item.xml, item.parsed) == ("b", xml_of("b"), {"title": "common bb", "n": 1})
    assert (item.node.name, item.node.service, item.node.account.jid) == ("blog", SERVICE, JULIET)


async def test_queries_may_use_all_that_sqlalchemy_offers(session: AsyncSession, filled: NodeRecord) -> None:
    titles = await session.scalars(
        select(PubsubItem.parsed["title"].as_string())
        .join(PubsubItem.node)
        .where(PubsubNode.name == "blog", PubsubItem.parsed["n"].as_integer() >= 1)
        .order_by(PubsubItem.recency.desc())
    )
    assert titles.all() == ["common cc", "common bb"]
    assert await session.scalar(select(func.count()).select_from(PubsubItem)) == 3


async def test_a_nodes_items_are_never_loaded_by_accident(session: AsyncSession, filled: NodeRecord) -> None:
    node = await get_node(session, filled)
    with pytest.raises(InvalidRequestError, match="raise"):
        _ = node.items
    loaded = await session.scalar(
        select(PubsubNode).options(selectinload(PubsubNode.items)).execution_options(populate_existing=True)
    )
    assert loaded is not None
    assert [item.item_id for item in loaded.items] == ["a", "b", "c"]


async def test_an_added_item_gets_all_that_hangs_on_it(
    database: Database, session: AsyncSession, filled: NodeRecord
) -> None:
    node = await get_node(session, filled)
    session.add(PubsubItem(node=node, item_id="d", xml=xml_of("d")))
    await session.commit()
    assert item_ids(await rows(database, filled)) == ["a", "b", "c", "d"]
    added = await row(database, filled, "d")
    assert (added["digest"], added["content_digest"]) == (digest("d"), digest(xml_of("d")))
    assert (added["revision"], added["to_parse"]) == (2, True)
    assert added["recency"] == added["first_seen"] == added["updated"] > NOW
    assert await log(database, filled, after=1) == [(2, "put", "d")]
    record = await find_node(database, filled.id)
    assert (record.revision, record.item_count, node.revision, node.item_count) == (2, 4, 2, 4)
    await in_step(database)


async def test_items_added_together_keep_their_order(
    database: Database, session: AsyncSession, filled: NodeRecord
) -> None:
    session.add_all(PubsubItem(node_id=filled.id, item_id=f"n{i}", xml=xml_of(f"n{i}")) for i in range(20))
    await session.commit()
    stored = (await rows(database, filled))[3:]
    assert item_ids(stored) == [f"n{i}" for i in range(20)]
    recencies = [item["recency"] for item in stored]
    assert recencies == sorted(set(recencies))
    assert {item["revision"] for item in stored} == {2}


async def test_a_new_node_may_come_with_its_items_and_account(database: Database, session: AsyncSession) -> None:
    account = Account(jid="nurse@example.org")
    node = PubsubNode(account=account, service=SERVICE, name="gossip")
    session.add_all([PubsubItem(node=node, item_id=name, xml=xml_of(name)) for name in "xy"])
    await session.commit()
    record = await find_node(database, node.id)
    assert (record.key.account, record.key.node, record.item_count, record.revision) == (
        "nurse@example.org",
        "gossip",
        2,
        1,
    )
    assert (await make_node(database, "gossip", account="nurse@example.org")).id == node.id
    assert item_ids(await rows(database, record)) == ["x", "y"]
    assert await log(database, record) == [(1, "put", "x"), (1, "put", "y")]


async def test_changed_xml_is_digested_logged_and_parsed_again(
    database: Database, session: AsyncSession, filled: NodeRecord
) -> None:
    item = await get_item(session, filled, "b")
    item.xml = xml_of("b", "new")
    await session.commit()
    stored = await row(database, filled, "b")
    assert stored["content_digest"] == digest(xml_of("b", "new"))
    assert (stored["revision"], stored["to_parse"]) == (2, True)
    assert await log(database, filled, after=1) == [(2, "put", "b")]
    await in_step(database)
    await parse(database, filled, {"b": {"title": "again"}})
    assert await ids_found(database, "again") == ["b"]


async def test_parsed_data_that_the_program_sets_is_found_at_once(
    database: Database, session: AsyncSession, filled: NodeRecord
) -> None:
    item = await get_item(session, filled, "b")
    item.parsed = {"title": "handmade"}
    await session.commit()
    assert await ids_found(database, "handmade") == ["b"]
    assert await ids_found(database, "bb") == []
    assert not (await row(database, filled, "b"))["to_parse"]


async def test_a_change_that_touches_no_words_keeps_them(
    database: Database, session: AsyncSession, filled: NodeRecord
) -> None:
    item = await get_item(session, filled, "b")
    item.publisher = "romeo@example.org"
    await session.commit()
    assert await ids_found(database, "bb") == ["b"]
    assert (await row(database, filled, "b"))["revision"] == 2


async def test_nothing_changed_is_nothing_written(
    database: Database, session: AsyncSession, filled: NodeRecord
) -> None:
    before = await rows(database, filled)
    item = await get_item(session, filled, "b")
    item.xml = str(item.xml)
    await session.commit()
    assert await rows(database, filled) == before
    assert (await find_node(database, filled.id)).revision == 1


async def test_a_deleted_item_goes_with_its_words(
    database: Database, session: AsyncSession, filled: NodeRecord
) -> None:
    await session.delete(await get_item(session, filled, "b"))
    await session.commit()
    assert await ids_found(database, "common") == ["c", "a"]
    assert await log(database, filled, after=1) == [(2, "retract", "b")]
    record = await find_node(database, filled.id)
    assert (record.revision, record.item_count) == (2, 2)


async def test_an_item_may_get_another_id(database: Database, session: AsyncSession, filled: NodeRecord) -> None:
    item = await get_item(session, filled, "b")
    item.item_id, item.xml = "z", xml_of("z")
    await session.commit()
    assert item_ids(await rows(database, filled)) == ["a", "z", "c"]
    assert await log(database, filled, after=1) == [(2, "put", "z"), (2, "retract", "b")]
    await in_step(database)


async def test_an_item_may_move_to_another_node(database: Database, session: AsyncSession, filled: NodeRecord) -> None:
    other = await make_node(database, "other")
    item = await get_item(session, filled, "b")
    item.node = await get_node(session, other)
    await session.commit()
    assert item_ids(await rows(database, filled)) == ["a", "c"]
    assert item_ids(await rows(database, other)) == ["b"]
    assert await ids_found(database, "bb", node="other") == ["b"]
    assert await ids_found(database, "bb", node="blog") == []
    assert ((await find_node(database, filled.id)).item_count, (await find_node(database, other.id)).item_count) == (
        2,
        1,
    )


async def test_an_item_may_be_replaced_in_one_go(database: Database, session: AsyncSession, filled: NodeRecord) -> None:
    await session.delete(await get_item(session, filled, "b"))
    session.add(PubsubItem(node_id=filled.id, item_id="b", xml=xml_of("b", "new")))
    await session.commit()
    assert (await row(database, filled, "b"))["xml"] == xml_of("b", "new")
    assert (await find_node(database, filled.id)).item_count == 3
    assert await log(database, filled, after=1) == [(2, "put", "b")]
    await in_step(database)


async def test_another_recency_moves_the_words_along(
    database: Database, session: AsyncSession, filled: NodeRecord
) -> None:
    item = await get_item(session, filled, "a")
    item.recency = NOW + SECOND
    await session.commit()
    assert await ids_found(database, "common") == ["a", "c", "b"]


async def test_a_node_may_be_renamed(database: Database, session: AsyncSession, filled: NodeRecord) -> None:
    node = await get_node(session, filled)
    node.name = "diary"
    await session.commit()
    assert (await make_node(database, "diary")).id == filled.id
    assert await ids_found(database, "common", node="diary") == ["c", "b", "a"]


async def test_a_deleted_node_goes_with_items_words_and_log(
    database: Database, session: AsyncSession, filled: NodeRecord
) -> None:
    await get_item(session, filled, "a")
    await session.delete(await get_node(session, filled))
    await session.commit()
    assert (await rows(database, filled), await log(database, filled)) == ([], [])
    assert await ids_found(database, "common") == []


async def test_a_deleted_account_goes_with_all_of_its_nodes(
    database: Database, session: AsyncSession, filled: NodeRecord
) -> None:
    account = await session.scalar(select(Account))
    await session.delete(account)
    await session.commit()
    assert await database.scan(lambda conn: list(nodes.iter_nodes(conn))) == []
    assert await ids_found(database, "common") == []
    await in_step(database)


@pytest.mark.parametrize("target", [PubsubNode, Account])
async def test_nodes_and_accounts_may_be_deleted_by_a_statement(
    database: Database, session: AsyncSession, target: Any
) -> None:
    await session.execute(delete(target))
    await session.commit()
    assert await ids_found(database, "common") == []
    await in_step(database)


@pytest.mark.parametrize(
    "statement",
    [
        update(PubsubItem).values(xml="<gone/>"),
        delete(PubsubItem),
        insert(PubsubItem).values(item_id="x"),
    ],
    ids=["update", "delete", "insert"],
)
async def test_a_statement_on_many_items_is_refused_and_says_how(session: AsyncSession, statement: Any) -> None:
    with pytest.raises(ConfigurationError, match="as objects"):
        await session.execute(statement)


async def test_a_flush_is_a_revision_of_its_own(database: Database, session: AsyncSession, filled: NodeRecord) -> None:
    for name in "de":
        session.add(PubsubItem(node_id=filled.id, item_id=name, xml=xml_of(name)))
        await session.flush()
    await session.commit()
    assert await log(database, filled, after=1) == [(2, "put", "d"), (3, "put", "e")]
    assert (await find_node(database, filled.id)).item_count == 5


async def test_what_is_rolled_back_leaves_nothing(
    database: Database, session: AsyncSession, filled: NodeRecord
) -> None:
    before = (await rows(database, filled), await find_node(database, filled.id))
    session.add(PubsubItem(node_id=filled.id, item_id="d", xml=xml_of("d")))
    await session.delete(await get_item(session, filled, "a"))
    await session.flush()
    await session.rollback()
    assert (await rows(database, filled), await find_node(database, filled.id)) == before
    assert session.info[sessions.CHANGED] == set()
    session.add(PubsubItem(node_id=filled.id, item_id="e", xml=xml_of("e")))
    await session.commit()
    assert await log(database, filled, after=1) == [(2, "put", "e")]


async def test_a_session_tells_which_nodes_it_changed(
    database: Database, session: AsyncSession, filled: NodeRecord
) -> None:
    await get_item(session, filled, "a")
    await session.commit()
    assert session.info[sessions.CHANGED] == set()
    session.add(PubsubItem(node_id=filled.id, item_id="d", xml=xml_of("d")))
    await session.flush()
    assert session.info[sessions.CHANGED] == set()
    await session.commit()
    assert session.info[sessions.CHANGED] == {filled.id}


async def test_a_session_builds_on_what_was_written_since_it_read(
    database: Database, session: AsyncSession, filled: NodeRecord
) -> None:
    node = await get_node(session, filled)
    item, other = [await get_item(session, filled, name) for name in "ab"]
    await apply(database, filled, put("d"), put("e"))
    item.publisher = "romeo@example.org"
    await session.delete(other)
    await session.commit()
    record = await find_node(database, filled.id)
    assert (record.revision, record.item_count) == (3, 4)
    assert (node.revision, node.item_count) == (3, 4)
    assert await log(database, filled, after=2) == [(3, "put", "a"), (3, "retract", "b")]


async def test_counts_follow_even_where_the_session_holds_the_new_one_already(
    database: Database, session: AsyncSession, filled: NodeRecord
) -> None:
    """What a session loaded may equal, by chance, what has to be written."""
    node = await get_node(session, filled)
    assert node.item_count == 3
    await apply(database, filled, put("d"))
    await session.delete(await get_item(session, filled, "a"))
    await session.commit()
    assert (await find_node(database, filled.id)).item_count == 3
    await in_step(database)


@pytest.mark.parametrize(
    ("item", "hint"),
    [
        ({"item_id": "d", "xml": "<item"}, "d"),
        ({"item_id": "d", "xml": "<note/>"}, "whole"),
        ({"item_id": "d", "xml": xml_of("e")}, "that id"),
        ({"item_id": "d", "xml": "<!DOCTYPE item [<!ENTITY a 'b'>]>" + xml_of("d")}, "DTD"),
        ({"item_id": "d"}, "XML"),
        ({"xml": xml_of("d")}, "id"),
        ({"item_id": "d\0", "xml": xml_of("d")}, "NUL"),
        ({"item_id": "d", "xml": xml_of("d", "\ud800")}, "surrogate"),
        ({"item_id": "d", "xml": xml_of("d"), "parsed": {"n": float("nan")}}, "JSON"),
        ({"item_id": "d", "xml": xml_of("d"), "parsed": ["a"]}, "dict"),
        ({"item_id": "d", "xml": xml_of("d"), "parsed": {"a": "\0"}}, "NUL"),
    ],
)
async def test_an_item_that_no_service_could_have_sent_is_refused(
    database: Database, session: AsyncSession, filled: NodeRecord, item: dict[str, Any], hint: str
) -> None:
    session.add(PubsubItem(node_id=filled.id, **item))
    with pytest.raises(ConfigurationError, match=hint):
        await session.flush()
    await session.rollback()
    assert len(await rows(database, filled)) == 3


async def test_an_item_without_a_node_is_refused(session: AsyncSession) -> None:
    session.add(PubsubItem(item_id="d", xml=xml_of("d")))
    with pytest.raises(ConfigurationError, match="node"):
        await session.flush()


async def test_an_item_that_is_there_already_cannot_be_added_twice(session: AsyncSession, filled: NodeRecord) -> None:
    session.add(PubsubItem(node_id=filled.id, item_id="a", xml=xml_of("a")))
    with pytest.raises(IntegrityError):
        await session.flush()


async def test_a_session_that_reads_keeps_nobody_from_writing(
    database: Database, session: AsyncSession, filled: NodeRecord
) -> None:
    await get_item(session, filled, "a")
    await apply(database, filled, put("d"))
    assert await session.scalar(select(func.count()).select_from(PubsubItem)) == 4


async def test_writers_take_turns(database: Database, filled: NodeRecord) -> None:
    """The synchroniser and several sessions at once: nobody is told that the database is locked."""

    async def by_session(number: int) -> None:
        for i in range(5):
            async with database.session() as session:
                await session.scalar(select(func.max(PubsubItem.recency)))
                session.add(PubsubItem(node_id=filled.id, item_id=f"s{number}-{i}", xml=xml_of(f"s{number}-{i}")))
                await session.commit()

    async def by_writer() -> None:
        for i in range(20):
            await apply(database, filled, put(f"w{i}"))

    await asyncio.gather(by_writer(), *(by_session(number) for number in range(4)))
    record = await find_node(database, filled.id)
    assert (record.item_count, record.revision) == (43, 41)
    assert len({item["recency"] for item in await rows(database, filled)}) == 43
    assert await database.scan(lambda c: c.scalar(select(func.count()).select_from(ItemChange))) == 43


async def test_a_program_may_keep_tables_of_its_own_beside_ours(database: Database, session: AsyncSession) -> None:
    connection = await session.connection()
    await connection.exec_driver_sql("CREATE TABLE recipe (name TEXT)")
    await connection.exec_driver_sql("INSERT INTO recipe VALUES ('scones')")
    await session.commit()
    assert await database.read(lambda conn: conn.exec_driver_sql("SELECT * FROM recipe").scalar()) == "scones"


async def test_a_closed_database_gives_no_sessions(url: str) -> None:
    database = await open_database(url)
    async with database.session() as session:
        await session.scalar(select(PubsubNode))
    await database.close()
    with pytest.raises(DatabaseError, match="closed"):
        async with database.session():
            pass
