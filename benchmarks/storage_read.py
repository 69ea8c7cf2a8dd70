"""Reading 20 items from the database, against stdlib sqlite3 on the same file."""

from __future__ import annotations

import sqlite3
import tempfile
import time
from pathlib import Path

from benchmarks.measure import Ratio, compare
from newsstand.model import NS_PUBSUB, ItemsRequest, NodeKey, NodeRecord, SeenItem
from newsstand.rules.behaviour import Take
from newsstand.rules.reconcile import plan_listing
from newsstand.storage.database import open_database
from newsstand.storage.statements import answers, items, nodes

ITEMS = 5_000
BODY = "The quick brown fox jumps over the lazy dog. " * 19


def seen_items() -> list[SeenItem]:
    return [
        SeenItem(f"i{i}", f'<item xmlns="{NS_PUBSUB}" id="i{i}"><entry xmlns="urn:example">{BODY}{i}</entry></item>')
        for i in range(ITEMS)
    ]


async def run() -> list[Ratio]:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "news.db"
        database = await open_database(f"sqlite:///{path}")
        instant = database.instant
        assert instant is not None
        key = NodeKey("romeo@localhost", "pubsub.localhost", "blog")
        record = await database.write(nodes.save, NodeRecord(0, key))
        await database.write(items.apply, record.id, plan_listing([], seen_items()), time.time_ns() // 1000)
        plain = sqlite3.connect(path, isolation_level=None)
        plain.execute("PRAGMA cache_size=-65536")
        last, one = ItemsRequest(key, max_items=20), ItemsRequest(key, item_ids=("i2500",))
        digest = SeenItem("i2500", "").digest
        newest = "SELECT xml FROM newsstand_item WHERE node_id = ? ORDER BY position DESC LIMIT 20"
        by_key = "SELECT xml FROM newsstand_item WHERE node_id = ? AND digest = ?"

        def ours_last() -> object:
            return instant.read_now(answers.take_xml, record.id, last, Take.LAST)

        def plain_last() -> object:
            return plain.execute(newest, (record.id,)).fetchall()

        def ours_one() -> object:
            return instant.read_now(answers.take_xml, record.id, one, Take.IDS)

        def plain_one() -> object:
            return plain.execute(by_key, (record.id, digest)).fetchall()

        results = [
            await compare("storage: last 20 of 5,000 / sqlite3", ours_last, plain_last, target=2, times=2_000),
            await compare("storage: one item by id / sqlite3", ours_one, plain_one, target=3, times=2_000),
        ]
        plain.close()
        await database.close()
        return results
