"""Carries out the steps of a plan, which change the items of a copy. A function of a connection; it never commits.

Steps are carried out a batch at a time, so that a listing of any size takes little memory. Each batch that changes
something has a revision of its own.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from sqlalchemy import Connection, bindparam, delete, func, insert, select, true, update

from newsstand.model import ChangeKind, Counts, StorableItem, digest
from newsstand.rules.reconcile import Applied, Clear, Move, Place, Put, Remove, Step
from newsstand.storage.mapping import ItemChange, PubsubItem, PubsubNode, table
from newsstand.storage.schema.dialects import text_bytes
from newsstand.storage.statements.keys import check_texts, chunks, free_recencies

BATCH = 500
"""Steps that are carried out at a time."""
BATCH_BYTES = 1_000_000
"""Of the items that they store: these are in memory meanwhile."""

_item = table(PubsubItem)
_node = table(PubsubNode)
_change = table(ItemChange)

_OF_NODE = _item.c.node_id == bindparam("b_node")
_INSERT = insert(_item)
_UPDATE = (
    update(_item)
    .where(_OF_NODE, _item.c.digest == bindparam("b_digest"))
    .values(
        xml=bindparam("xml"),
        content_digest=bindparam("content_digest"),
        quarantine=bindparam("quarantine"),
        publisher=bindparam("publisher"),
        position=bindparam("position"),
        revision=bindparam("revision"),
        updated=bindparam("updated"),
        to_parse=true(),
    )
)
_MOVE = update(_item).where(_OF_NODE, _item.c.digest == bindparam("b_digest")).values(position=bindparam("position"))
_DELETE = delete(_item).where(_OF_NODE, _item.c.digest == bindparam("b_digest"))
_ROWS = select(
    _item.c.digest,
    _item.c.item_id,
    _item.c.content_digest,
    _item.c.position,
    _item.c.quarantine,
    text_bytes(_item.c.xml),
).where(_OF_NODE)
_ROWS_BY_KEY = _ROWS.where(_item.c.digest.in_(bindparam("b_digests", expanding=True)))
_EXTENT = select(func.min(_item.c.position), func.max(_item.c.position)).where(_OF_NODE)
_STANDING = select(_node.c.revision, *(_node.c[name] for name in Counts._fields)).where(
    _node.c.id == bindparam("b_node")
)


class _Stored(NamedTuple):
    """The part of an item's row that a change must know, as the database has it."""

    content_digest: bytes
    position: int
    quarantined: bool
    bytes: int


@dataclass(slots=True)
class _Row:
    """An item of the copy while steps are applied to it."""

    item_id: str
    content_digest: bytes
    position: int
    stored: _Stored | None
    new: StorableItem | None = None
    """Its contents, where a step brought some."""

    @property
    def changed(self) -> bool:
        return self.stored is None or self.stored.content_digest != self.content_digest

    @property
    def moved(self) -> bool:
        return self.stored is not None and self.stored.position != self.position


