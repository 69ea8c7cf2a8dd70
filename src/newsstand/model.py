"""The values that the packages exchange: frozen classes and enums, named in XMPP's own words. This module knows no
clock, network or SQL.

Times are integers: microseconds since the epoch, UTC. XML goes from package to package as text of one whole `<item/>`
element in the namespace of XEP-0060 (`NS_PUBSUB`), its payload inside.
"""

from __future__ import annotations

import enum
import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

NS_PUBSUB = "http://jabber.org/protocol/pubsub"
NS_EVENT = "http://jabber.org/protocol/pubsub#event"
NS_OWNER = "http://jabber.org/protocol/pubsub#owner"
NS_RSM = "http://jabber.org/protocol/rsm"
NS_DISCO_INFO = "http://jabber.org/protocol/disco#info"
NS_DISCO_ITEMS = "http://jabber.org/protocol/disco#items"
NS_DATA = "jabber:x:data"

DIGEST_BYTES = 20


def digest(text: str) -> bytes:
    """The key of a name or of an item id: both may be longer than an index holds.

    Lone surrogates, which XML cannot carry but a program may pass, are kept apart rather than refused.
    """
    return hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=DIGEST_BYTES).digest()


class NodeKey(NamedTuple):
    """The key of a copy: a node as one account sees it. `account` and `service` are bare JIDs in canonical spelling
    (`newsstand.jid`)."""

    account: str
    service: str
    node: str


class SyncState(enum.StrEnum):
    """How far a copy of a node can be trusted."""

    UNSYNCED = "unsynced"
    """Not copied: undecided, or no analyser wants it."""
    SYNCING = "syncing"
    """A listing is under way."""
    LIVE = "live"
    """A finished, checked listing, and every event since."""
    STALE = "stale"
    """It was live; something since may have been missed."""
    FAILED = "failed"
    """The last synchronisation failed; it is tried again later."""
    GONE = "gone"
    """The node was deleted, or the account may not read it any more."""


class Verdict(enum.StrEnum):
    """What the analysers said of a node."""

    UNDECIDED = "undecided"
    WANTED = "wanted"
    UNWANTED = "unwanted"


class Subscription(enum.StrEnum):
    """Whether the account is subscribed to a node (XEP-0060, 4.2)."""

    NONE = "none"
    PENDING = "pending"
    SUBSCRIBED = "subscribed"


class Origin(enum.StrEnum):
    """Where an answer came from."""

    COPY = "copy"
    SERVICE = "service"


class Policy(enum.StrEnum):
    """Which of the two a read asks: the copy, or the service."""

    ASK_WHEN_STALE = "ask-when-stale"
    """The copy while it is live; the service otherwise; a stale copy only if the service cannot answer."""
    SERVE_STALE = "serve-stale"
    """A complete copy at once, marked where it is stale; meanwhile it is brought up to date in the background."""
    ONLY_COPY = "only-copy"
    """A complete copy, or nothing."""
    ONLY_SERVICE = "only-service"


@dataclass(frozen=True, slots=True)
class Rsm:
    """A `<set/>` of XEP-0059 in an answer. A field is None where the service left it out."""

    first: str | None = None
    last: str | None = None
    count: int | None = None
    index: int | None = None


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


@dataclass(frozen=True, slots=True)
class SeenItem:
    """An item as a service sent it. `xml` is the whole `<item/>` in `NS_PUBSUB`."""

    id: str
    xml: str
    publisher: str | None = None
    has_payload: bool = True
    quarantine: str | None = None
    """Why its XML cannot be kept (too deep, too large); `xml` is empty then, and the service is asked for it."""
    exact: bool = True
    """False where the service, asked for it, may well send something else than this (see
    `newsstand.xmpp.seen_items.as_listed`)."""

    @property
    def digest(self) -> bytes:
        return digest(self.id)

    @property
    def content_digest(self) -> bytes:
        return digest(self.xml)

    @property
    def payload_digest(self) -> bytes:
        """Of what it says, whatever its id and publisher."""
        return digest(self.xml.partition(">")[2])

    @property
    def size(self) -> int:
        return len(self.xml)

    def says_the_same(self, other: SeenItem) -> bool:
        """Whether both have the same payload, whatever their ids and publishers."""
        return self.xml.partition(">")[2] == other.xml.partition(">")[2]


class StorableItem(Protocol):
    """An item that can be stored: a `SeenItem`, or one whose XML is read from a file when it is needed."""

    @property
    def id(self) -> str: ...
    @property
    def xml(self) -> str: ...
    @property
    def publisher(self) -> str | None: ...
    @property
    def quarantine(self) -> str | None: ...
    @property
    def exact(self) -> bool: ...
    @property
    def digest(self) -> bytes: ...
    @property
    def content_digest(self) -> bytes: ...
    @property
    def payload_digest(self) -> bytes: ...
    @property
    def size(self) -> int:
        """About how many bytes its XML takes; known without reading that."""


@dataclass(frozen=True, slots=True)
class Outline(SeenItem):
    """An item whose payload was forgotten, but for its digest."""

    payload: bytes = b""

    @classmethod
    def of(cls, item: SeenItem) -> Outline:
        return cls(item.id, "", item.publisher, payload=item.payload_digest)

    @property
    def payload_digest(self) -> bytes:
        return self.payload


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


class HeldItem(NamedTuple):
    """An item that the copy holds, as far as a comparison with a listing needs it."""

    id: str
    content_digest: bytes
    position: int


