"""The mapped classes: the one truth about the schema (docs/decisions/002-storage.md).

All tables are named `newsstand_*`, so that a program may keep its own beside them. Times are integers, in
microseconds since the epoch. Keys begin with the node, so that the schema can be spread over machines.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import (
    JSON,
    BigInteger,
    ForeignKey,
    ForeignKeyConstraint,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
    TypeDecorator,
    UniqueConstraint,
    false,
    text,
)
from sqlalchemy.engine import Dialect
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, relationship
from sqlalchemy.types import TypeEngine

from newsstand.model import DIGEST_BYTES, digest

PREFIX = "newsstand_"
VERSION_TABLE = f"{PREFIX}version"
"""The table that tells which revision the schema is at. It is Alembic's, and no class is mapped to it."""

# SQLite gives automatic keys to INTEGER only; PostgreSQL wants BIGINT.
Big = BigInteger().with_variant(Integer, "sqlite")
Digest = LargeBinary(DIGEST_BYTES)


class Json(TypeDecorator[Any]):
    """The type of columns that hold JSON; PostgreSQL keeps it as JSONB."""

    impl = JSON
    cache_ok = True

    def __init__(self) -> None:
        super().__init__(none_as_null=True)

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        if dialect.name != "postgresql":
            return dialect.type_descriptor(JSON(none_as_null=True))
        from sqlalchemy.dialects.postgresql import JSONB  # costs 100 ms to import: only programs that use it pay

        return dialect.type_descriptor(JSONB(none_as_null=True))


class Base(DeclarativeBase):
    """The base of the mapped classes, with the naming of their indexes and constraints."""

    metadata = MetaData(
        naming_convention={
            "ix": "ix_%(table_name)s_%(column_0_N_name)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "fk": "fk_%(table_name)s_%(column_0_N_name)s",
            "pk": "pk_%(table_name)s",
        }
    )


def table(mapped: type[Base]) -> Table:
    """The table of a mapped class, for statements in Core."""
    found = mapped.__table__
    assert isinstance(found, Table)
    return found


class Account(Base):
    """A bare JID of the program's own, for which copies are kept."""

    __tablename__ = "newsstand_account"

    id: Mapped[int] = mapped_column(Big, primary_key=True)
    jid: Mapped[str] = mapped_column(Text, unique=True)


class Service(Base):
    """A service, and what was learnt of its behaviour. `jid` is its own, or `@domain` for the PEP services of a
    domain's users."""

    __tablename__ = "newsstand_service"

    jid: Mapped[str] = mapped_column(String(3071), primary_key=True)
    ways: Mapped[dict[str, Any]] = mapped_column(Json)
    learnt: Mapped[int] = mapped_column(Big)


