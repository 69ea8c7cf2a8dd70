"""What is known of a node: its key, what was decided about it, and how far its copy can be trusted."""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import NamedTuple


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
    session_reads: int = 0
    """How often the program read it in the session that read it last, counted to three."""
    item_count: int = 0
    quarantined: int = 0
    payload_bytes: int = 0

    @property
    def counts(self) -> Counts:
        return Counts(self.item_count, self.quarantined, self.payload_bytes)
