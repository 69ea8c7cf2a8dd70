"""Statements on items: reading them, and keeping what was parsed of them. Functions of a connection; they never
commit. What changes items is in `newsstand.storage.statements.changes`, what reads an answer in
`newsstand.storage.statements.answers`."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import accumulate, takewhile
from typing import Any

from sqlalchemy import Connection, Select, and_, bindparam, delete, false, func, select, true, update

from newsstand.model import Counts, HeldItem, digest
from newsstand.storage.mapping import PubsubItem, PubsubNode, table
from newsstand.storage.schema import dialects
from newsstand.storage.schema.dialects import text_bytes
from newsstand.storage.statements import parsing_notes, search
from newsstand.storage.statements.answers import ids_at, xml_by_ids, xml_of_all, xml_of_first, xml_of_last
from newsstand.storage.statements.changes import apply
from newsstand.storage.statements.keys import chunks, free_recencies, storable
from newsstand.storage.statements.parsing_notes import Note

__all__ = [
    "ParsedItem",
    "ToParse",
    "apply",
    "find_to_parse",
    "held",
    "held_ids",
    "held_really",
    "ids_at",
    "mark_to_parse",
    "nodes_to_parse",
    "set_right",
    "store_parsed",
    "to_parse",
    "which",
    "xml_by_ids",
    "xml_of_all",
    "xml_of_first",
    "xml_of_last",
]

_item = table(PubsubItem)
_node = table(PubsubNode)


_OF_NODE = _item.c.node_id == bindparam("b_node")
_HELD = select(_item.c.item_id, _item.c.content_digest, _item.c.position).where(_OF_NODE)
_HELD_XML = select(_item.c.item_id, _item.c.position, _item.c.xml).where(_OF_NODE).order_by(_item.c.position)
_NOTED = select(_item.c.digest, _item.c.item_id, _item.c.content_digest, _item.c.xml).where(_OF_NODE)
_HELD_IDS = select(_item.c.item_id).where(_OF_NODE).order_by(_item.c.position)
_KEYS = select(_item.c.digest).where(_OF_NODE, _item.c.digest.in_(bindparam("b_digests", expanding=True)))


def held(conn: Connection, node_id: int) -> list[HeldItem]:
    """Every item's id, digest and position, in no order."""
    return [HeldItem(*row) for row in conn.execute(_HELD, {"b_node": node_id})]


def held_really(conn: Connection, node_id: int) -> list[HeldItem]:
    """Every item, in the copy's order, with the digest of what is really there: not the one that is noted."""
    found = conn.execute(_HELD_XML, {"b_node": node_id}, execution_options={"yield_per": 500})
    return [HeldItem(item_id, digest(xml), position) for item_id, position, xml in found]


def set_right(conn: Connection, node_id: int) -> Counts:
    """Make the digests of a node's contents, and its counts, what its rows are; a row that is filed under another id
    goes. Returns the counts."""
    for key, item_id, noted, xml in conn.execute(_NOTED, {"b_node": node_id}).all():
        row = _item.c.node_id == node_id, _item.c.digest == key
        if key != digest(item_id):
            conn.execute(delete(_item).where(*row))
        elif noted != digest(xml):
            conn.execute(update(_item).where(*row).values(content_digest=digest(xml)))
    size = func.coalesce(func.sum(text_bytes(_item.c.xml)), 0)
    counted = select(func.count(), func.count(_item.c.quarantine), size).where(_item.c.node_id == node_id)
    counts = Counts(*map(int, conn.execute(counted).one()))
    conn.execute(update(_node).where(_node.c.id == node_id).values(counts._asdict()))
    return counts


def held_ids(conn: Connection, node_id: int) -> list[str]:
    """The item ids, in the service's order."""
    return list(conn.execute(_HELD_IDS, {"b_node": node_id}).scalars())


def which(conn: Connection, node_id: int, item_ids: Sequence[str]) -> list[str]:
    """Those of the ids that the copy holds."""
    by_key = {digest(item_id): item_id for item_id in item_ids}
    found: list[str] = []
    for keys in chunks(list(by_key)):
        found += [by_key[key] for key in conn.execute(_KEYS, {"b_node": node_id, "b_digests": keys}).scalars()]
    return found


# Parsing ---------------------------------------------------------------------------------------------------

_TO_PARSE: Select[Any] = (
    select(_item.c.digest, _item.c.item_id, _item.c.xml, _item.c.revision, _item.c.first_seen, _item.c.recency)
    .where(_OF_NODE, _item.c.to_parse == true())
    .order_by(_item.c.digest)
    .limit(bindparam("b_limit"))
)
_PARSED = (
    update(_item)
    .where(_OF_NODE, _item.c.digest == bindparam("b_digest"), _item.c.revision == bindparam("b_revision"))
    .values(
        parsed=bindparam("parsed"),
        parser=bindparam("parser"),
        parser_version=bindparam("parser_version"),
        parse_error=bindparam("parse_error"),
        recency=bindparam("recency"),
        to_parse=false(),
    )
)
_SIZES = (
    select(_item.c.digest, func.octet_length(_item.c.xml).label("size"))
    .where(_OF_NODE, _item.c.to_parse == true())
    .order_by(_item.c.digest)
    .limit(bindparam("b_limit"))
)
_REVISIONS = select(_item.c.digest, _item.c.revision).where(
    _OF_NODE, _item.c.digest.in_(bindparam("b_digests", expanding=True))
)
RECENCY_SLACK = 100_000
"""Microseconds by which a recency may differ from the date that it stands for, to be unique, before it moves."""