class PubsubNode(Base):
    """One account's copy of a node, or what was decided about it. See `newsstand.model.NodeRecord`."""

    __tablename__ = "newsstand_node"
    # Without AUTOINCREMENT a dropped node's id would be given to the next one, whose rows a late write could hit.
    __table_args__ = (UniqueConstraint("account_id", "service", "name_digest"), {"sqlite_autoincrement": True})

    id: Mapped[int] = mapped_column(Big, primary_key=True)
    account_id: Mapped[int] = mapped_column(ForeignKey("newsstand_account.id", ondelete="CASCADE"))
    service: Mapped[str] = mapped_column(String(3071))
    name: Mapped[str] = mapped_column(Text)
    name_digest: Mapped[bytes] = mapped_column(Digest)
    """Of `name`, which may exceed what an index holds."""

    verdict: Mapped[str] = mapped_column(String(16), default="undecided")
    analyser: Mapped[str | None] = mapped_column(Text)
    type: Mapped[str | None] = mapped_column(Text)
    subtype: Mapped[str | None] = mapped_column(Text)
    analysed_by: Mapped[bytes | None] = mapped_column(LargeBinary(16))
    pubsub_type: Mapped[str | None] = mapped_column(Text)
    access_model: Mapped[str | None] = mapped_column(Text)

    state: Mapped[str] = mapped_column(String(16), default="unsynced")
    reason: Mapped[str | None] = mapped_column(Text)
    """Why it is stale, failed or gone, in words for people."""
    complete: Mapped[bool] = mapped_column(default=False, server_default=false())
    """A finished, checked listing was stored; only events and further listings changed it since."""
    verified_at: Mapped[int | None] = mapped_column(Big)
    attempts: Mapped[int] = mapped_column(default=0, server_default="0")
    retry_at: Mapped[int | None] = mapped_column(Big)
    failed_by: Mapped[bytes | None] = mapped_column(LargeBinary(16))
    """What it failed by, where it waits for a change; see `newsstand.rules.lasting`."""
    shows_publisher: Mapped[bool | None] = mapped_column()
    """Whether the service's answers of this node name publishers; None while not seen."""
    subscription: Mapped[str] = mapped_column(String(16), default="none", server_default="none")
    revision: Mapped[int] = mapped_column(Big, default=0, server_default="0")
    """Goes up with every change set of its items, never down."""
    generation: Mapped[int] = mapped_column(Big, default=0, server_default="0")
    """Goes up whenever another worker acquires the node: what was begun under an earlier one is not stored any more."""
    leader: Mapped[str | None] = mapped_column(String(32))
    """The worker that owns it, or did; see `Worker`."""
    session_reads: Mapped[int] = mapped_column(default=0, server_default="0")
    """How often the program read the node in the session that read it last, as far as that matters."""
    read_at: Mapped[int | None] = mapped_column(Big)
    """When the program last read it."""
    item_count: Mapped[int] = mapped_column(Big, default=0, server_default="0")
    """Kept with every change of its items: counting a large node anew costs more than a notification may."""
    quarantined: Mapped[int] = mapped_column(Big, default=0, server_default="0")
    """How many of its items are in quarantine."""
    payload_bytes: Mapped[int] = mapped_column(Big, default=0, server_default="0")
    """How much its items take, in bytes of their `xml` as UTF-8."""

    account: Mapped[Account] = relationship(lazy="joined")
    items: Mapped[list[PubsubItem]] = relationship(
        back_populates="node",
        lazy="raise",
        order_by="PubsubItem.position",
        cascade="all, delete-orphan",
        passive_deletes=True,
    )


class PubsubItem(Base):
    """One item of a copy."""

    __tablename__ = "newsstand_item"
    __table_args__ = (
        Index(None, "node_id", "position"),
        Index(None, "node_id", "recency"),
        Index(None, "recency", unique=True),
        Index(
            "ix_newsstand_item_to_parse",
            "node_id",
            "digest",
            sqlite_where=text("to_parse = 1"),
            postgresql_where=text("to_parse"),
        ),
    )

    node_id: Mapped[int] = mapped_column(ForeignKey("newsstand_node.id", ondelete="CASCADE"), primary_key=True)
    digest: Mapped[bytes] = mapped_column(Digest, primary_key=True)
    """Of `item_id`, which may exceed what an index holds."""
    item_id: Mapped[str] = mapped_column(Text)
    xml: Mapped[str] = mapped_column(Text)
    """The whole `<item/>`, payload inside, in the namespace of XEP-0060. Always kept."""
    content_digest: Mapped[bytes] = mapped_column(Digest)
    """Of `xml`."""
    quarantine: Mapped[str | None] = mapped_column(Text)
    """Why `xml` could not be kept: such an item is always read from the service."""
    publisher: Mapped[str | None] = mapped_column(Text)
    position: Mapped[int] = mapped_column(Big)
    """The service's order within the node. Only the order means anything, not the numbers."""
    recency: Mapped[int] = mapped_column(Big)
    """The earlier of the payload's own date and `first_seen`, made unique: orders the items of all nodes."""
    revision: Mapped[int] = mapped_column(Big)
    """The node's revision when this item last changed."""
    first_seen: Mapped[int] = mapped_column(Big)
    updated: Mapped[int] = mapped_column(Big)

    parsed: Mapped[dict[str, Any] | None] = mapped_column(Json)
    """What the analyser's parser made of `xml`."""
    parser: Mapped[str | None] = mapped_column(Text)
    parser_version: Mapped[int | None] = mapped_column()
    parse_error: Mapped[str | None] = mapped_column(Text)
    to_parse: Mapped[bool] = mapped_column(default=True, server_default=false())

    node: Mapped[PubsubNode] = relationship(back_populates="items", lazy="joined", innerjoin=True)

    @staticmethod
    def key(node_id: int, item_id: str) -> tuple[int, bytes]:
        """The primary key of an item: `session.get(PubsubItem, PubsubItem.key(node.id, "some-id"))`."""
        return node_id, digest(item_id)


