"""Asks what nodes are, subscribes to those that are followed, and unsubscribes."""

from __future__ import annotations

import asyncio
import collections
import logging

from newsstand import jid
from newsstand.errors import ListingError, NotFollowed, ServiceError, StanzaError, Timeout
from newsstand.model import Subscription, SyncState, Verdict
from newsstand.rules.doubts import RELIST, Chores, Doubts
from newsstand.rules.refusals import MISSING
from newsstand.state import doubts
from newsstand.state.context import Context
from newsstand.state.copies import Copy
from newsstand.sync import listing
from newsstand.workers.storing import Storing
from newsstand.xmpp import answers, requests

log = logging.getLogger(__name__)

UNANSWERED = 2
"""How often in a row a service may leave it open whether we are subscribed: one answer may get lost."""


class Subscriptions:
    """Subscribes the accounts of a replica to nodes, each account with its bare JID, and unsubscribes them."""

    def __init__(self, context: Context, storing: Storing) -> None:
        self._context = context
        self._storing = storing
        self._session = 0
        self._say_nothing: set[str] = set()
        """Services from which nobody learns, as was seen in this session, whether a subscription is still there."""
        self._unanswered: collections.Counter[str] = collections.Counter()
        """How often in a row they did not answer that; by host, as `protocol.host_of` names them."""

    async def begin(self, copy: Copy) -> None:
        """Subscribe, if that was not done in this session. Before a listing, so that nothing falls between; again in
        each session, because it is idempotent, and repairs what a deleted and re-created node forgot. Raises
        NotFollowed where notifications would not come, and what asking the service raises."""
        await self._look(copy)
        if copy.session.subscribed and not copy.doubts.resubscribe:
            return
        key, session = copy.key, copy.session
        agreed = session.subscribing()

        def answered() -> None:
            # Not when we go on, and not if news of an end came first: some services send answers and notifications
            # in no certain order. Then it is done again.
            if agreed() and copy.session is session:
                doubts.settle(copy, Doubts(resubscribe=True))

        try:
            request = requests.subscribe_request(key.node, self._context.spelt(key.account))
            iq = await self._context.ask("set", key, request, on_answer=answered)
        except StanzaError as error:
            if error.condition in MISSING:
                raise
            # Reading may be refused as well, and then nothing of it may be served: that raises here.
            await listing.request_items(self._context, key, max_items=1)
            raise NotFollowed(f"the service refuses the subscription: {error}", lasting=error.lasting) from error
        subscription = answers.read_subscription(iq)
        if subscription is not Subscription.SUBSCRIBED:
            await self.end(copy)
            raise NotFollowed(f"the subscription is {subscription.value}, so no notifications would come")
        self._confirmed(copy)
        await self._storing.save(copy, subscription=subscription)

    async def confirm(self, copy: Copy) -> None:
        """See whether the subscription is still there, of a copy that is live: services may drop it, or replace the
        node, without a word. One that is not is made again, and the node listed: of what happened meanwhile nobody
        was notified.
        Where the service does not say, the node is subscribed to again, which repairs what comes; whether something
        was missed is not known then. Raises as `begin`."""
        doubts.done(copy, Chores(confirm=True))
        named = await self._is_named(copy)
        if named:
            self._confirmed(copy)
            return
        copy.session.doubt_subscription()
        if named is None:
            await self.begin(copy)
            return
        log.info("the subscription to %r of %s was lost", copy.key.node, copy.key.service)
        doubts.doubt(copy, RELIST)
        copy.order.forget()  # a gap: the news since that order are not all known
        copy.forget_access_model()  # it may be another node: look before subscribing to it
        await self.begin(copy)
        if await self._is_named(copy) is False:
            # It would be listed each time.
            self._say_nothing.add(copy.key.service)

    def _confirmed(self, copy: Copy) -> None:
        doubts.done(copy, Chores(confirm=True))
        copy.session.confirm(asyncio.get_running_loop().time())

    async def _is_named(self, copy: Copy) -> bool | None:
        """Whether the service names our subscription; None where it does not say. Only of this node: some services
        cannot list all that an account has."""
        key, host = copy.key, jid.host_of(copy.key.service)
        if self._session != self._context.session_number:
            self._session = self._context.session_number
            self._say_nothing.clear()
            self._unanswered.clear()
        if key.service in self._say_nothing or self._unanswered[host] >= UNANSWERED:
            return None  # not to be waited for each time
        try:
            iq = await self._context.ask("get", key, requests.subscriptions_request(key.node))
        except StanzaError:
            return None  # what that means, subscribing shows
        except Timeout:
            self._unanswered[host] += 1
            return None
        self._unanswered.pop(host, None)
        return answers.names_subscription(iq, key)

    async def _look(self, copy: Copy) -> None:
        """Look at the access model before the first subscription: to subscribe to a node of model authorize would
        bother its owner with a request that nobody made. It is stored with what comes of the subscription, or of the
        listing."""
        if copy.record.access_model is not None:
            return
        info = await self.node_info(copy)
        copy.update(access_model=info.access_model or "", pubsub_type=info.pubsub_type or "")
        if info.access_model == "authorize":
            reason = "its owner decides on each subscription (access model authorize)"
            await self._storing.save(
                copy,
                verdict=Verdict.UNWANTED,
                analysed_by=self._context.analysers.fingerprint,
                state=SyncState.UNSYNCED,
                reason=reason,
            )
            raise NotFollowed(reason)

    async def node_info(self, copy: Copy) -> answers.NodeInfo:
        """The node's meta-data; empty where the service does not tell."""
        try:
            async with self._context.errands.slot(jid.host_of(copy.key.service)):
                iq = await self._context.ask("get", copy.key, requests.disco_info_request(copy.key.node))
        except StanzaError:
            return answers.NodeInfo()
        return answers.read_disco_info(iq)

    async def end(self, copy: Copy) -> None:
        """Unsubscribe. Best effort: a service that refuses has nothing to unsubscribe, and one that left our last
        request unanswered is not waited for, node after node."""
        copy.session.doubt_subscription()
        key, host = copy.key, jid.host_of(copy.key.service)
        try:
            async with self._context.errands.slot(host):
                if host in self._context.silent:
                    raise Timeout("it did not answer the request before, either")
                payload = requests.unsubscribe_request(key.node, self._context.spelt(key.account))
                await self._context.ask("set", key, payload)
        except (ServiceError, ListingError) as error:
            log.debug("could not unsubscribe from %r: %s", key.node, error)
        copy.update(subscription=Subscription.NONE)


def leave(copy: Copy) -> None:
    """The program unsubscribed by itself: the node is not followed again until it asks for that."""
    copy.left = True


def want_again(copy: Copy) -> None:
    """The program asks for it."""
    copy.left = False