@dataclass(frozen=True, slots=True)
class ToParse:
    """An item that is to be parsed, as it was when it was read."""

    digest: bytes
    item_id: str
    xml: str
    revision: int
    first_seen: int
    recency: int


@dataclass(frozen=True, slots=True)
class ParsedItem:
    """The result of parsing one item. `date` is the payload's own, in microseconds, if it has one."""

    item: ToParse
    parsed: dict[str, Any] | None
    error: str | None
    date: int | None
    terms: str


def to_parse(conn: Connection, node_id: int, limit: int, most_bytes: int | None = None) -> list[ToParse]:
    """Items whose contents are newer than what was parsed of them, in the order of their digests. `most_bytes`: no
    more of them than take about so much memory, but one at least."""
    given = {"b_node": node_id, "b_limit": limit}
    if most_bytes is None:
        return [ToParse(*row) for row in conn.execute(_TO_PARSE, given)]
    if not dialects.reads_row_by_row(conn):  # how long they are, the database knows without reading them
        sizes = accumulate(row.size for row in conn.execute(_SIZES, given))
        given["b_limit"] = min(limit, 1 + sum(1 for _ in takewhile(lambda size: size < most_bytes, sizes)))
    found: list[ToParse] = []
    size = 0
    with conn.execute(_TO_PARSE, given) as rows:
        for row in rows:
            found.append(ToParse(*row))
            size += len(found[-1].xml)
            if size >= most_bytes:
                break
    return found


def find_to_parse(conn: Connection, node_id: int, key: bytes) -> ToParse | None:
    """One item, if its contents are newer than what was parsed of it."""
    row = conn.execute(_TO_PARSE.where(_item.c.digest == key), {"b_node": node_id, "b_limit": 1}).first()
    return None if row is None else ToParse(*row)


def mark_to_parse(conn: Connection, node_id: int, parser: str | None, version: int | None) -> int:
    """Have the items parsed again that another parser, or another version of it, parsed."""
    same = and_(_item.c.parser.is_not_distinct_from(parser), _item.c.parser_version.is_not_distinct_from(version))
    return conn.execute(update(_item).where(_item.c.node_id == node_id, ~same).values(to_parse=True)).rowcount


def nodes_to_parse(conn: Connection) -> list[int]:
    return list(conn.execute(select(_item.c.node_id).where(_item.c.to_parse == true()).distinct()).scalars())


def store_parsed(
    conn: Connection,
    node_id: int,
    results: Iterable[ParsedItem],
    parser: str | None,
    version: int | None,
    noted: Note | str | None = None,
) -> None:
    """Keep what was parsed, and its words, unless the item changed meanwhile: then it is parsed again. `noted`: what
    is being parsed from now on, or the token of the replica that noted this, and parses no more."""
    match noted:
        case Note():
            parsing_notes.keep(conn, node_id, noted)
        case str():
            parsing_notes.remove(conn, node_id, noted)
    results = list(results)
    current = {
        row.digest: row.revision
        for chunk in chunks([r.item.digest for r in results])
        for row in conn.execute(_REVISIONS, {"b_node": node_id, "b_digests": chunk})
    }
    results = [r for r in results if current.get(r.item.digest) == r.item.revision]
    if not results:
        return
    wanted = [min(r.item.first_seen, r.date if r.date is not None else r.item.first_seen) for r in results]
    keep = [abs(r.item.recency - w) <= RECENCY_SLACK for r, w in zip(results, wanted, strict=True)]
    moving = iter(free_recencies(conn, [w for w, kept in zip(wanted, keep, strict=True) if not kept]))
    recencies = [r.item.recency if kept else next(moving) for r, kept in zip(results, keep, strict=True)]
    search.unindex(conn, node_id, [r.item.digest for r in results])
    conn.execute(
        _PARSED,
        [
            {
                "b_node": node_id,
                "b_digest": r.item.digest,
                "b_revision": r.item.revision,
                "parsed": r.parsed,
                "parser": parser,
                "parser_version": version,
                "parse_error": None if r.error is None else storable(r.error),
                "recency": recency,
            }
            for r, recency in zip(results, recencies, strict=True)
        ],
    )
    search.index(
        conn,
        node_id,
        # Without a word, too, where something was parsed: so it differs from one whose words are lost.
        [(rec, r.item.digest, r.terms) for r, rec in zip(results, recencies, strict=True) if r.terms or r.parsed],
    )
