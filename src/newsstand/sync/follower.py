"""Applies notifications to copies: each once, in order, and only from where they may come."""

from __future__ import annotations

import asyncio
import logging
from xml.etree.ElementTree import Element

from newsstand.errors import DatabaseError, LeaseLost
from newsstand.model import (
    NS_EVENT,
    Deleted,
    News,
    NodeKey,
    Notification,
    Published,
    Retracted,
    SeenItem,
    SubscriptionChanged,
    SyncState,
)
from newsstand.rules.behaviour import Behaviour
from newsstand.rules.doubts import CHECK_IDS, RELIST, Doubts, refetch
from newsstand.rules.reconcile import Applied, NewsPlan, doubts_after, plan_news
from newsstand.state import doubts
from newsstand.state.context import Context
from newsstand.state.copies import Copy
from newsstand.state.elsewhere import Awaited
from newsstand.sync.synchroniser import Synchroniser
from newsstand.workers.storing import Storing
from newsstand.xmpp import seen_items
from newsstand.xmpp.notifications import read_message
from newsstand.xmpp.transport import Session

log = logging.getLogger(__name__)

BATCH = 200
"""Notifications stored in one transaction: planning more at a time would block the event loop for long."""
BATCH_BYTES = 1 << 20
"""Their bytes, for the same reason."""
MOST_REFETCHED = 200
"""Items whose contents are asked for one by one; where more are in doubt, the node is listed."""

_EVENT = f"{{{NS_EVENT}}}event"


