"""What a program asks for: reads of a node, whom they ask, and the program's own writes."""

from __future__ import annotations

import enum
from dataclasses import dataclass

from newsstand.model.items import SeenItem
from newsstand.model.nodes import NodeKey


class Policy(enum.StrEnum):
    """Which of the two a read asks: the copy, or the service."""

    ASK_WHEN_STALE = "ask-when-stale"
    """The copy while it is live; the service otherwise; a stale copy only if the service cannot answer."""
    SERVE_STALE = "serve-stale"
    """A complete copy at once, marked where it is stale; meanwhile it is brought up to date in the background."""
    STALE_FIRST = "stale-first"
    """At the start of a session a small complete copy at once, marked, unless something speaks against it: it is
    compared with the service soon, and what differs is notified to the program, as the service would have done it.
    Later as ASK_WHEN_STALE."""
    ONLY_COPY = "only-copy"
    """A complete copy, or nothing."""
    ONLY_SERVICE = "only-service"


@dataclass(frozen=True, slots=True)
class RsmQuery:
    """A `<set/>` of XEP-0059 in a request: at most `max` items, after or before a cursor that the service gave
    (`before=""` is the last page), or from an index."""

    max: int
    after: str | None = None
    before: str | None = None
    index: int | None = None


@dataclass(frozen=True, slots=True)
class ItemsRequest:
    """A request for items that means nothing beyond these fields (XEP-0060, 6.5).

    No ids and no `max_items`: the whole node. `paged` says that a `<set/>` came with it, which only a
    service that ignores it lets us answer.
    """

    key: NodeKey
    item_ids: tuple[str, ...] = ()
    max_items: int | None = None
    paged: bool = False
    privileged: bool = False
    """The program makes it in the name of another entity's account (XEP-0356)."""


class WriteKind(enum.StrEnum):
    """What a write of the program does to a node."""

    PUBLISH = "publish"
    RETRACT = "retract"
    PURGE = "purge"
    DELETE = "delete"
    UNSUBSCRIBE = "unsubscribe"
    OTHER = "other"
    """Configuration, affiliations, creation: only a listing shows what the node holds then."""


@dataclass(frozen=True, slots=True)
class WriteRequest:
    """A request of the program's own that may change a node."""

    key: NodeKey
    kind: WriteKind
    item_ids: tuple[str, ...] = ()
    """The ids of the items retracted."""
    items: tuple[SeenItem, ...] = ()
    """The items published. One without an id gets it from the service, in its answer."""
    privileged: bool = False
    """As in `ItemsRequest`."""
