"""Items: as a service sent them, as the copy compares and stores them, and as a program gets them."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

from newsstand.model.nodes import NodeKey

DIGEST_BYTES = 20


def digest(text: str) -> bytes:
    """The key of a name or of an item id: both may be longer than an index holds.

    Lone surrogates, which XML cannot carry but a program may pass, are kept apart rather than refused.
    """
    return hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=DIGEST_BYTES).digest()


class Digests(NamedTuple):
    """The digests by which an item is compared: of its id, of its content, and of what it says, whatever its id and
    publisher."""

    id: bytes
    content: bytes
    payload: bytes


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
        """The digest of what it says, whatever its id and publisher."""
        return digest(self.xml.partition(">")[2])

    @property
    def digests(self) -> Digests:
        return Digests(self.digest, self.content_digest, self.payload_digest)

    @property
    def size(self) -> int:
        return len(self.xml)

    def read(self) -> tuple[str | None, str]:
        """Its publisher and XML."""
        return self.publisher, self.xml

    def says_the_same(self, other: SeenItem) -> bool:
        """Whether both have the same payload, whatever their ids and publishers."""
        return self.xml.partition(">")[2] == other.xml.partition(">")[2]


class StorableItem(Protocol):
    """An item that can be stored: a `SeenItem`, or one whose XML is read from a file when it is needed."""

    @property
    def id(self) -> str: ...
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

    def read(self) -> tuple[str | None, str]:
        """Its publisher and XML."""


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


class HeldItem(NamedTuple):
    """An item that the copy holds, as far as a comparison with a listing needs it."""

    id: str
    content_digest: bytes
    position: int


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
