"""`python -m tests.migration.snapshot` freezes what this Newsstand makes: a database with rows in every table, at the
newest revision, and what is to be seen in it, as `snapshots/REVISION.db` and `.json`.

Run once with each new revision, and committed with it; never again afterwards, for it stands for the databases that
people have. A revision that was never released may be frozen anew: delete its two files first.
"""

from __future__ import annotations

import asyncio
import dataclasses
import json
import sqlite3
import sys
import tempfile
from contextlib import closing
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, select

from newsstand.storage.database import open_database
from newsstand.storage.mapping import ItemChange, PubsubItem, table
from newsstand.storage.schema import versioning
from newsstand.storage.statements import items, nodes
from tests.migration._contents import Where, fill, url_of, words_found

SNAPSHOTS = Path(__file__).parent / "snapshots"


def freeze() -> Path:
    frozen = SNAPSHOTS / f"{versioning.revisions()[-1]}.db"
    if frozen.exists():
        raise SystemExit(f"{frozen} is frozen already")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "news.db"
        asyncio.run(fill(path))
        with closing(sqlite3.connect(path)) as connection:
            connection.execute("VACUUM INTO ?", (str(frozen),))
        frozen.with_suffix(".json").write_text(json.dumps(asyncio.run(seen(path)), indent=1) + "\n", encoding="utf-8")
    return frozen


async def seen(where: Where) -> dict[str, Any]:
    """What a program sees in a database that is opened, in what JSON can hold."""
    database = await open_database(url_of(where))
    try:
        found: dict[str, Any] = json.loads(json.dumps(await database.scan(_see), default=str))
    finally:
        await database.close()
    # Of the index itself: which nodes a search shows is not the schema's affair.
    found["found by a word"] = sorted(words_found(where, "word"), reverse=True)
    return found


def _see(conn: Connection) -> dict[str, Any]:
    records = sorted(nodes.iter_nodes(conn), key=lambda record: record.id)
    item, change = table(PubsubItem), table(ItemChange)
    columns = (
        "item_id",
        "quarantine",
        "publisher",
        "revision",
        "recency",
        "first_seen",
        "updated",
        "parsed",
        "to_parse",
    )
    held = select(item.c.node_id, *(item.c[name] for name in columns)).order_by(item.c.node_id, item.c.position)
    return {
        "nodes": [dataclasses.asdict(record) for record in records],
        "texts": {record.id: items.xml_of_all(conn, record.id) for record in records},
        "items": [dict(row._mapping) for row in conn.execute(held)],
        "changes": [
            [row.node_id, row.revision, row.kind, row.item_id, row.at]
            for row in conn.execute(select(change).order_by(change.c.node_id, change.c.revision, change.c.item_id))
        ],
        "ways": {jid: dataclasses.asdict(behaviour) for jid, behaviour in nodes.load_behaviour(conn).items()},
    }


if __name__ == "__main__":
    sys.stdout.write(f"{freeze()}\n")
