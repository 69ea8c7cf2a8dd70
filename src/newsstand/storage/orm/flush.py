"""What follows from a program's own changes of mapped objects: digests, order, revisions, counts, words, the log."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any
from xml.etree.ElementTree import ParseError as XmlError

from sqlalchemy import func, insert, inspect, select, update
from sqlalchemy.orm import InstanceState, Session
from sqlalchemy.orm.attributes import set_committed_value

from newsstand.analysis.analysers import checked_json
from newsstand.analysis.words import NOT_ALL_WORDS, terms_of, terms_of_xml
from newsstand.errors import ConfigurationError, ParseError
from newsstand.jid import canonical_bare
from newsstand.model import NS_PUBSUB, ChangeKind, Counts, digest
from newsstand.storage.mapping import Account, ItemChange, PubsubItem, PubsubNode, table
from newsstand.storage.schema.dialects import text_bytes
from newsstand.storage.statements import search
from newsstand.storage.statements.keys import check_text, free_recencies
from newsstand.xmpp import xmltext

WORDS = "newsstand.analysis.words"
"""In a session's `info`, which fields of parsed data are words, by the name of the node's analyser."""

_node = table(PubsubNode)
_item = table(PubsubItem)
_change = table(ItemChange)


@dataclass(slots=True)
class _Standing:
    """A node's revision and counts, as they will be after the flush."""

    node: PubsubNode
    revision: int
    item_count: int
    quarantined: int
    payload_bytes: int
    last: int


@dataclass(slots=True)
class _StoredItem:
    """An item as the database has it."""

    node_id: int
    digest: bytes
    item_id: str
    quarantined: bool
    bytes: int