class ItemText(Base):
    """The words of an item, as `newsstand.analysis.words` cut them, for full-text search. `docid` is the item's
    recency, so that newest first is the index's own order. Rows go with their item, and on SQLite a trigger takes them
    out of the full-text index: so it stays right however an item goes. On PostgreSQL the index is one of this table."""

    __tablename__ = "newsstand_item_text"
    __table_args__ = (
        UniqueConstraint("node_id", "digest"),
        ForeignKeyConstraint(
            ["node_id", "digest"], ["newsstand_item.node_id", "newsstand_item.digest"], ondelete="CASCADE"
        ),
    )

    docid: Mapped[int] = mapped_column(Big, primary_key=True, autoincrement=False)
    node_id: Mapped[int] = mapped_column(Big)
    digest: Mapped[bytes] = mapped_column(Digest)
    scope: Mapped[str] = mapped_column(Text)
    """The node as a word, so that a search within one stays within the index."""
    terms: Mapped[str] = mapped_column(Text)


class ParsingNote(Base):
    """A note of what is being parsed of a node. It is written before a batch of items is parsed, and removed together
    with storing what came of it, so that a note whose process is gone names the items that may have ended it. At most
    one a node."""

    __tablename__ = "newsstand_parsing"

    node_id: Mapped[int] = mapped_column(
        ForeignKey("newsstand_node.id", ondelete="CASCADE"), primary_key=True, autoincrement=False
    )
    until: Mapped[bytes] = mapped_column(Digest)
    """Of the batch's last item. Items are parsed in the order of their digests."""
    digest: Mapped[bytes | None] = mapped_column(Digest)
    """Of the one item of the batch that is being parsed by itself, because a process ended while it parsed the batch.
    None: the whole batch is being parsed."""
    revision: Mapped[int | None] = mapped_column(Big)
    """That item's."""
    parser: Mapped[str | None] = mapped_column(Text)
    parser_version: Mapped[int | None] = mapped_column()
    token: Mapped[str] = mapped_column(String(32))
    """The token of the replica that parses."""
    host: Mapped[str] = mapped_column(Text)
    pid: Mapped[int] = mapped_column(Big)
    started: Mapped[str] = mapped_column(Text)
    """With `host` and `pid`, its process: see `newsstand.workers.processes`."""


class ItemChange(Base):
    """An entry of the log of changes, which is kept for a while for those who watch. `kind` is a
    `newsstand.model.ChangeKind`."""

    __tablename__ = "newsstand_change"

    node_id: Mapped[int] = mapped_column(ForeignKey("newsstand_node.id", ondelete="CASCADE"), primary_key=True)
    revision: Mapped[int] = mapped_column(Big, primary_key=True)
    digest: Mapped[bytes] = mapped_column(Digest, primary_key=True)
    kind: Mapped[str] = mapped_column(String(16))
    item_id: Mapped[str] = mapped_column(Text)
    at: Mapped[int] = mapped_column(Big, index=True)


class Worker(Base):
    """A replica at work in some process. It owns the nodes whose `leader` it is, until its lease ends. Its row is gone
    when it closed (docs/decisions/010-several-workers.md)."""

    __tablename__ = "newsstand_worker"

    id: Mapped[str] = mapped_column(String(32), primary_key=True)
    account: Mapped[str] = mapped_column(Text)
    """Its stream's own JID: an account, or a component."""
    host: Mapped[str] = mapped_column(Text)
    pid: Mapped[int] = mapped_column(Big)
    started: Mapped[str] = mapped_column(Text)
    """With `host` and `pid`, which process: see `newsstand.workers.processes`."""
    until: Mapped[int] = mapped_column(Big)
    """The end of its lease, by the database's clock. It is renewed again and again."""
    hears: Mapped[bool] = mapped_column(default=False, server_default=false())
    """Notifications reach it: what it owns may be called live."""
    shares: Mapped[bool] = mapped_column(default=False, server_default=false())
    """It acquires its part of what nobody else owns, not only what it is asked for."""


class Doubt(Base):
    """A doubt: an item, or a whole node, that must be checked before the copy may answer. While there is one, reads of
    the node ask the service; the worker that owns the node settles it."""

    __tablename__ = "newsstand_doubt"

    node_id: Mapped[int] = mapped_column(ForeignKey("newsstand_node.id", ondelete="CASCADE"), primary_key=True)
    digest: Mapped[bytes] = mapped_column(Digest, primary_key=True)
    item_id: Mapped[str] = mapped_column(Text)
    """Empty for the whole node."""
    number: Mapped[int] = mapped_column(Big)
    """Another one each time that it is raised, so that settling the one before does not settle it."""
