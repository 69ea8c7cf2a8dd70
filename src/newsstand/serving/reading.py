"""`Replica.get_items`: drives a read, and makes an `Answer` of what comes."""

from __future__ import annotations

import asyncio

from newsstand.errors import Disconnected, ListingError, NewsstandError, NotInCopy, StanzaError, Timeout
from newsstand.model import Answer, ItemsRequest, Origin, Policy, RsmQuery
from newsstand.serving.asking import Asking
from newsstand.serving.driver import Driver
from newsstand.serving.fallback import Outcome, ask_or_fall_back
from newsstand.serving.items import Items
from newsstand.serving.steps import Ask, Form, Pending, Read, Refused, Repeated, Served
from newsstand.state.context import Context
from newsstand.sync import listing
from newsstand.xmpp import answers
from newsstand.xmpp.seen_items import payload_namespaces
from newsstand.xmpp.weight import is_heavy


class Reading:
    """The reads of one replica that its program makes with `get_items`."""

    def __init__(self, context: Context, driver: Driver, asking: Asking, items: Items) -> None:
        self._context = context
        self._driver = driver
        self._asking = asking
        self._items = items

    async def get_items(
        self, request: ItemsRequest, policy: Policy | None, max_age: float | None, rsm: RsmQuery | None
    ) -> Answer:
        """Does what `Replica.get_items` promises, and raises what that does."""
        until = asyncio.get_running_loop().time() + self._context.settings.patience
        step = self._driver.begin(Read(request, until, Form.ITEMS, policy, max_age))
        if isinstance(step, Pending):
            step = await self._driver.go_on(step)
        match step:
            case Served():
                return await self._answer_of_copy(step, rsm)
            case Refused():
                raise NotInCopy(f"{request.key.node!r} of {request.key.service}: {step.reason}")
            case Repeated():
                raise step.refusal.error
            case Ask():
                try:
                    return await self._ask(step, rsm)
                except asyncio.CancelledError:
                    self._asking.given_up(step)
                    raise

    async def _ask(self, ask: Ask, rsm: RsmQuery | None) -> Answer:
        request = self._request(ask, rsm)
        if ask.patience is None:
            return await self._answer_of_service(ask, await request)
        outcome = await ask_or_fall_back(self._context, self._driver, ask, request)
        if isinstance(outcome, Served):
            return await self._answer_of_copy(outcome, rsm)
        return await self._answer_of_service(ask, outcome)

    async def _request(self, ask: Ask, rsm: RsmQuery | None) -> Outcome:
        context, request = self._context, ask.read.request
        try:
            if not context.online or not context.speaks_for(request.key.account):
                raise Disconnected("there is no session with the service, and no copy to fall back to")
            iq = await listing.request_items(
                context, request.key, item_ids=request.item_ids, max_items=request.max_items, rsm=rsm
            )
        except (Timeout, Disconnected, StanzaError, ListingError) as error:
            self._asking.failed(ask, error)
            return error
        self._asking.replied(ask, iq)
        return iq

    async def _answer_of_service(self, ask: Ask, outcome: Outcome) -> Answer:
        if isinstance(outcome, NewsstandError):
            raise outcome
        request, limits = ask.read.request, self._context.limits
        elements = answers.find_items(outcome)
        namespaces = payload_namespaces([] if elements is None else elements)  # before they are taken apart
        read = answers.read_items
        listed = await asyncio.to_thread(read, outcome, limits) if is_heavy(outcome) else read(outcome, limits)
        found = await self._items.of_service(request.key, listed.items, namespaces)
        whole = not request.item_ids and request.max_items is None and listed.rsm is None
        now = self._context.clock()
        return Answer(items=found, rsm=listed.rsm, origin=Origin.SERVICE, verified_at=now, complete=whole)

    async def _answer_of_copy(self, served: Served, rsm: RsmQuery | None) -> Answer:
        read, made_of = served.read, served.made_of
        found = await self._items.parsed(read.request.key, served.found)
        if served.copy.is_closed():  # while they were parsed
            return await self.get_items(read.request, read.policy, read.max_age, rsm)
        return Answer(
            items=found,
            rsm=served.rsm,
            origin=made_of.origin,
            verified_at=made_of.verified_at,
            complete=made_of.complete,
            stale=made_of.stale,
            revision=made_of.revision,
        )