class Flush:
    """Keeps digests, counts, words and the log right for one flush of a session. Made before the flush, it sets what
    items and nodes need; `finish` does the rest after it."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._conn = session.connection()
        self._now = time.time_ns() // 1000
        self._standings: dict[PubsubNode, _Standing] = {}
        self._retracted: dict[tuple[PubsubNode, bytes], str] = {}
        self._put: list[PubsubItem] = []
        self._reindexed: list[PubsubItem] = []
        with session.no_autoflush:
            self._follow()

    def _follow(self) -> None:
        session = self._session
        for thing in (*session.new, *session.dirty):
            if isinstance(thing, PubsubNode):
                check_text("a node's name", thing.name)
                thing.name_digest = digest(thing.name)
                thing.service = canonical_bare(thing.service)
            elif isinstance(thing, Account):
                thing.jid = canonical_bare(thing.jid)
        forgotten = {thing.id for thing in session.deleted if isinstance(thing, PubsubNode)}
        for thing in session.deleted:
            if isinstance(thing, PubsubItem) and thing.node_id not in forgotten:
                self._take_out(self._stored(thing))
        new = [i for i in session.new if isinstance(i, PubsubItem)]
        new.sort(key=lambda item: _state(item).insert_order or 0)
        for item in new:
            _check(item)
            self._put_in(item)
        self._give_recencies(new)
        for item in session.dirty:
            if isinstance(item, PubsubItem) and session.is_modified(item):
                self._change(item)

    def _stored(self, item: PubsubItem) -> _StoredItem:
        identity = _state(item).identity
        assert identity is not None
        row = self._conn.execute(
            select(_item.c.item_id, _item.c.quarantine, text_bytes(_item.c.xml)).where(
                _item.c.node_id == identity[0], _item.c.digest == identity[1]
            )
        ).first()
        item_id, quarantine, size = row if row is not None else (item.item_id, None, 0)
        return _StoredItem(identity[0], identity[1], item_id, quarantine is not None, size)

    def _standing(self, node: PubsubNode) -> _Standing:
        standing = self._standings.get(node)
        if standing is None:
            # From the database, not from what was loaded: the synchroniser may have written since.
            counts = [_node.c[name] for name in Counts._fields]
            stored = select(_node.c.revision, *counts).where(_node.c.id == node.id)
            last = select(func.max(_item.c.position)).where(_item.c.node_id == node.id)
            row = self._conn.execute(stored).first()  # none, where the node is new too
            revision, count, quarantined, size = row if row is not None else (0, 0, 0, 0)
            highest = self._conn.execute(last).scalar()
            standing = _Standing(node, revision + 1, count, quarantined, size, -1 if highest is None else highest)
            self._standings[node] = standing
        return standing

    def _take_out(self, stored: _StoredItem) -> None:
        node = self._session.get(PubsubNode, stored.node_id)
        assert node is not None
        standing = self._standing(node)
        standing.item_count -= 1
        standing.quarantined -= stored.quarantined
        standing.payload_bytes -= stored.bytes
        self._retracted[(node, stored.digest)] = stored.item_id
        # Not left to the row's end: where another item of that id takes its place, the row is kept.
        search.unindex(self._conn, stored.node_id, [stored.digest])

    def _put_in(self, item: PubsubItem) -> None:
        node = self._node_of(item)
        standing = self._standing(node)
        standing.item_count += 1
        standing.quarantined += item.quarantine is not None
        standing.payload_bytes += len(item.xml.encode())
        if _given(item, "position") is None:
            item.position = standing.last + 1
        standing.last = max(standing.last, item.position)
        if _given(item, "first_seen") is None:
            item.first_seen = self._now
        item.digest = digest(item.item_id)
        self._retracted.pop((node, item.digest), None)
        self._complete(item, standing)

    def _give_recencies(self, new: list[PubsubItem]) -> None:
        first = self._now - len(new) + 1
        given = [_given(item, "recency") for item in new]
        wanted = [first + i if recency is None else recency for i, recency in enumerate(given)]
        for item, recency in zip(new, free_recencies(self._conn, wanted), strict=True):
            item.recency = recency

    def _change(self, item: PubsubItem) -> None:
        _check(item)
        stored = self._stored(item)
        node = self._node_of(item)
        item.digest = digest(item.item_id)
        if _changed(item, "item_id", "node", "node_id", "recency", "xml", "parsed"):
            # Before the flush: the words hang on the row's key.
            search.unindex(self._conn, stored.node_id, [stored.digest])
            self._reindexed.append(item)
        if item.digest != stored.digest or node.id != stored.node_id:
            self._take_out(stored)
            self._put_in(item)
            return
        standing = self._standing(node)
        standing.quarantined += (item.quarantine is not None) - stored.quarantined
        standing.payload_bytes += len(item.xml.encode()) - stored.bytes
        self._complete(item, standing)

    def _complete(self, item: PubsubItem, standing: _Standing) -> None:
        if _state(item).pending or _changed(item, "xml"):
            item.content_digest = digest(item.xml)
            item.to_parse = True
        if item.parsed is not None and _changed(item, "parsed"):
            item.to_parse = False  # the program parsed it itself
            self._reindexed.append(item)
        item.revision = standing.revision
        item.updated = self._now
        self._put.append(item)

    def _node_of(self, item: PubsubItem) -> PubsubNode:
        state = _state(item)
        node: PubsubNode | None = None
        if not _changed(item, "node_id") or _changed(item, "node"):
            node = state.dict.get("node")
        if node is None and _given(item, "node_id") is not None:
            node = self._session.get(PubsubNode, item.node_id)
        if node is None:
            raise ConfigurationError("an item needs a node: PubsubItem(node=…, item_id=…, xml=…)")
        return node

    def finish(self) -> set[int]:
        """Returns the ids of the nodes whose items changed."""
        conn = self._conn
        for node, standing in self._standings.items():
            values = {
                "revision": standing.revision,
                "item_count": standing.item_count,
                "quarantined": standing.quarantined,
                "payload_bytes": standing.payload_bytes,
            }
            conn.execute(update(_node).where(_node.c.id == node.id).values(values))
            for name, value in values.items():
                set_committed_value(node, name, value)
        log = {(node.id, key): (ChangeKind.RETRACT, item_id) for (node, key), item_id in self._retracted.items()}
        log |= {(item.node_id, item.digest): (ChangeKind.PUT, item.item_id) for item in self._put}
        revisions = {node.id: standing.revision for node, standing in self._standings.items()}
        if log:
            conn.execute(
                insert(_change),
                [
                    {"node_id": n, "revision": revisions[n], "digest": k, "kind": kind, "item_id": i, "at": self._now}
                    for (n, k), (kind, i) in log.items()
                ],
            )
        for item in {id(item): item for item in self._reindexed}.values():
            self._index(item)
        return set(revisions)

    def _index(self, item: PubsubItem) -> None:
        """What is to be parsed gets its words then."""
        if item.to_parse or item.quarantine is not None:
            return
        if item.parsed is not None:
            fields = self._session.info.get(WORDS, _all)(self._node_of(item).analyser)
            terms = terms_of(item.parsed, fields)
        else:
            terms = terms_of_xml(xmltext.parse([item.xml]))
        if (terms or item.parsed) and item.parse_error in (None, NOT_ALL_WORDS):
            search.index(self._conn, item.node_id, [(item.recency, item.digest, terms)])


def _all(_: str | None) -> None:
    """Where analysers are not known, all texts are words."""


def _state(item: PubsubItem) -> InstanceState[Any]:
    state: InstanceState[Any] = inspect(item)
    return state


def _given(item: PubsubItem, name: str) -> Any:
    """None where a new item has none yet."""
    return getattr(item, name)


def _changed(item: PubsubItem, *names: str) -> bool:
    attributes = _state(item).attrs
    return any(attributes[name].history.has_changes() for name in names)


def _check(item: PubsubItem) -> None:
    """Raises ConfigurationError for an item that no service could have sent."""
    if _given(item, "item_id") is None or _given(item, "xml") is None:
        raise ConfigurationError("an item needs an id and XML: PubsubItem(node=…, item_id=…, xml=…)")
    check_text("an item id", item.item_id)
    check_text("an item", item.xml)
    if "<!DOCTYPE" in item.xml:
        raise ConfigurationError(f"item {item.item_id!r}: XMPP knows no DTDs (RFC 6120, 11.1)")
    try:
        if item.parsed is not None:
            checked_json(item.parsed)
        root = xmltext.parse([item.xml]) if item.quarantine is None else None
    except (ParseError, XmlError) as error:
        raise ConfigurationError(f"item {item.item_id!r}: {error}") from error
    if root is not None and (root.tag != f"{{{NS_PUBSUB}}}item" or root.get("id") != item.item_id):
        raise ConfigurationError(
            f'the XML of item {item.item_id!r} must be the whole <item xmlns="{NS_PUBSUB}" id="…"/>, of that id'
        )
