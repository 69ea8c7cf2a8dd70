"""Statements on what is being parsed of a node, so that items which end their process are found out. Functions of a
connection; they never commit. See `newsstand.sync.parsing` for what a note means."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import Connection, bindparam, delete, insert, select, update

from newsstand.model import Process
from newsstand.storage.mapping import ParsingNote, table
from newsstand.storage.statements.keys import process_of

_note = table(ParsingNote)

_OF_NODE = _note.c.node_id == bindparam("b_node")
_FIND = select(_note).where(_OF_NODE)
_REPLACE = update(_note).where(_OF_NODE)
_REMOVE = delete(_note).where(_OF_NODE, _note.c.token == bindparam("b_token"))


@dataclass(frozen=True, slots=True)
class Note:
    """A note that a node is being parsed: its items up to the digest `until`, or, with `digest`, one of them by
    itself."""

    until: bytes
    token: str
    """The token of the replica that parses."""
    process: Process
    parser: str | None
    parser_version: int | None
    digest: bytes | None = None
    revision: int | None = None
    """That one item's."""


def find(conn: Connection, node_id: int) -> Note | None:
    """A note that a hand changed to what Newsstand does not write is read as none: the next one replaces it."""
    row = conn.execute(_FIND, {"b_node": node_id}).first()
    if row is None or not isinstance(row.until, bytes):
        return None
    try:
        process = process_of(row.host, row.pid, row.started)
    except TypeError:
        return None
    return Note(row.until, row.token, process, row.parser, row.parser_version, row.digest, row.revision)


def keep(conn: Connection, node_id: int, note: Note) -> None:
    """Store a note, in the place of whatever was noted of the node."""
    values = {
        "until": note.until,
        "digest": note.digest,
        "revision": note.revision,
        "parser": note.parser,
        "parser_version": note.parser_version,
        "token": note.token,
        **note.process._asdict(),
    }
    if not conn.execute(_REPLACE.values(values), {"b_node": node_id}).rowcount:
        conn.execute(insert(_note).values(node_id=node_id, **values))


def remove(conn: Connection, node_id: int, token: str) -> None:
    """Remove the note of this replica; another one's stays."""
    conn.execute(_REMOVE, {"b_node": node_id, "b_token": token})