@dataclass(frozen=True, slots=True)
class Published:
    """Items published or overwritten, in the order of the event (XEP-0060, 7.1.2)."""

    items: tuple[SeenItem, ...]


@dataclass(frozen=True, slots=True)
class Retracted:
    """Items retracted, by their ids (XEP-0060, 7.2.2.1)."""

    item_ids: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Purged:
    """All items of the node were removed (XEP-0060, 8.5.2); the node is still there."""


@dataclass(frozen=True, slots=True)
class Deleted:
    """The node was deleted (XEP-0060, 8.4.2)."""


@dataclass(frozen=True, slots=True)
class Configured:
    """The configuration changed: limits may have removed items, access may have gone."""


@dataclass(frozen=True, slots=True)
class SubscriptionChanged:
    """The service changed the account's subscription to the node (XEP-0060, 12.7)."""

    subscription: str


News = Published | Retracted | Purged | Deleted | Configured | SubscriptionChanged
"""One thing that a notification says of one node."""


@dataclass(frozen=True, slots=True)
class Notification:
    """What one message says of one node, in order. `delayed`: it was stored for us (XEP-0203), so newer
    things may have happened since, in any order."""

    key: NodeKey
    news: tuple[News, ...]
    delayed: bool = False

    @property
    def bytes(self) -> int:
        """About how much memory it takes."""
        return 500 + sum(len(item.xml) for news in self.news if isinstance(news, Published) for item in news.items)


class ChangeKind(enum.StrEnum):
    """What happened to an item of the copy."""

    PUT = "put"
    """An item is new or has other contents."""
    RETRACT = "retract"
    """An item is gone: retracted, purged, or evicted by the service."""


@dataclass(frozen=True, slots=True)
class Change:
    """A change of one item of the copy, as `replica.watch` yields it. `item` is the item that was put, parsed, as the
    copy holds it now: a later change may be in it already. None where the item is gone."""

    key: NodeKey
    revision: int
    kind: ChangeKind
    item_id: str
    item: Item | None = None


@dataclass(frozen=True, slots=True)
class Item:
    """An item of the copy, or of the service's answer. `recency` and `first_seen` are in microseconds since the epoch;
    `recency` is unique in a database and orders items of all nodes, newest last. Both, and `revision`, are 0 where the
    service answered and the copy does not hold the same. `parsed` is None where no parser knew the payload."""

    key: NodeKey
    id: str
    xml: str
    parsed: Mapping[str, Any] | None
    publisher: str | None
    revision: int
    recency: int
    first_seen: int
    parse_error: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Provenance:
    """Where an answer came from, and how far it can be trusted. slixmpp programs find it as `iq.newsstand` on what the
    copy answered."""

    origin: Origin
    verified_at: int | None = None
    """When a finished listing, or the event stream since one, last vouched for it: in microseconds since the epoch.
    None for an answer of the service itself."""
    complete: bool
    """Whether the copy holds all of the node; of an answer of the service, whether all was asked for."""
    stale: bool = False
    """Whether nothing vouches for it now."""
    revision: int | None = None
    """The copy's, when it was read: `replica.watch` yields what came after. None for an answer of the service."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer(Provenance):
    """What `replica.get_items` returns: items, and where they came from."""

    items: Sequence[Item]
    rsm: Rsm | None = None
    """The service's, where a page was asked for, or where it sends one along unasked."""


@dataclass(frozen=True, slots=True)
class Page:
    """A page of the results of a search, newest first. `next` is the cursor for `after=`, None at the end. `total` is
    how many there are, counted up to 10,000."""

    items: Sequence[Item]
    next: int | None
    total: int


class Counts(NamedTuple):
    """How many items a node has, how many of them are in quarantine, and how many bytes they take."""

    item_count: int = 0
    quarantined: int = 0
    payload_bytes: int = 0
    """The size of the XML of all items, in UTF-8."""


@dataclass(frozen=True, slots=True)
class NodeRecord:
    """What the database remembers of a node."""

    id: int
    key: NodeKey
    verdict: Verdict = Verdict.UNDECIDED
    analyser: str | None = None
    type: str | None = None
    subtype: str | None = None
    analysed_by: bytes | None = None
    """The fingerprint of the analysers that gave the verdict; another fingerprint makes it void."""
    state: SyncState = SyncState.UNSYNCED
    reason: str | None = None
    complete: bool = False
    verified_at: int | None = None
    revision: int = 0
    subscription: Subscription = Subscription.NONE
    access_model: str | None = None
    pubsub_type: str | None = None
    attempts: int = 0
    retry_at: int | None = None
    """When it is tried again; of a node that is closed to its account, when its items are erased."""
    failed_by: bytes | None = None
    """Where a failed node waits for a change: the fingerprint of what it failed by (`newsstand.rules.lasting`); where
    that is another one now, it changed. None: it is tried again after an ordinary pause."""
    shows_publisher: bool | None = None
    """Whether answers of this node name the publisher; None while no item was seen in one."""
    read_at: int | None = None
    item_count: int = 0
    quarantined: int = 0
    payload_bytes: int = 0

    @property
    def counts(self) -> Counts:
        return Counts(self.item_count, self.quarantined, self.payload_bytes)


class Process(NamedTuple):
    """A process of the operating system, told from every other one, also on other machines and at other times."""

    host: str
    """The machine since it was booted, and, where processes are numbered by container, which container."""
    pid: int
    started: str
    """When, by the machine's own count; empty where it is not known. A number is given again after a while."""


Progress = Callable[[int, "int | None"], None]
"""Called with how many items have come, and how many there will be, if that is known."""
