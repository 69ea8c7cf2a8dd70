"""Checks a database: finds damage, and values that contradict each other. Changes nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Any

from sqlalchemy import Connection, Text, and_, exists, func, literal, select, type_coerce
from sqlalchemy.exc import DatabaseError as DriverError

from newsstand.analysis.words import XML_VERSION, terms_of, terms_of_xml
from newsstand.model import digest
from newsstand.storage.maintenance.whole import WholeDatabase, work
from newsstand.storage.mapping import Base, ItemChange, ItemText, PubsubItem, PubsubNode, table
from newsstand.storage.schema import columns, dialects, full_text, ids
from newsstand.xmpp import xmltext

MOST = 100
"""Problems reported of one kind: a file that is damaged throughout must not fill the memory."""
BATCH = 500

_item = table(PubsubItem)
_node = table(PubsubNode)
_text = table(ItemText)
_change = table(ItemChange)


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong in a database, in words. `table` is where; None for the file as a whole."""

    table: str | None
    text: str


Check = Callable[[Connection], Iterator[Problem]]
"""Looks for problems of one kind."""


async def check(url: str) -> list[Problem]:
    """All that is found wrong with the database at `url`; at most 100 of a kind. A program may use it meanwhile: it
    is looked at as it is at one moment, and writers wait only while the full-text index of a file is compared.

    Raises ConfigurationError where there is no such file, NotADatabase for one too damaged to be read, DatabaseError
    where its schema is not the newest (then there is nothing to compare it with), DatabaseNewer and DatabaseLocked.
    """
    place = WholeDatabase(url)
    place.check_exists()

    def run() -> list[Problem]:
        with place.translated():
            with place.snapshot() as conn:
                found = check_snapshot(place, conn)
            if place.is_file:
                # What asks FTS5 for its opinion is a statement that writes: so it is rolled back.
                with place.connection(foreign_keys=False) as conn, conn.begin() as transaction:
                    found += _run(conn, _full_text)
                    transaction.rollback()
        return found

    return await work(run)


def check_snapshot(place: WholeDatabase, conn: Connection) -> list[Problem]:
    """The same, but for the full-text index of a file, on a snapshot that somebody has already."""
    dialects.read_any_text(conn)
    place.check_revision(conn)
    return _run(conn, *_CHECKS)


def _run(conn: Connection, *checks: Check) -> list[Problem]:
    found: list[Problem] = []
    for check_kind in checks:
        before = len(found)
        try:
            found += islice(check_kind(conn), MOST)
        except DriverError:
            if not found:
                raise
            break  # a damaged file: what is wrong with it is reported already, and the rest cannot be read
        if check_kind is _types and len(found) > before:
            break  # the rest cannot be looked for among values that are not what they should be
    return found


def is_readable(text: str | None) -> bool:
    """Whether a program can read it, too."""
    return text is None or not any("\ud800" <= character <= "\udfff" for character in text)


def _file(conn: Connection) -> Iterator[Problem]:
    for text in dialects.problems_of_file(conn, MOST):
        yield Problem(None, text)


def _types(conn: Connection) -> Iterator[Problem]:
    for wrong in columns.wrong_types(conn):
        yield Problem(wrong.table.name, wrong.text)


def _known_words(conn: Connection) -> Iterator[Problem]:
    for wrong in columns.unknown_words(conn):
        yield Problem(wrong.table.name, wrong.text)


def _foreign_keys(conn: Connection) -> Iterator[Problem]:
    """A database that watches them may have been made not to, as by restoring a dump."""
    for mapped in Base.metadata.sorted_tables:
        for key in mapped.foreign_key_constraints:
            parent = key.referred_table
            given = [column.is_not(None) for column in key.columns]
            theirs = [element.column == element.parent for element in key.elements]
            lost = ~exists(select(literal(1)).select_from(parent).where(*theirs).correlate(mapped))
            for _ in conn.execute(select(literal(1)).select_from(mapped).where(and_(*given), lost)):
                yield Problem(mapped.name, f"a row points at what is not in {parent.name}")


def _counts(conn: Connection) -> Iterator[Problem]:
    counted = (
        select(_node.c.id, _node.c.name, _node.c.item_count, _node.c.quarantined, _node.c.payload_bytes)
        .add_columns(func.count(_item.c.digest), func.count(_item.c.quarantine))
        .add_columns(func.coalesce(func.sum(dialects.text_bytes(_item.c.xml)), 0))
        .outerjoin_from(_node, _item, _item.c.node_id == _node.c.id)
        .group_by(_node.c.id)
    )
    for node_id, name, items, quarantined, size, held, held_quarantined, held_size in conn.execute(counted):
        where = f"node {node_id} ({name!r})"
        if items != held:
            yield Problem("newsstand_node", f"{where} counts {items} items and has {held}")
        if quarantined != held_quarantined:
            yield Problem(
                "newsstand_node", f"{where} counts {quarantined} items in quarantine and has {held_quarantined}"
            )
        if size != held_size:
            yield Problem("newsstand_node", f"{where} counts {size} bytes of items and has {held_size}")


def _revisions(conn: Connection) -> Iterator[Problem]:
    for theirs, name in ((_item, "newsstand_item"), (_change, "newsstand_change")):
        newer = (
            select(_node.c.id, _node.c.name, _node.c.revision, func.max(theirs.c.revision))
            .join_from(_node, theirs, theirs.c.node_id == _node.c.id)
            .group_by(_node.c.id)
            .having(func.max(theirs.c.revision) > _node.c.revision)
        )
        for node_id, node, revision, newest in conn.execute(newer):
            yield Problem(name, f"node {node_id} ({node!r}) is at revision {revision}, and a row of it at {newest}")


