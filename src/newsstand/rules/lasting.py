"""Failures that wait until something changes, and those that are tried again by themselves
(docs/decisions/015-fair-shares.md). Pure.

A lasting failure waits for `Settings.retry_lasting`, over restarts too, unless something changes before: news of the
node that may heal it, the program's `synchronise`, a setting, Newsstand itself. The last two are found by a
fingerprint, which is stored with the failure."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Iterable

from newsstand.config import Settings
from newsstand.errors import NewsstandError, NodeTooLarge, NotFollowed, TooSlow
from newsstand.model import Configured, News, NodeRecord, Purged, Retracted, SyncState
from newsstand.version import VERSION

MOST_DOUBLINGS = 30
"""Of the pause: it has reached its limit long before, and numbers stay small."""


def fingerprint(settings: Settings, about: str = "") -> bytes:
    """The fingerprint of what a node may have failed by. Every setting counts: to try once too often costs little.
    `about` tells failures apart that end differently."""
    text = repr((about, VERSION, dataclasses.astuple(settings)))
    return hashlib.blake2b(text.encode(), digest_size=16).digest()


def waits_for_change(error: NewsstandError, state: SyncState) -> bool:
    """Whether a failure waits for a change, of a copy in this state. What a live copy fails by may concern less than a
    listing (a check of its ids, say): so it is listed first, by which it may become live again."""
    return error.lasting and (state is not SyncState.LIVE or isinstance(error, NodeTooLarge | NotFollowed))


def pause_after(error: NewsstandError, attempts: int, settings: Settings, *, lasting: bool = False) -> float:
    """Seconds until a node is tried again, after so many failures in a row. `lasting`: it waits for a change."""
    if lasting:
        return settings.retry_lasting
    pause = settings.retry_first * 2.0 ** min(max(0, attempts - 1), MOST_DOUBLINGS)
    if isinstance(error, TooSlow):
        pause = max(pause, error.seconds)  # it is not to be listed all the time
    return min(pause, settings.retry_most)


def is_waiting(record: NodeRecord, failed_by: bytes, now: int) -> bool:
    """Whether a node's last failure waits for a change still, at `now` in microseconds since the epoch, where
    `failed_by` is the fingerprint of this moment."""
    waits = record.state is SyncState.FAILED and record.failed_by == failed_by
    return waits and record.retry_at is not None and record.retry_at > now


def may_heal(news: Iterable[News]) -> bool:
    """Whether what a notification says may have done away with a lasting failure: items went, or the node is another by
    its configuration."""
    return any(isinstance(what, Retracted | Purged | Configured) for what in news)
