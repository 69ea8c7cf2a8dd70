"""What is remembered of nodes and services."""

from __future__ import annotations

import dataclasses
import json

import pytest
from sqlalchemy import select, update

from newsstand.model import NodeKey, NodeRecord, Subscription, SyncState, Verdict
from newsstand.rules.behaviour import Behaviour, ServiceBehaviour
from newsstand.storage.database import Database
from newsstand.storage.mapping import Account, Service, table
from newsstand.storage.statements import items, nodes
from newsstand.storage.statements.change_log import prune
from tests.contract._storage import (
    JULIET,
    NOW,
    SERVICE,
    apply,
    fields_of,
    find_node,
    ids_found,
    in_step,
    log,
    make_node,
    parse,
    put,
    rows,
)

ROMEO = "romeo@example.org"


async def all_nodes(database: Database) -> list[NodeRecord]:
    return await database.scan(lambda conn: sorted(nodes.iter_nodes(conn), key=lambda record: record.key))


async def test_all_that_is_remembered_of_a_node_is_there_again(database: Database) -> None:
    record = NodeRecord(
        0,
        NodeKey(JULIET, SERVICE, "blog"),
        verdict=Verdict.WANTED,
        analyser="blog",
        type="blog",
        subtype="microblog",
        analysed_by=b"\0fingerprint\xff",
        state=SyncState.STALE,
        reason="a gap",
        complete=True,
        verified_at=NOW,
        subscription=Subscription.PENDING,
        access_model="whitelist",
        pubsub_type="urn:xmpp:microblog:0",
        attempts=3,
        retry_at=NOW + 1,
        failed_by=b"\0limits\xff",
        shows_publisher=False,
        read_at=NOW - 1,
        session_reads=3,
    )
    saved = await database.write(nodes.save, record)
    assert saved.id > 0
    (loaded,) = await all_nodes(database)
    assert fields_of(loaded) == fields_of(dataclasses.replace(record, id=saved.id))
    emptied = NodeRecord(saved.id, record.key)
    await database.write(nodes.save, emptied)
    (loaded,) = await all_nodes(database)
    assert loaded == dataclasses.replace(
        emptied, read_at=NOW - 1, session_reads=3
    )  # when it was read, other workers know better


async def test_a_read_is_never_noted_as_earlier_than_it_was(database: Database, node: NodeRecord) -> None:
    for at, noted in [(NOW, NOW), (NOW - 1, NOW), (NOW + 1, NOW + 1)]:
        await database.write(nodes.note_read, node.id, at)
        (loaded,) = await all_nodes(database)
        assert loaded.read_at == noted


async def test_saving_a_node_leaves_its_revision_and_counts_alone(database: Database, node: NodeRecord) -> None:
    await apply(database, node, put("a"), put("b"))
    await database.write(nodes.save, dataclasses.replace(node, revision=99, item_count=99, quarantined=99))
    record = await find_node(database, node.id)
    assert (record.revision, record.item_count, record.quarantined) == (1, 2, 0)


async def test_a_new_record_takes_the_row_of_its_key(database: Database, node: NodeRecord) -> None:
    again = await database.write(nodes.save, NodeRecord(0, node.key, reason="again"))
    assert again.id == node.id
    assert [record.reason for record in await all_nodes(database)] == ["again"]


async def test_accounts_services_and_names_keep_nodes_apart(database: Database) -> None:
    keys = [
        NodeKey(account, service, name)
        for account in (JULIET, ROMEO)
        for service in (SERVICE, JULIET)
        for name in ("blog", "Blog", "b" * 5_000, "b" * 5_000 + "c", "ü", "")
    ]
    for key in keys:
        await database.write(nodes.save, NodeRecord(0, key))
    assert [record.key for record in await all_nodes(database)] == sorted(keys)


async def test_removing_a_node_takes_all_that_hangs_on_it_and_nothing_else(
    database: Database, node: NodeRecord
) -> None:
    same_name = await make_node(database, "blog", account=ROMEO)
    for one in (node, same_name):
        await apply(database, one, put("a"))
        await parse(database, one, {"a": {"title": "word"}})
    await database.write(nodes.remove, node.id)
    assert [record.key.account for record in await all_nodes(database)] == [ROMEO]
    assert (await rows(database, node), await log(database, node)) == ([], [])
    assert len(await rows(database, same_name)) == 1
    assert await ids_found(database, "word") == ["a"]
    await in_step(database)


async def test_erasing_items_keeps_the_node_and_ends_its_log(database: Database, node: NodeRecord) -> None:
    await apply(database, node, put("a"), put("b"))
    await database.write(nodes.erase_items, node.id)
    record = await find_node(database, node.id)
    assert (record.revision, record.item_count) == (2, 0)
    assert await rows(database, node) == []
    assert await log(database, node) == []
    assert (await apply(database, node, put("c"))).count == 1
    assert await log(database, node) == [(3, "put", "c")]


async def test_a_copy_begun_anew_has_no_revision_of_the_one_before(database: Database, node: NodeRecord) -> None:
    for body in "xyz":
        await apply(database, node, put("a", body))
    before = (await find_node(database, node.id)).revision
    await database.write(nodes.remove, node.id)
    again = await make_node(database)
    assert again.revision == (await find_node(database, again.id)).revision > before
    assert (await apply(database, again, put("a"))).revision == again.revision + 1


async def test_accounts_without_nodes_are_forgotten_and_others_kept(database: Database, node: NodeRecord) -> None:
    romeos = await make_node(database, account=ROMEO)
    await database.write(nodes.remove, node.id)
    await database.write(nodes.remove_idle_accounts)
    assert [record.key.account for record in await all_nodes(database)] == [ROMEO]
    await database.write(nodes.remove, romeos.id)
    await database.write(nodes.remove_idle_accounts)
    assert await database.read(lambda conn: conn.execute(select(Account.jid)).all()) == []
    assert (await make_node(database)).key.account == JULIET


async def test_old_changes_are_pruned_and_newer_ones_kept(database: Database, node: NodeRecord) -> None:
    await apply(database, node, put("a"), now=NOW)
    await apply(database, node, put("b"), now=NOW + 1)
    assert await database.write(prune, NOW + 1) == 1
    assert await log(database, node) == [(2, "put", "b")]
    assert await database.read(items.held_ids, node.id) == ["a", "b"]


async def test_the_ways_of_a_service_are_there_again(database: Database) -> None:
    prosody = ServiceBehaviour(new=Behaviour.LAST, overwritten=Behaviour.VARIES, own_from=Behaviour.LEFT_OUT)
    await database.write(nodes.save_behaviour, SERVICE, ServiceBehaviour(), NOW)
    await database.write(nodes.save_behaviour, SERVICE, prosody, NOW)
    await database.write(nodes.save_behaviour, "@example.org", ServiceBehaviour(new=Behaviour.FIRST), NOW)
    assert await database.read(nodes.load_behaviour) == {
        SERVICE: prosody,
        "@example.org": ServiceBehaviour(new=Behaviour.FIRST),
    }


@pytest.mark.parametrize("stored", ['{"new":"last","unheard":"of"}', '{"new":"last","overwritten":"sideways"}'])
async def test_ways_that_this_version_does_not_know_are_unknown(database: Database, stored: str) -> None:
    await database.write(nodes.save_behaviour, SERVICE, ServiceBehaviour(), NOW)
    await database.write(lambda conn: conn.execute(update(table(Service)).values(ways=json.loads(stored))))
    assert await database.read(nodes.load_behaviour) == {SERVICE: ServiceBehaviour(new=Behaviour.LAST)}