@dataclass(slots=True)
class _Work:
    """The work on one plan: what the steps so far did, and the rows that the present batch is about."""

    first: int
    last: int
    recency: int | None = None
    """Of the next new item, in microseconds since the epoch, where there are several batches: those of one call rise.
    Else that of the last new item is the time of the call."""
    rows: dict[bytes, _Row] = field(default_factory=dict)
    deleted: dict[bytes, _Row] = field(default_factory=dict)
    inserted: dict[str, None] = field(default_factory=dict)
    overwritten: dict[str, None] = field(default_factory=dict)
    removed: dict[str, None] = field(default_factory=dict)
    missed: list[str] = field(default_factory=list)
    grew: bool = False
    kept_in_place: bool = False

    def place(self, wanted: int | Place, row: _Row | None) -> int:
        if isinstance(wanted, int):
            position = wanted
        elif row is not None and self._is_there(wanted, row):
            position = row.position
        elif wanted is Place.FIRST:
            position = self.first - 1
        else:
            position = self.last + 1
        self.first, self.last = min(self.first, position), max(self.last, position)
        return position

    def _is_there(self, wanted: Place, row: _Row) -> bool:
        match wanted:
            case Place.KEEP:
                return True
            case Place.FIRST:
                return row.position == self.first
            case Place.LAST:
                return row.position == self.last

    def carry_out(self, step: Step) -> None:
        match step:
            case Put():
                self.put(step)
            case Remove(item_ids):
                for item_id in item_ids:
                    self.remove(digest(item_id), item_id)
            case Clear():
                for key, row in list(self.rows.items()):
                    self.remove(key, row.item_id)
            case Move(key, position):
                row = self.rows[key]
                row.position = self.place(position, row)

    def put(self, step: Put) -> None:
        item, key = step.item, step.item.digest
        row = self.rows.get(key)
        position = self.place(step.new if row is None else step.overwritten, row)
        if row is None:
            was = self.deleted.pop(key, None)
            stored = was.stored if was is not None else None
            self.rows[key] = _Row(item.id, item.content_digest, position, stored, new=item)
            self.inserted[item.id] = None
            self.grew = True
            return
        row.position = position
        self.kept_in_place |= step.overwritten is Place.KEEP
        if item.exact and row.content_digest != item.content_digest:
            row.content_digest, row.new = item.content_digest, item
        if item.id not in self.inserted:
            self.overwritten[item.id] = None

    def remove(self, key: bytes, item_id: str) -> None:
        row = self.rows.pop(key, None)
        if row is None:
            self.missed.append(item_id)
            return
        if row.stored is not None:
            self.deleted[key] = row
        self.inserted.pop(row.item_id, None)
        self.overwritten.pop(row.item_id, None)
        self.removed[row.item_id] = None


def apply(
    conn: Connection, node_id: int, steps: Iterable[Step], now: int, *, of_listing: Sequence[StorableItem] = ()
) -> Applied:
    """Carry out the steps in order: items, words, log and revision together. A row that is right already is not
    written. `now` is in microseconds since the epoch. Steps that are made one by one, from a listing, are never all
    in memory; `of_listing` are its items."""
    batches = _batches(steps)
    batch, following = next(batches, []), next(batches, [])  # of a listing, all of the copy is read for the first
    first, last = conn.execute(_EXTENT, {"b_node": node_id}).one()
    work = _Work(0 if first is None else first, -1 if last is None else last)
    if following:
        work.recency = now - max(len(of_listing), len(batch) + len(following)) + 1
    while batch:
        work.rows, work.deleted = _load(conn, node_id, batch), {}
        for step in batch:
            work.carry_out(step)
        _write(conn, node_id, work, now)
        batch, following = following, next(batches, [])
    revision, count, quarantined, size = conn.execute(_STANDING, {"b_node": node_id}).one()
    return Applied(
        revision=revision,
        count=count,
        inserted=tuple(work.inserted),
        overwritten=tuple(work.overwritten),
        removed=tuple(work.removed),
        missed=tuple(work.missed),
        quarantined=quarantined,
        payload_bytes=size,
        grew=work.grew,
        kept_in_place=work.kept_in_place,
    )


def _batches(steps: Iterable[Step]) -> Iterator[list[Step]]:
    batch: list[Step] = []
    count = size = 0
    for step in steps:
        batch.append(step)
        count += len(step.item_ids) if isinstance(step, Remove) else 1
        size += step.item.size if isinstance(step, Put) else 0
        if count >= BATCH or size >= BATCH_BYTES:
            yield batch
            batch, count, size = [], 0, 0
    if batch:
        yield batch


def _load(conn: Connection, node_id: int, steps: Sequence[Step]) -> dict[bytes, _Row]:
    """The rows that these steps are about."""
    found: Iterable[Any]
    if any(isinstance(step, Clear) for step in steps):
        found = conn.execute(_ROWS, {"b_node": node_id})
    else:
        found = _rows_by_key(conn, node_id, list(dict.fromkeys(_keys(steps))))
    return {
        key: _Row(item_id, content, position, _Stored(content, position, quarantine is not None, size))
        for key, item_id, content, position, quarantine, size in found
    }


