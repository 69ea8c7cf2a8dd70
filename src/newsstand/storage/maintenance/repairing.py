"""Repairs what `checking` finds wrong in a database. What was damaged is taken out, so that its service is asked for
it; what follows from the rest is made anew."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    Text,
    and_,
    cast,
    exists,
    func,
    literal,
    null,
    or_,
    select,
    true,
    update,
)
from sqlalchemy.sql import Delete
from sqlalchemy.sql.schema import ScalarElementColumnDefault

from newsstand.errors import NotADatabase
from newsstand.model import SyncState, digest
from newsstand.storage.database import check_unused
from newsstand.storage.maintenance import checking
from newsstand.storage.maintenance.whole import WholeDatabase, work
from newsstand.storage.mapping import (
    Account,
    Base,
    Doubt,
    ItemChange,
    ItemText,
    ParsingNote,
    PubsubItem,
    PubsubNode,
    table,
)
from newsstand.storage.schema import columns, dialects, full_text, ids
from newsstand.storage.sqlite.connections import doubt_of, path_of
from newsstand.storage.statements.keys import chunks

_account = table(Account)
_node = table(PubsubNode)
_item = table(PubsubItem)
_text = table(ItemText)
_change = table(ItemChange)
_doubt = table(Doubt)
_parsing = table(ParsingNote)

_REASON = "something of it was damaged, and taken out"


async def repair(url: str) -> list[str]:
    """Mend the database at `url`, in one transaction; returns what was done, in words. Items that were damaged are
    gone then, and their nodes incomplete and stale: the next session fetches them. Items whose words or parsed data
    were wrong are parsed again by the next program that opens it. A file that is damaged as a whole cannot be mended:
    the next program that opens it sets it aside, and fetches everything anew.

    Raises DatabaseLocked where a program has it open, which would go on with what is taken out; and as
    `checking.check`.
    """
    place = WholeDatabase(url)
    place.check_exists()

    def run() -> list[str]:
        with place.translated(), place.connection(foreign_keys=False) as conn:
            with conn.begin():
                place.check_revision(conn)
            with place.change(conn):
                dialects.read_any_text(conn)
                return [f"{words}: {count}" for words, step in _STEPS if (count := step(conn))]

    try:
        await check_unused(url)
        done = await work(run)
        left = await checking.check(url)
    except NotADatabase:
        done, left = [], [checking.Problem(None, "it cannot be read")]
    if place.is_file and any(problem.table is None for problem in left):
        os.close(os.open(doubt_of(path_of(place.url)), os.O_WRONLY | os.O_CREAT, 0o600))
        done.append("the file itself is damaged: the next program that opens it sets it aside, and begins a new copy")
    return done


def _indexes(conn: Connection) -> int:
    """Those of a file that lack rows, or have too many."""
    wrong = [problem for problem in dialects.problems_of_file(conn, checking.MOST) if "index" in problem]
    if wrong:
        for mapped in Base.metadata.sorted_tables:
            dialects.make_indexes_anew(conn, mapped.name)
    return len(wrong)


def _unknown_words(conn: Connection) -> int:
    """Of a node, they are decided, listed or subscribed to anew. The log ends where it holds one: what would be left of
    it leads nowhere."""
    wrong = list(columns.unknown_words(conn))
    for value in wrong:
        if value.table is _node:
            _begin_anew(conn, value)
        else:
            _end_log(conn, value)
    return len(wrong)


def _wrong_types(conn: Connection) -> int:
    """A value that may be missing goes; else its row does, and what is missing then is fetched, or learnt, again."""
    wrong = list(columns.wrong_types(conn))
    for value in wrong:
        if value.table is _node and value.column.name not in _NEEDED_OF_NODES:
            _begin_anew(conn, value)
        elif value.table is _item and value.column.name in _MADE_BY_PARSING:
            anew = {value.column.name: null(), "to_parse": true()}
            conn.execute(update(_item).where(value.same_row(conn)).values(anew))
        elif value.table is _change:
            _end_log(conn, value)
        elif value.table is _text:
            full_text.delete_words(conn, [[value.key[0]]])
        else:
            conn.execute(value.table.delete().where(value.same_row(conn)))
            if value.table in (_item, _doubt):
                _note_damage(conn, _node.c.id == value.key[0])
    return len(wrong)


_NEEDED_OF_NODES = frozenset({"id", "account_id", "service", "name", "name_digest", "revision", "generation"})
"""Without these nobody knows which node it is, or what was told of it."""
_MADE_BY_PARSING = frozenset({"parsed", "parser", "parser_version", "parse_error", "to_parse"})
"""Of an item: they are made anew of its XML."""


def _begin_anew(conn: Connection, wrong: columns.WrongValue) -> None:
    """As if nothing were known of a node but its items, where this value is wrong."""
    column, mine = wrong.column, wrong.same_row(conn)
    default = column.default.arg if isinstance(column.default, ScalarElementColumnDefault) else None
    conn.execute(update(_node).where(mine).values({column: default}))
    _note_damage(conn, mine)


def _end_log(conn: Connection, wrong: columns.WrongValue) -> None:
    """At this entry, and before it: what is missing of a log is always its beginning."""
    node_id, revision = wrong.key[:2]
    of_node = _change.c.node_id == node_id
    before = and_(of_node, _change.c.revision <= revision) if isinstance(revision, int) else of_node
    conn.execute(_change.delete().where(or_(wrong.same_row(conn), before)))


def _note_damage(conn: Connection, which: ColumnElement[bool]) -> None:
    """Nothing vouches for these nodes, until they are listed."""
    of_nodes = update(_node).where(which)
    conn.execute(of_nodes.values(complete=False))
    conn.execute(
        of_nodes.where(_node.c.state.in_([SyncState.LIVE.value, SyncState.SYNCING.value])).values(
            state=SyncState.STALE.value
        )
    )
    conn.execute(of_nodes.where(_node.c.state == SyncState.STALE.value).values(reason=_REASON))


def _nodes(conn: Connection) -> int:
    """Of nobody, or filed under another name: which one is right cannot be told."""
    misfiled = [
        node_id
        for node_id, name, key in conn.execute(select(_node.c.id, _node.c.name, _node.c.name_digest))
        if key != digest(name)
    ]
    lost = or_(_node.c.id.in_(misfiled), ~exists().where(_account.c.id == _node.c.account_id))
    return conn.execute(_node.delete().where(lost)).rowcount


def _damaged_items(conn: Connection) -> int:
    """The service has them still; a node without them is not complete."""
    wrong = [held for held in checking.each_item(conn) if held.misfiled or held.changed or held.unreadable]
    for held in wrong:
        conn.execute(_item.delete().where(_item.c.node_id == held.node_id, _item.c.digest == held.key))
    for node_id in {held.node_id for held in wrong}:
        _note_damage(conn, _node.c.id == node_id)
    return len(wrong)


def _orphans(conn: Connection) -> int:
    of_nobody: list[Delete] = [
        of.delete().where(~exists().where(_node.c.id == of.c.node_id)) for of in (_item, _change, _doubt, _parsing)
    ]
    return sum(conn.execute(statement).rowcount for statement in of_nobody)


def _parsed(conn: Connection) -> int:
    broken = ~dialects.is_json(conn)
    return conn.execute(update(_item).where(broken).values(parsed=null(), to_parse=true())).rowcount


def _words(conn: Connection) -> int:
    """Words are cut anew where they are in doubt: an index that does not agree with them may be the right one."""
    right = full_text.index_is_right(conn)
    theirs = (_item.c.node_id == _text.c.node_id) & (_item.c.digest == _text.c.digest)
    scope = literal("n").concat(cast(_text.c.node_id, Text))
    filed = exists().where(theirs, _item.c.recency == _text.c.docid, _text.c.scope == scope)
    wrong = list(conn.execute(select(_text.c.docid).where(~filed if right else true())).scalars())
    if wrong or not right:
        full_text.delete_words(conn, chunks(wrong))
    without = list(checking.each_without_words(conn))
    for node_id, key, _ in without:
        of_item = _item.c.node_id == node_id, _item.c.digest == key
        conn.execute(update(_item).where(*of_item).values(to_parse=true()))
    return max(len(wrong), len(without), int(not right))


def _counts(conn: Connection) -> int:
    of_node = _item.c.node_id == _node.c.id
    count = select(func.count()).where(of_node).scalar_subquery()
    quarantined = select(func.count(_item.c.quarantine)).where(of_node).scalar_subquery()
    size = select(func.coalesce(func.sum(dialects.text_bytes(_item.c.xml)), 0)).where(of_node).scalar_subquery()
    wrong = or_(_node.c.item_count != count, _node.c.quarantined != quarantined, _node.c.payload_bytes != size)
    right = {"item_count": count, "quarantined": quarantined, "payload_bytes": size}
    return conn.execute(update(_node).where(wrong).values(right)).rowcount


def _revisions(conn: Connection) -> int:
    changed = 0
    for theirs in (_item, _change):
        newest = select(func.max(theirs.c.revision)).where(theirs.c.node_id == _node.c.id).scalar_subquery()
        changed += conn.execute(update(_node).where(_node.c.revision < newest).values(revision=newest)).rowcount
    return changed


def _ids(conn: Connection) -> int:
    changed = 0
    for mapped in ids.tables():
        held = ids.highest_held(conn, mapped)
        changed += held > ids.highest_given(conn, mapped)
        ids.go_on_after(conn, mapped, held)
    return changed


_STEPS: tuple[tuple[str, Callable[[Connection], Any]], ...] = (
    ("indexes made anew, for so many problems of theirs", _indexes),
    ("values of the wrong type, taken out", _wrong_types),
    ("words that Newsstand does not know, taken out", _unknown_words),
    ("nodes of nobody, or filed under another name, forgotten", _nodes),
    ("damaged items taken out, to be fetched again", _damaged_items),
    ("rows of no node removed", _orphans),
    ("items with parsed data that is no JSON, to be parsed again", _parsed),
    ("items whose words were wrong or missing, to be parsed again", _words),
    ("nodes whose counts were wrong, counted", _counts),
    ("nodes behind the revisions of their rows, brought to them", _revisions),
    ("tables that would have given ids again", _ids),
)
