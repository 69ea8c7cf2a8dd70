"""The values that the packages exchange: frozen classes and enums, named in XMPP's own words. This package knows no
clock, network or SQL.

Times are integers: microseconds since the epoch, UTC. XML goes from package to package as text of one whole `<item/>`
element in the namespace of XEP-0060 (`NS_PUBSUB`), its payload inside.
"""

from __future__ import annotations

from newsstand.model.answers import Answer, Origin, Page, Provenance, Rsm
from newsstand.model.events import (
    Change,
    ChangeKind,
    Configured,
    Deleted,
    News,
    Notification,
    Published,
    Purged,
    Retracted,
    SubscriptionChanged,
)
from newsstand.model.items import DIGEST_BYTES, Digests, HeldItem, Item, Outline, SeenItem, StorableItem, digest
from newsstand.model.namespaces import NS_DATA, NS_DISCO_INFO, NS_DISCO_ITEMS, NS_EVENT, NS_OWNER, NS_PUBSUB, NS_RSM
from newsstand.model.nodes import Counts, NodeKey, NodeRecord, Subscription, SyncState, Verdict
from newsstand.model.requests import ItemsRequest, Policy, RsmQuery, WriteKind, WriteRequest
from newsstand.model.work import Process, Progress

__all__ = [
    "DIGEST_BYTES",
    "NS_DATA",
    "NS_DISCO_INFO",
    "NS_DISCO_ITEMS",
    "NS_EVENT",
    "NS_OWNER",
    "NS_PUBSUB",
    "NS_RSM",
    "Answer",
    "Change",
    "ChangeKind",
    "Configured",
    "Counts",
    "Deleted",
    "Digests",
    "HeldItem",
    "Item",
    "ItemsRequest",
    "News",
    "NodeKey",
    "NodeRecord",
    "Notification",
    "Origin",
    "Outline",
    "Page",
    "Policy",
    "Process",
    "Progress",
    "Provenance",
    "Published",
    "Purged",
    "Retracted",
    "Rsm",
    "RsmQuery",
    "SeenItem",
    "StorableItem",
    "Subscription",
    "SubscriptionChanged",
    "SyncState",
    "Verdict",
    "WriteKind",
    "WriteRequest",
    "digest",
]
