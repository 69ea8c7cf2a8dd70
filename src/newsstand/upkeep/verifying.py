"""Compares a copy with its service by a listing of its own, and finds out whether a difference is more than news that
are under way."""

from __future__ import annotations

import asyncio
import dataclasses
from typing import NamedTuple

from newsstand.errors import Disconnected, ListingError, NotFollowed, NotInCopy, StanzaError
from newsstand.model import HeldItem, NodeKey, Progress, SyncState
from newsstand.rules.comparing import Verification, compare
from newsstand.rules.doubts import RELIST
from newsstand.state import doubts
from newsstand.state.context import Context
from newsstand.state.copies import Copy
from newsstand.state.spool import Spool
from newsstand.storage.statements import change_log, doubt_rows, items
from newsstand.sync import listing, subscriptions
from newsstand.sync.synchroniser import Synchroniser

ATTEMPTS = 8
"""Comparisons, until two in a row agree."""
BROKEN = 3
"""Listings that contradict themselves, until that is what is reported."""
PAUSE = 0.2
"""Seconds before the second comparison, longer each time: news on their way arrive meanwhile. The copy may be another
process's, whose notifications we do not receive."""
LONGEST = 2.0


class _Moment(NamedTuple):
    """A comparison, and what must not have changed for the next one to confirm it."""

    found: Verification
    listed: Spool
    heard: int
    revision: int
    quiet: bool


class Verifying:
    """Compares copies, and has them mended by the synchroniser."""

    def __init__(self, context: Context, synchroniser: Synchroniser) -> None:
        self._context = context
        self._synchroniser = synchroniser

    async def verify(self, key: NodeKey, progress: Progress | None, *, repair: bool) -> Verification:
        """As `compare_with_service`; with `repair`, what differs is listed anew, and compared again."""
        try:
            found = await compare_with_service(self._context, key, progress)
        except StanzaError as error:
            self._doubt_access(key, error)
            raise
        if found.equal or not repair:
            return found
        await self._mend(key, progress)
        again = await compare_with_service(self._context, key)
        return dataclasses.replace(found, repaired=True) if again.equal else found

    async def _mend(self, key: NodeKey, progress: Progress | None) -> None:
        copy = self._context.copies.find(key)
        if copy is None or not copy.followed:
            raise NotInCopy(f"{key.node!r} of {key.service} is not followed any more")
        if not self._context.connected or not self._context.serves(key.account):
            raise NotFollowed("another client in this process keeps this account's copies in this database")
        doubts.doubt(copy, RELIST)  # at once: reads ask the service from here on
        # What is noted of rows (digests, counts) is made what they are, so that the listing finds what is wrong.
        # The worker that owns the node learns of it by the doubt.
        node_id = copy.record.id
        _, counts = await self._context.database.write(
            lambda conn: (doubt_rows.raise_doubts(conn, node_id, [doubt_rows.WHOLE]), items.set_right(conn, node_id))
        )
        copy.count(counts)
        subscriptions.want_again(copy)
        await self._synchroniser.list_anew(copy, progress)

    def _doubt_access(self, key: NodeKey, error: StanzaError) -> None:
        """A copy that is served is closed where its service refuses it: the synchroniser finds that out."""
        copy = self._context.copies.find(key)
        if copy is not None and copy.record.state is SyncState.LIVE and not error.unreachable:
            doubts.doubt(copy, RELIST)
            self._synchroniser.want(copy)


async def compare_with_service(context: Context, key: NodeKey, progress: Progress | None = None) -> Verification:
    """What differs; a difference is believed when it is seen twice, nothing having happened between. Changes nothing.
    Raises NotInCopy where there is no complete copy, Disconnected, StanzaError, Timeout; ListingError where the node
    never rests."""
    if not context.online or not context.speaks_for(key.account):
        raise Disconnected("there is no session with the service")
    before: _Moment | None = None
    broken = 0
    for attempt in range(ATTEMPTS):
        try:
            now = await _compare(context, key, progress)
        except ListingError as error:
            # Pages between which something was published contradict each other, too.
            before, broken = None, broken + 1
            if broken == BROKEN or error.lasting:
                raise
        else:
            if now.found.equal or (before is not None and _confirms(before, now)):
                return now.found
            before = now
        await asyncio.sleep(min(PAUSE * (attempt + 1), LONGEST))
    raise ListingError("the node changed each time that it was compared")


def _confirms(before: _Moment, now: _Moment) -> bool:
    """Whether nothing but a wrong copy explains what both saw."""
    if not before.quiet or not now.quiet:
        return False
    same = (before.found, before.heard, before.revision) == (now.found, now.heard, now.revision)
    return same and before.listed.same_as(now.listed)


async def _compare(context: Context, key: NodeKey, progress: Progress | None) -> _Moment:
    copy = context.copies.find(key)
    if copy is None or not copy.record.complete:
        raise NotInCopy(f"there is no complete copy of {key.node!r} of {key.service}")
    await copy.inbox.quiet()
    heard = copy.inbox.received
    pages = listing.begin(context, copy)
    listed = await listing.download(context, key, context.behaviour(key.service), progress, pages=pages)
    await copy.inbox.quiet()
    revision, held = await _held(context, copy)
    quiet = heard == copy.inbox.received and not _in_motion(copy)
    return _Moment(compare(key, held, listed.items), listed.items, copy.inbox.received, revision, quiet)


def _in_motion(copy: Copy) -> bool:
    """Whether something is under way that may change the copy, or the service, in a moment."""
    return (
        copy.dropped
        or copy.own.under_way > 0
        or copy.listing.under_way
        or (copy.doubtful and copy.work.task is not None)
    )


async def _held(context: Context, copy: Copy) -> tuple[int, list[HeldItem]]:
    """The copy as it is stored, at one moment. Not as it is remembered: another process may keep it."""
    node_id = copy.record.id
    revision, held = await context.database.scan(
        lambda conn: (change_log.current_revision(conn, node_id), items.held_really(conn, node_id))
    )
    if revision is None:
        raise NotInCopy(f"there is no copy of {copy.key.node!r} of {copy.key.service} any more")
    return revision, held