def _ids(conn: Connection) -> Iterator[Problem]:
    for mapped in ids.tables():
        held, given = ids.highest_held(conn, mapped), ids.highest_given(conn, mapped)
        if given < held:
            yield Problem(mapped.name, f"the next id after {given} is to be given, and {held} is there already")


def _names(conn: Connection) -> Iterator[Problem]:
    for node_id, name, key in conn.execute(select(_node.c.id, _node.c.name, _node.c.name_digest)):
        if key != digest(name):
            yield Problem("newsstand_node", f"node {node_id} ({name!r}) is filed under another name")


def _items(conn: Connection) -> Iterator[Problem]:
    for held in each_item(conn):
        where = f"item {held.item_id!r} of node {held.node_id}"
        if held.misfiled:
            yield Problem("newsstand_item", f"{where} is filed under another id")
        if held.changed:
            yield Problem("newsstand_item", f"{where} has other contents than its digest says")
        if held.unreadable:
            yield Problem("newsstand_item", f"{where} has texts beside its contents that are no UTF-8")


@dataclass(frozen=True, slots=True)
class StoredItem:
    """An item as it is stored, and what is wrong with it."""

    node_id: int
    key: bytes
    item_id: str
    misfiled: bool
    changed: bool
    unreadable: bool


def each_item(conn: Connection) -> Iterator[StoredItem]:
    """Every item, compared with its digests."""
    columns = (
        _item.c.node_id,
        _item.c.digest,
        _item.c.item_id,
        _item.c.xml,
        _item.c.content_digest,
        _item.c.quarantine,
        _item.c.publisher,
        _item.c.parser,
        _item.c.parse_error,
        type_coerce(_item.c.parsed, Text),
    )
    found = conn.execute(select(*columns).execution_options(yield_per=BATCH))
    for node_id, key, item_id, xml, content, *texts in found:
        yield StoredItem(
            node_id,
            key,
            item_id,
            misfiled=key != digest(item_id),
            changed=content != digest(xml),
            unreadable=not all(map(is_readable, texts)),
        )


def _words(conn: Connection) -> Iterator[Problem]:
    """Words that belong to no item, or elsewhere. Whether they are the right ones is not looked at: another version
    may have cut them."""
    pairs = (
        select(_text.c.docid, _text.c.node_id, _text.c.scope, _item.c.recency, _item.c.item_id)
        .outerjoin_from(_text, _item, (_item.c.node_id == _text.c.node_id) & (_item.c.digest == _text.c.digest))
        .execution_options(yield_per=BATCH)
    )
    for docid, node_id, scope, recency, item_id in conn.execute(pairs):
        if recency is None:
            yield Problem("newsstand_item_text", f"the words under {docid} belong to no item of node {node_id}")
        elif docid != recency or scope != full_text.scope_of(node_id):
            yield Problem("newsstand_item_text", f"the words of item {item_id!r} of node {node_id} are misfiled")


def _without_words(conn: Connection) -> Iterator[Problem]:
    for node_id, _, item_id in each_without_words(conn):
        yield Problem("newsstand_item", f"item {item_id!r} of node {node_id} is not in the full-text index")


def each_without_words(conn: Connection) -> Iterator[tuple[int, bytes, str]]:
    """Items that were parsed, have words, and cannot be found by them: node, key and id."""
    columns = (_item.c.node_id, _item.c.digest, _item.c.item_id, _item.c.xml, _item.c.parsed, _item.c.parser_version)
    without = (
        select(*columns)
        .outerjoin_from(_item, _text, (_item.c.node_id == _text.c.node_id) & (_item.c.digest == _text.c.digest))
        .where(
            _text.c.docid.is_(None),
            _item.c.to_parse.is_(False),
            _item.c.parse_error.is_(None),
            _item.c.xml != "",
            dialects.is_json(conn),
        )
        .execution_options(yield_per=BATCH)
    )
    for node_id, key, item_id, xml, parsed, version in conn.execute(without):
        if _has_words(xml, parsed, version):
            yield node_id, key, item_id


def _has_words(xml: str, parsed: dict[str, Any] | None, version: int | None) -> bool:
    """Which fields are words is not known here; but what was parsed has its row even without a word."""
    if parsed is not None:
        return bool(terms_of(parsed))
    if version != XML_VERSION:
        return False  # another version cut it, which may have found none
    try:
        return bool(terms_of_xml(xmltext.parse([xml])))
    except SyntaxError:  # damaged, as its digest shows
        return False


def _full_text(conn: Connection) -> Iterator[Problem]:
    if not full_text.index_is_right(conn):
        yield Problem(full_text.FTS_TABLE, "the full-text index does not agree with the words that it is made of")


def _json_readable(conn: Connection) -> Iterator[Problem]:
    """Parsed data that is no JSON: reading the item would fail."""
    broken = select(_item.c.node_id, _item.c.item_id).where(~dialects.is_json(conn))
    for node_id, item_id in conn.execute(broken):
        yield Problem("newsstand_item", f"the parsed data of item {item_id!r} of node {node_id} is no JSON")


_CHECKS: tuple[Check, ...] = (
    _file,
    _foreign_keys,
    _types,
    _known_words,
    _counts,
    _revisions,
    _ids,
    _names,
    _items,
    _json_readable,
    _words,
    _without_words,
)
