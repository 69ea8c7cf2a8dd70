"""Reading 20 items from PostgreSQL, against a bare asyncpg pool doing the same select on the same server."""

from __future__ import annotations

import time

import asyncpg

from benchmarks.measure import Ratio, compare
from benchmarks.storage_read import ITEMS, seen_items
from newsstand.model import ItemsRequest, NodeKey, NodeRecord, SeenItem
from newsstand.rules.behaviour import Take
from newsstand.rules.reconcile import plan_listing
from newsstand.storage.database import open_database
from newsstand.storage.statements import answers, items, nodes
from tests.servers.postgresql import PostgreSQL


async def run() -> list[Ratio]:
    async with PostgreSQL() as server:
        await server.create_database("news")
        database = await open_database(server.url("news"))
        key = NodeKey("romeo@localhost", "pubsub.localhost", "blog")
        record = await database.write(nodes.save, NodeRecord(0, key))
        await database.write(items.apply, record.id, plan_listing([], seen_items()), time.time_ns() // 1000)
        pool = await asyncpg.create_pool(server.url("news"), min_size=8, max_size=8)
        await pool.execute("ANALYZE")
        last, one = ItemsRequest(key, max_items=20), ItemsRequest(key, item_ids=("i2500",))
        digest = SeenItem("i2500", "").digest
        newest = "SELECT xml FROM newsstand_item WHERE node_id = $1 ORDER BY position DESC LIMIT 20"
        by_key = "SELECT xml FROM newsstand_item WHERE node_id = $1 AND digest = $2"

        async def ours_last() -> object:
            return await database.read(answers.take_xml, record.id, last, Take.LAST)

        async def plain_last() -> object:
            return await pool.fetch(newest, record.id)

        async def ours_one() -> object:
            return await database.read(answers.take_xml, record.id, one, Take.IDS)

        async def plain_one() -> object:
            return await pool.fetch(by_key, record.id, digest)

        results = [
            await compare(
                f"PostgreSQL: last 20 of {ITEMS:,} / asyncpg pool", ours_last, plain_last, target=1.5, times=500
            ),
            await compare("PostgreSQL: one item by id / asyncpg pool", ours_one, plain_one, target=1.5, times=500),
        ]
        await pool.close()
        await database.close()
        return results
