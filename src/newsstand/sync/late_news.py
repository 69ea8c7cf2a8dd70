"""Compares copies that were served stale at the start of a session with their services, and has the program notified of
what differs (docs/decisions/021-the-start-of-a-session.md)."""

from __future__ import annotations

import asyncio
import dataclasses
import logging
import weakref
from collections.abc import Callable, Sequence

from newsstand.errors import DatabaseError, NewsstandError, StanzaError
from newsstand.model import NodeKey, Notification, Origin, Provenance, Published, Retracted, SeenItem, SyncState
from newsstand.rules.reconcile import plan_listing
from newsstand.rules.refusals import MISSING
from newsstand.rules.start import SMALL
from newsstand.state.context import Context
from newsstand.state.copies import Copy
from newsstand.state.stale_first import StaleFirst
from newsstand.storage.statements import items, polls
from newsstand.sync import listing
from newsstand.sync.evictions import Apply
from newsstand.xmpp import notifications

log = logging.getLogger(__name__)

AFTER = 3.0
"""Seconds after which a copy that was served stale is compared. Services push the last item of each node when presence
comes, and of a node of one item that is all there is to know."""

ONLY = "current"
"""The id of the item of a node that never has another one (XEP-0163, 4.1, by convention). Elsewhere, the last item does
not show that there is no other."""

Refused = Callable[[NodeKey, StanzaError, bool], None]
"""The service refused to list a node, with this error; whether that says that there is no such node."""


class LateNews:
    """Compares the copies of one replica that were served stale, each once in a session."""

    def __init__(self, context: Context, apply: Apply, refused: Refused) -> None:
        self._context = context
        self._apply = apply
        self._refused = refused
        self._comparing: weakref.WeakKeyDictionary[Copy, asyncio.Lock] = weakref.WeakKeyDictionary()
        """A copy is compared once at a time: else the program would be notified twice."""

    def served(self, copy: Copy) -> None:
        """A copy was served stale: it is compared soon."""
        if copy.stale_first.serve():
            asyncio.get_running_loop().call_later(AFTER, self._begin, copy, copy.stale_first)

    def _begin(self, copy: Copy, start: object) -> None:
        if copy.stale_first is start and not self._context.closed and self._is_due(copy):
            self._context.spawn(self.compare(copy), f"comparing {copy.key.node}")

    def _is_due(self, copy: Copy) -> bool:
        start = copy.stale_first
        return start.due and not start.verified and self._context.online and not copy.is_closed()

    def notified(self, copy: Copy, notification: Notification) -> None:
        """A notification of a node came whose copy is not live. Where it says what the copy says, that may go on."""
        copy.stale_first.contradict(notification.news)
        match notification.news:
            case (Published((item,)),) if item.has_payload and copy.record.complete:
                self._context.spawn(self._agree(copy, item), f"comparing {copy.key.node}")

    async def _agree(self, copy: Copy, item: SeenItem) -> None:
        start = copy.stale_first
        try:
            same = not await self._differing(copy, [item])
        except DatabaseError as error:
            log.info("a notification could not be compared with the copy of %r: %s", copy.key.node, error)
            return
        if same and copy.stale_first is start:
            start.agree(item, whole=copy.record.item_count == 1 and item.id == ONLY)

    async def compare(self, copy: Copy) -> None:
        """Compare a copy that was served stale, if it is still to be; it is equal afterwards, and the program notified
        of what was not. Where the service cannot be asked, or the node changes meanwhile, nothing is drawn from it."""
        start = copy.stale_first
        try:
            async with self._comparing.setdefault(copy, asyncio.Lock()):
                if self._is_due(copy) and copy.record.item_count <= SMALL:
                    await self._compare(copy)
        except StanzaError as error:
            if not error.unreachable:
                start.contradict(())  # the copy does not say that
            self._refused(copy.key, error, error.condition in MISSING)
        except NewsstandError as error:
            log.info("node %r of %s could not be compared: %s", copy.key.node, copy.key.service, error)

    async def _compare(self, copy: Copy) -> None:
        context, start, received = self._context, copy.stale_first, copy.inbox.received

        def is_so() -> bool:
            """Whether the node is as it was when the service was asked, as far as is known."""
            quiet = copy.inbox.received == received and not copy.own.under_way and not copy.listing.under_way
            return quiet and copy.stale_first is start and copy.record.state is not SyncState.LIVE

        answer = await listing.read_answer(context, await listing.request_items(context, copy.key))
        seen = answer.items
        if answer.rsm is not None and answer.rsm.count != len(seen):
            return  # a page (XEP-0060, 6.5.4)
        if any(item.quarantine is not None or not item.id for item in seen):
            return
        held = await context.database.scan(items.held, copy.record.id)
        gone = {item.id for item in held} - {item.id for item in seen}
        if gone:  # a second witness
            ids = await listing.disco_ids(context, copy.key)
            if ids is None or not gone.isdisjoint(ids):
                return
        changed = await self._differing(copy, seen)
        if not is_so():
            return
        await self._apply(copy, plan_listing(held, seen))
        if copy.stale_first is not start:
            return
        if quiet := is_so():
            start.compared()
            copy.note_verified(context.clock())
        await self._tell(copy, start, changed, sorted(gone), quiet=quiet)

    async def _differing(self, copy: Copy, seen: Sequence[SeenItem]) -> list[SeenItem]:
        """Those of the items that the copy does not hold, or of which it says something else."""
        database, node_id = self._context.database, copy.record.id
        contents = await database.read(polls.contents, node_id, [item.id for item in seen])
        found = []
        for item in seen:
            if contents.get(item.id) != item.content_digest:
                stored = await database.read(items.xml_by_ids, node_id, [item.id])
                # A publisher may be shown in one answer and not in another.
                if not any(item.says_the_same(dataclasses.replace(item, xml=xml)) for xml in stored):
                    found.append(item)
        return found

    async def _tell(
        self, copy: Copy, start: StaleFirst, changed: Sequence[SeenItem], gone: Sequence[str], *, quiet: bool
    ) -> None:
        """Notify the program of what it was not notified of by the service itself, in the node's order. Unless it was
        `quiet` meanwhile, what the service itself said of an item is the newer word."""
        key, transport = copy.key, self._context.transport
        assert transport is not None
        made_of = Provenance(
            origin=Origin.COPY,
            verified_at=copy.record.verified_at,
            complete=copy.record.complete,
            revision=copy.record.revision,
        )
        before, notified = dict(start.notified), start.notified
        news: list[tuple[str, bytes | None, Published | Retracted]] = [
            (item.id, item.payload_digest, Published((item,))) for item in changed
        ]
        news += [(item_id, None, Retracted((item_id,))) for item_id in gone]
        for item_id, says, what in news:
            if copy.stale_first is not start or copy.is_closed():
                return  # another session began, or the account may not read it any more
            is_older = item_id in notified and (not quiet or notified[item_id] != before.get(item_id, b""))
            if is_older or notified.get(item_id, b"") == says:
                continue
            transport.deliver(notifications.write_message(what, key, self._context.spelt(key.service)), made_of)
            await asyncio.sleep(0)  # they may be many


def may_serve_stale(copy: Copy) -> bool:
    """Whether a copy may be served before anything was asked of its service, in this session."""
    record, start = copy.record, copy.stale_first
    small = record.complete and 0 < record.item_count <= SMALL
    return small and record.state is SyncState.STALE and not start.contradicted and not copy.doubtful