def _rows_by_key(conn: Connection, node_id: int, keys: list[bytes]) -> Iterator[Any]:
    for chunk in chunks(keys):
        yield from conn.execute(_ROWS_BY_KEY, {"b_node": node_id, "b_digests": chunk})


def _keys(steps: Iterable[Step]) -> Iterator[bytes]:
    for step in steps:
        match step:
            case Put(item):
                yield item.digest
            case Remove(item_ids):
                yield from (digest(item_id) for item_id in item_ids)
            case Move(key):
                yield key
            case Clear():
                pass


def _write(conn: Connection, node_id: int, work: _Work, now: int) -> None:
    """Store what the steps of a batch made of its rows."""
    changed = [(key, row) for key, row in work.rows.items() if row.changed]
    moved = [(key, row) for key, row in work.rows.items() if row.moved and not row.changed]
    if not (changed or moved or work.deleted):
        return
    revision, count, quarantined, size = conn.execute(_STANDING, {"b_node": node_id}).one()
    revision += 1
    inserts = [(key, row) for key, row in changed if row.stored is None]
    updates = [(key, row) for key, row in changed if row.stored is not None]
    count += len(inserts) - len(work.deleted)
    before = [row.stored for row in (*(row for _, row in changed), *work.deleted.values()) if row.stored is not None]
    contents = _contents(changed) if changed else {}
    quarantined += sum(new["quarantine"] is not None for new in contents.values())
    quarantined -= sum(stored.quarantined for stored in before)
    size += sum(len(new["xml"].encode()) for new in contents.values()) - sum(stored.bytes for stored in before)
    counts = Counts(count, quarantined, size)
    conn.execute(update(_node).where(_node.c.id == node_id).values(revision=revision, **counts._asdict()))
    if work.deleted:
        conn.execute(_DELETE, [{"b_node": node_id, "b_digest": key} for key in work.deleted])
    if moved:
        conn.execute(_MOVE, [{"b_node": node_id, "b_digest": k, "position": r.position} for k, r in moved])
    changing = {"revision": revision, "updated": now}
    if updates:
        conn.execute(_UPDATE, [{"b_node": node_id, "b_digest": k, **changing, **contents[k]} for k, r in updates])
    if inserts:
        recencies = _recencies(conn, work, len(inserts), now)
        new = {"node_id": node_id, "first_seen": now, "to_parse": True, **changing}
        rows = zip(inserts, recencies, strict=True)
        conn.execute(
            _INSERT,
            [{**new, "digest": k, "item_id": r.item_id, "recency": at, **contents[k]} for (k, r), at in rows],
        )
    log = [(key, ChangeKind.RETRACT, row.item_id) for key, row in work.deleted.items()]
    log += [(key, ChangeKind.PUT, row.item_id) for key, row in changed]
    if log:
        conn.execute(
            insert(_change),
            [
                {"node_id": node_id, "revision": revision, "digest": k, "kind": kind, "item_id": i, "at": now}
                for k, kind, i in log
            ],
        )


def _recencies(conn: Connection, work: _Work, count: int, now: int) -> list[int]:
    """Of so many new items, rising."""
    start = now - count + 1 if work.recency is None else work.recency
    work.recency = start + count
    return free_recencies(conn, range(start, work.recency))


def _contents(changed: Sequence[tuple[bytes, _Row]]) -> dict[bytes, dict[str, Any]]:
    """The columns of these rows, by their keys. Raises ConfigurationError for what no database can keep."""
    contents: dict[bytes, dict[str, Any]] = {}
    for key, row in changed:
        assert row.new is not None
        publisher, xml = row.new.read()
        contents[key] = {
            "xml": xml,
            "content_digest": row.content_digest,
            "quarantine": row.new.quarantine,
            "publisher": publisher,
            "position": row.position,
        }
    check_texts("an item id", [row.item_id for _, row in changed])
    check_texts("an item", [new["xml"] for new in contents.values()])
    return contents