class Follower:
    """Receives messages, and keeps the copies of live nodes current by the notifications in them."""

    def __init__(self, context: Context, storing: Storing, synchroniser: Synchroniser) -> None:
        self._context = context
        self._storing = storing
        self._synchroniser = synchroniser
        self._busy: set[NodeKey] = set()

    def receive_message(self, message: Element) -> None:
        """Take in a message, at once. Only what a followed service says of a node that is followed for the account
        that it is addressed to counts (XEP-0060, 12.5 leaves the check to the receiver)."""
        if self._context.transport is None or message.find(_EVENT) is None:
            return
        for notification in read_message(message, self._context.own_jid, self._context.limits):
            self._context.refusals.forget(service=notification.key.service, node=notification.key.node)
            self._context.service_responded(notification.key)
            copy = self._context.copies.find(notification.key)
            if copy is not None and copy.followed:
                self.receive(copy, notification)

    def receive(self, copy: Copy, notification: Notification) -> None:
        """Take in news of a node: from now on reads wait for it."""
        copy.inbox.void_answers()
        copy.checked.forget_covered()
        if copy.record.state is not SyncState.LIVE:
            self._synchroniser.late_news.notified(copy, notification)
        if not copy.lease.ours:
            self._await(copy, notification)
            return
        if any(_ends_subscription(news) for news in notification.news):
            copy.session.end_subscription()  # in whatever state: the next listing subscribes first
            copy.listing.forget_pages()
        copy.own.keep_notified(notification.news, copy.inbox.received)
        if copy.listing.is_any or copy.record.state is SyncState.LIVE:
            if copy.inbox.put(notification):
                copy.order.note(notification.news)
            else:
                doubts.doubt(copy, RELIST)
                copy.listing.forget_pages()
                copy.order.forget()
                self._synchroniser.want(copy)
            self.drain(copy)
        elif any(isinstance(news, Deleted) for news in notification.news):
            self._synchroniser.closing.shut(copy, "the node was deleted")
            self._context.spawn(self._synchroniser.closing.settle(copy), "closing a node")
        else:
            # A copy that is neither live nor being listed will be listed: that brings it. But what came between is
            # then not known, so the order will teach nothing.
            copy.order.forget()
            self._synchroniser.note_news_of_failed(copy, notification.news)

    def _await(self, copy: Copy, notification: Notification) -> None:
        """Another worker owns this node, and is notified, too. Until the copy says what was received here, the service
        answers."""
        copy.own.keep_notified(notification.news, copy.inbox.received)
        for news in notification.news:
            match news:
                case Published(items):
                    for item in items:
                        self.await_item(copy, item.id, item)
                case Retracted(item_ids):
                    for item_id in item_ids:
                        self.await_item(copy, item_id, None)
                case _:
                    doubts.doubt(copy, RELIST)
        self._synchroniser.want(copy)

    def await_item(self, copy: Copy, item_id: str, seen: SeenItem | None) -> None:
        """The copy will say this of an item, or, None, that it is gone."""
        now = asyncio.get_running_loop().time()
        item = None if seen is None else seen_items.as_listed(seen, copy.record.shows_publisher)
        if item is None or item.exact:
            copy.elsewhere.await_item(item_id, Awaited(now, None if item is None else item.content_digest))
        else:
            copy.elsewhere.await_no_more([item_id])
            doubts.doubt(copy, refetch(item_id))

    def drain(self, copy: Copy) -> None:
        """See to it that what was received for a live copy gets applied."""
        if copy.inbox.arriving and not copy.listing.under_way and copy.key not in self._busy:
            self._busy.add(copy.key)
            self._context.spawn(self._drain(copy), f"following {copy.key.node}")

    async def _drain(self, copy: Copy) -> None:
        try:
            while copy.inbox.arriving and not copy.listing.under_way and copy.record.state is SyncState.LIVE:
                await self._apply(copy, copy.inbox.oldest(BATCH, BATCH_BYTES))
        except LeaseLost:
            copy.inbox.empty()
        except DatabaseError as error:
            log.warning("news of node %r could not be stored: %s", copy.key.node, error)
            doubts.doubt(copy, RELIST)
            copy.inbox.empty()
        finally:
            self._busy.discard(copy.key)
        if copy.record.state is not SyncState.LIVE and not copy.listing.is_any:
            copy.inbox.empty()
        if self._synchroniser.has_work(copy):
            self._synchroniser.want(copy)

    async def _apply(self, copy: Copy, batch: list[Notification]) -> None:
        behaviour = copy.learnt.behaviour
        news = [news for notification in batch for news in notification.news]
        plan = plan_news(news, behaviour, copy.record.shows_publisher)
        known_gone = copy.inbox.gone
        close = copy.inbox.note_close(news, asyncio.get_running_loop().time())
        # Stored for the offline, it may come behind newer news; what a resumed session brings along is in order.
        late = self._context.session is not Session.RESUMED and any(notification.delayed for notification in batch)
        doubted = plan.doubts | Doubts(relist=late, refetch=frozenset(close))

        def find_doubts(applied: Applied) -> Doubts:
            found = doubted | doubts_after(applied, behaviour, known_gone, unchecked=copy.doubts.check_ids)
            # Close together, their notifications may come in another order.
            moved = applied.overwritten and behaviour.overwritten is not Behaviour.STAYS and copy.inbox.recent > 1
            return found | CHECK_IDS if moved else found

        applied = await self._synchroniser.apply(
            copy, plan.steps, lambda applied: doubted.is_any or find_doubts(applied).is_any
        )
        # From here on without a pause: a read must not see the news taken in and the doubts not yet.
        found = find_doubts(applied)
        if plan.doubts.relist:
            copy.forget_access_model()  # the configuration changed: look before the next subscription
        doubts.doubt(copy, found)
        if len(copy.doubts.refetch) > MOST_REFETCHED:
            doubts.doubt(copy, RELIST)
        copy.note_verified(self._context.clock())
        copy.inbox.take(len(batch))
        await self._outcome(copy, plan)

    async def _outcome(self, copy: Copy, plan: NewsPlan) -> None:
        if plan.deleted:
            await self._synchroniser.closing.close(copy, "the node was deleted")
        elif plan.subscription not in (None, "subscribed"):
            # Subscribing again tells whether we may; until then nothing comes.
            copy.session.doubt_subscription()
            await self._storing.save(
                copy, state=SyncState.STALE, reason=f"the service says: subscription {plan.subscription}"
            )
            doubts.doubt(copy, RELIST)


def _ends_subscription(news: News) -> bool:
    match news:
        case Deleted():
            return True
        case SubscriptionChanged(subscription):
            return subscription != "subscribed"
        case _:
            return False
