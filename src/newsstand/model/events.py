"""What happens to a node: as a notification says it (XEP-0060), and as `replica.watch` yields it."""

from __future__ import annotations

import enum
from dataclasses import dataclass, field

from newsstand.model.items import Item, SeenItem
from newsstand.model.nodes import NodeKey


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
    bytes: int = field(init=False, repr=False, compare=False)
    """About how much memory it takes."""

    def __post_init__(self) -> None:
        texts = (len(item.xml) for news in self.news if isinstance(news, Published) for item in news.items)
        object.__setattr__(self, "bytes", 500 + sum(texts))


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
