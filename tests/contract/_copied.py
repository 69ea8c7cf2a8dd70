"""Databases that are hard to copy, and what is the same in two of them."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Column, Connection, insert, select

from newsstand.model import SyncState, Verdict
from newsstand.rules.behaviour import Behaviour, ServiceBehaviour
from newsstand.storage.database import open_database
from newsstand.storage.mapping import Base
from newsstand.storage.schema import ids, portable
from newsstand.storage.statements import nodes
from tests.contract._storage import NOW, apply, ids_found, make_node, parse, put
from tests.contract.test_storage_values import NUMBERS

LONG_ID = "\N{SNOWMAN}" * 1_700  # 5,100 bytes
ODD = "é e\u0301 \U0001f40c \u202e\ufdd0 '\"\\ \t\n \x7f\u0085"
WORDS = ("slugs", "compost", "ecole", "nowhere")
ITEMS = 40


async def fill(url: str) -> None:
    """Nodes of every state, one that nothing was decided about, ids that are long or odd, all kinds of parsed data,
    items in quarantine, a log with removals; ids that were given and are gone."""
    database = await open_database(url)
    for service in ("pubsub.example.org", "@example.org", "z.example.org", "Ä.example.org", "_.example.org"):
        await database.write(nodes.save_behaviour, service, ServiceBehaviour(new=Behaviour.LAST), NOW)
    for number, state in enumerate(SyncState):
        await make_node(database, f"{number} {ODD}", state=state, verdict=Verdict.WANTED, analysed_by=b"\0\xff'")
    await make_node(database, "undecided", account="romeo@example.org")
    node = await make_node(database, "garden", type="blog", state=SyncState.LIVE, complete=True, verified_at=2**62)
    names = [LONG_ID, ODD, *(f"item {number}" for number in range(ITEMS))]
    await apply(database, node, *(put(name, f"text of {name[:9]}", publisher=f"{name[:9]}@e") for name in names))
    await apply(database, node, put("poison", quarantine="too deep"))
    await parse(
        database,
        node,
        {
            LONG_ID: {
                "title": "École",
                "numbers": NUMBERS,
                "minus nothing": -0.0,
                "b": {"z": None, "a": [True, 1, 1.0]},
            },
            ODD: {"title": f"Slugs {ODD}", "tags": ["tea", ["nested", {}], []]},
            "item 0": {},
            **{f"item {number}": {"title": f"Compost {number}"} for number in range(1, ITEMS // 2)},
        },
    )
    gone = await make_node(database, "gone")
    await apply(database, gone, put("a"))
    await database.write(nodes.remove, gone.id)
    await database.write(_fill_what_is_empty)
    await database.close()


def _fill_what_is_empty(conn: Connection) -> None:
    """A row in each table that nothing above knows of: so those of later revisions are copied here, too."""
    for mapped in Base.metadata.sorted_tables:
        if conn.execute(select(mapped)).first() is None:
            conn.execute(insert(mapped).values({c.name: _some_value(conn, c) for c in mapped.columns}))


def _some_value(conn: Connection, column: Column[Any]) -> Any:
    for key in column.foreign_keys:
        return conn.execute(select(key.column)).scalars().first()
    return {bool: True, int: 7, str: "é", bytes: b"\xff" * 20, dict: {"a": [1]}}[column.type.python_type]


def _rows(conn: Connection) -> dict[str, list[tuple[Any, ...]]]:
    return {
        mapped.name: sorted((tuple(row) for row in conn.execute(select(*portable.columns(mapped)))), key=repr)
        for mapped in portable.tables()
    }


def _given(conn: Connection) -> dict[str, int]:
    return {mapped.name: ids.highest_given(conn, mapped) for mapped in ids.tables()}


async def held(url: str) -> tuple[Any, Any]:
    """Every value of every row, as SQLAlchemy gives it; what is found by words and fields."""
    database = await open_database(url)
    try:
        found = [await ids_found(database, word, limit=1000) for word in WORDS]
        found += [await ids_found(database, where={f"numbers.{name}": value}) for name, value in _asked().items()]
        return await database.scan(_rows), found
    finally:
        await database.close()


def _asked() -> dict[str, Any]:
    return {name: value for name, value in NUMBERS.items() if name != "list"}


async def next_ids(url: str) -> tuple[int, dict[str, int]]:
    """The id that a new node gets, and the highest that each table gave before."""
    database = await open_database(url)
    try:
        given = await database.scan(_given)
        return (await make_node(database, "new")).id, given
    finally:
        await database.close()
