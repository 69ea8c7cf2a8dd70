"""The complete listing of a node: what it holds at one moment, checked by a second request."""

from __future__ import annotations

import asyncio
import dataclasses
import logging
from collections.abc import Callable, Sequence
from typing import Any

from newsstand.errors import Disconnected, ListingError, StanzaError, Timeout, TooSlow
from newsstand.model import ItemsRequest, Notification, Progress, Published, SyncState
from newsstand.rules.behaviour import Behaviour, ServiceBehaviour, learn_from_disco
from newsstand.rules.doubts import OWN_WRITE, RELIST, Chores, Doubts
from newsstand.rules.evidence import said_by_order
from newsstand.rules.reconcile import Applied, is_much_shorter, iter_listing
from newsstand.state import doubts, slots
from newsstand.state.context import Context
from newsstand.state.copies import Copy
from newsstand.state.lent_read import LentRead
from newsstand.state.listener import Listener
from newsstand.state.spool import Spool
from newsstand.storage.statements import items, nodes
from newsstand.sync import cursor_probing, listing, probing
from newsstand.sync.subscriptions import Subscriptions
from newsstand.workers.storing import Storing
from newsstand.xmpp import seen_items

log = logging.getLogger(__name__)

ATTEMPTS = 5
"""How often a listing is begun anew because notifications came in the middle of it."""
LIST_REST = 4
"""After a listing, the node rests so many times as long as the service took over it, before it is listed again."""


class FullSync:
    """Makes copies equal to what their nodes hold."""

    def __init__(
        self,
        context: Context,
        storing: Storing,
        subscriptions: Subscriptions,
        parse: Callable[[Copy], None],
        listener: Listener,
    ) -> None:
        self._context = context
        self._storing = storing
        self._subscriptions = subscriptions
        self._parse = parse
        self._listener = listener

    async def relist(self, copy: Copy, progress: Progress | None = None, lent: LentRead | None = None) -> None:
        """List the node once; its copy is live afterwards, if that can be believed. `lent`: a read of the program that
        asks for it."""
        if copy.listing.pages is None:
            await copy.inbox.quiet()
        mark = copy.listing.begin()
        copy.inbox.take_missed()
        try:
            if copy.record.state is not SyncState.LIVE:
                copy.update(state=SyncState.SYNCING)
            if asyncio.get_running_loop().time() - copy.session.confirmed_at > self._context.settings.revalidate:
                copy.session.doubt_subscription()  # of a copy that is not live, nobody asks whether it still is
            if not self._is_subscribed(copy):
                copy.order.forget()  # a gap: the news since that order are not all known
            await self._subscriptions.begin(copy)
            ids = await self._attempt(copy, mark, progress, lent)
        finally:
            is_this = copy.listing.is_this(mark)
            copy.listing.end(mark)
            if copy.record.state is not SyncState.LIVE and copy.listing.pages is None:
                copy.inbox.miss()
        self._listener.listed(copy)
        if not is_this:
            return  # the node was closed, or changed hands, or a session began: nothing is drawn from it
        if ids is None:
            doubts.doubt(copy, RELIST)
            self._set_pace(copy, disturbed=copy.pace.disturbed + 1)
            return
        self._set_pace(copy, disturbed=0)
        try:
            await probing.probe(self._context, copy, ids)
        except (StanzaError, Timeout, TooSlow, ListingError) as error:
            # The copy is right; only the service's behaviour is not known, and what depends on it is asked of it.
            log.info("the behaviour of %s could not be learnt: %s", copy.key.service, error)

    def _set_pace(self, copy: Copy, **changes: Any) -> None:
        copy.pace = dataclasses.replace(copy.pace, **changes)

    async def _attempt(
        self, copy: Copy, mark: object, progress: Progress | None, lent: LentRead | None
    ) -> list[str] | None:
        """One listing; stored, if it can be believed. Returns its ids then, in order. Raises ListingError when the
        last of several, one after the other, cannot."""
        turns = self._context.session_changes
        pages = copy.listing.take_pages()
        if pages is None:
            pages = listing.begin(self._context, copy)
        pages.waited = 0.0
        came_before = 0

        def begun() -> None:
            doubts.settle(copy, Doubts(relist=True, check_ids=True, refetch=copy.doubts.refetch))
            if copy.inbox.arriving:
                doubts.doubt(copy, OWN_WRITE)  # the copy does not say so yet
            copy.inbox.empty()  # what came before the request is in the listing

        def answered() -> None:
            nonlocal came_before
            came_before = len(copy.inbox)  # by the time that we go on, more may have come

        behaviour = copy.learnt.behaviour
        began, waited = asyncio.get_running_loop().time(), slots.waited()
        try:
            listed = await listing.download(self._context, copy.key, behaviour, progress, begun, answered, pages, lent)
        except Disconnected:
            if pages.number and copy.record.state is not SyncState.LIVE and self._is_subscribed(copy):
                copy.listing.interrupt(mark, pages)  # if the session is resumed, nothing was lost
            raise
        self._context.refusals.answered(ItemsRequest(copy.key))
        ids, by_disco = listed.items.ids, False
        if await self._is_in_doubt(copy, listed):
            ids, by_disco = await listing.list_ids(self._context, copy.key, listed.items)
        if not copy.listing.is_this(mark):
            return None  # it was closed meanwhile, say: this tells nothing of what the node is now
        now = asyncio.get_running_loop().time()
        # What was lost did not take the service's time, nor what we waited for others, nor what the database does.
        took = now - began - pages.waited - (slots.waited() - waited)
        self._set_pace(copy, took=took, rest_until=now + took * LIST_REST)
        shows = seen_items.shows_publisher(listed.items.shown_publishers)
        later = copy.inbox[came_before:]
        undisturbed = all(_contained(listed.items, shows, each, behaviour) for each in copy.inbox)
        may_differ = _ids_of(later if undisturbed else list(copy.inbox))
        same = ids == listed.items.ids or set(ids) ^ set(listed.items.ids) <= may_differ
        last = copy.pace.disturbed + 1 >= ATTEMPTS
        if (
            copy.doubts.relist
            or not self._is_subscribed(copy)
            or not same
            or not (undisturbed or (last and not listed.paged))
        ):
            if last:
                self._set_pace(copy, disturbed=0)
                raise ListingError("the node changed each time that it was listed")
            return None
        if undisturbed:
            copy.inbox.empty()
        else:
            # All that came meanwhile is applied on top, once more where the answer held it: what a service sent
            # before its answer may be missing in it. The order before teaches nothing, then.
            copy.order.forget()
        await self._context.learn(
            copy.key.service, behaviour, self._learnt(copy, listed, ids if by_disco else (), later)
        )
        await self._store(copy, listed, shows, turns, mark)
        listed.items.close()
        if not undisturbed:
            copy.order.forget()
        return listed.items.ids

    def _is_subscribed(self, copy: Copy) -> bool:
        """Whether we are notified of all that happens to the node, as far as is known."""
        return copy.session.subscribed and not copy.doubts.resubscribe

    async def _is_in_doubt(self, copy: Copy, listed: listing.Listed) -> bool:
        """Whether the ids are to be asked for, too. A listing by several answers, which agree with each other, is not
        believed alone where much of the copy is missing in it. One answer is not believed alone where anything is, or
        where there is no complete copy: it may be cut (XEP-0060, 6.5.4)."""
        if not copy.record.item_count or not (copy.record.complete or listed.paged):
            return not listed.paged
        held = await self._context.database.scan(items.held_ids, copy.record.id)
        there = set(listed.items.ids)
        missing = sum(id_ not in there for id_ in held)
        return is_much_shorter(len(held), missing) if listed.paged else missing > 0

    def _learnt(
        self, copy: Copy, listed: listing.Listed, ids: Sequence[str], later: Sequence[Notification]
    ) -> ServiceBehaviour:
        """What a listing, and the ids by another request, teach of the service."""
        behaviour = learn_from_disco(listed.behaviour, listed.items.ids, ids)
        if copy.order.ids is not None:
            # Only what came before the answer can have had a part in its order.
            until = len(copy.order.history) - sum(len(notification.news) for notification in later)
            if copy.order.explains(news := copy.order.history[:until], listed.items):
                said = said_by_order(behaviour, copy.order.ids, news, listed.items.ids)
                behaviour = copy.learnt.evidence.weigh(behaviour, said, copy.key, news)
        if copy.key.service == copy.key.account and listed.own_from is not Behaviour.UNKNOWN:
            behaviour = behaviour.learn(own_from=listed.own_from)
        return behaviour

    async def _store(self, copy: Copy, listed: listing.Listed, shows: bool | None, turns: int, mark: object) -> None:
        """Make the copy equal to a listing that was begun when the session had made so many turns."""
        now = self._context.clock()
        shows = copy.record.shows_publisher if shows is None else shows
        copy.update(reason=None, attempts=0, retry_at=None, failed_by=None, shows_publisher=shows)
        before = copy.record
        record = dataclasses.replace(before, state=SyncState.LIVE, complete=True, verified_at=now)

        def store(conn: Any) -> Applied:
            nodes.save(conn, record)
            steps = iter_listing(items.held(conn, record.id), listed.items)
            return items.apply(conn, record.id, steps, now, of_listing=listed.items)

        applied = await self._storing.write(copy, store)
        meanwhile, followed, counts = copy.record is not before, copy.followed, applied.counts
        goes_on = turns == self._context.session_changes and copy.listing.is_this(mark)
        believed = goes_on and followed and not copy.left
        copy.update(
            state=SyncState.LIVE if believed else SyncState.STALE if followed else copy.record.state,
            complete=followed,
            verified_at=now,
            revision=applied.revision,
            **counts._asdict(),
        )
        if not followed:
            await self._storing.write(copy, nodes.erase_items, copy.record.id)  # it was closed during the write
        copy.notify_watchers()
        if believed:
            facts = (copy.key.node, copy.key.service, counts.item_count, copy.pace.took)
            log.info("node %r of %s is synchronised: %d items, for which the service took %.2f s", *facts)
        if meanwhile:
            await self._storing.save(copy)  # what was changed of it during the write must not get lost, nor undo it
        doubts.done(copy, Chores(revalidate=True))
        copy.checked.answered(asyncio.get_running_loop().time())
        doubts.settle_own_writes(copy)
        copy.cursors.forget_all()
        cursor_probing.note_need(copy)
        probing.remember_order(copy, listed.items.ids, listed.items)
        for notification in copy.inbox:
            copy.order.note(notification.news)
        self._parse(copy)


def _contained(listed: Spool, shows: bool | None, notification: Notification, behaviour: ServiceBehaviour) -> bool:
    """Whether a notification that came during a listing changes nothing about it: services send a node's last item
    again to whoever subscribes."""
    if notification.delayed or len(notification.news) != 1 or not listed:
        return False
    news = notification.news[0]
    if not isinstance(news, Published) or len(news.items) != 1:
        return False
    item = seen_items.as_listed(news.items[0], shows)
    newest = listed[0] if Behaviour.FIRST in (behaviour.new, behaviour.overwritten) else listed[-1]
    return item.exact and item.content_digest == newest.content_digest


def _ids_of(notifications: Sequence[Notification]) -> set[str]:
    found: set[str] = set()
    for notification in notifications:
        for news in notification.news:
            if isinstance(news, Published):
                found.update(item.id for item in news.items)
            else:
                found.update(getattr(news, "item_ids", ()))
    return found
