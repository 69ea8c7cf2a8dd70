"""Mends what is in doubt of a copy by asking for less than a whole listing."""

from __future__ import annotations

import asyncio
import dataclasses
import logging
from collections.abc import Awaitable, Callable, Sequence
from xml.etree.ElementTree import Element

from newsstand.errors import DatabaseError, ListingError, StanzaError
from newsstand.model import SeenItem, StorableItem, SyncState
from newsstand.rules.batch_sizes import ID_BATCH
from newsstand.rules.behaviour import Behaviour
from newsstand.rules.doubts import NOT_TOLD, RELIST, Chores, Doubts
from newsstand.rules.reconcile import Applied, Place, Put, Remove, Step, is_much_shorter, plan_listing, plan_stock
from newsstand.rules.refusals import MISSING
from newsstand.state import doubts, slots
from newsstand.state.context import Context
from newsstand.state.copies import Copy
from newsstand.storage.statements import items, polls
from newsstand.sync import cursor_probing, listing
from newsstand.xmpp import seen_items
from newsstand.xmpp.weight import is_heavy

log = logging.getLogger(__name__)

CHECK_REST = 20
"""After a check of the ids, the node rests so many times as long as the service took over it: a large node that
is written to all the time must not be listed all the time."""
SUSPECTS = 100
"""Items that are fetched by id when stock is taken; where more came, the listing brings them as fast."""

WATCHED = 100
"""Items of a node above which its order is not kept where the service's behaviour is known, though perhaps wrongly."""

Apply = Callable[[Copy, Sequence[Step]], Awaitable[Applied]]


class PartialSync:
    """The smaller doubts, one by one."""

    def __init__(self, context: Context, apply: Apply) -> None:
        self._context = context
        self._apply = apply

    async def refetch(self, copy: Copy, wanted: Sequence[str]) -> None:
        """Ask for items whose contents did not come along. Those that are not there any more were retracted."""
        heard = copy.inbox.received
        found: dict[str, SeenItem] = {}
        for item_id in wanted:
            # One by one: some services refuse a whole request for one missing id.
            try:
                iq = await listing.request_items(self._context, copy.key, item_ids=(item_id,))
            except StanzaError as error:
                if error.condition not in MISSING:
                    raise
                continue
            answer = await listing.read_answer(self._context, iq)
            found.update((item.id, item) for item in answer.items if item.id == item_id)
        await copy.inbox.quiet()
        if copy.inbox.received != heard:
            return  # something came meanwhile: what we have may be older. They are still in doubt.
        steps: list[Step] = [Put(item, Place.LAST, Place.KEEP) for item in found.values()]
        missing = tuple(id_ for id_ in wanted if id_ not in found)
        held = await self._context.database.read(items.which, copy.record.id, missing)
        if copy.inbox.received != heard:
            return
        if held:
            steps.append(Remove(tuple(held)))
        shows = seen_items.shows_publisher({item.publisher is not None for item in found.values()})
        if shows is not None and copy.record.shows_publisher is None:
            copy.update(shows_publisher=shows)
        applied = await self._apply(copy, steps)
        if applied.inserted:
            doubts.doubt(copy, RELIST)  # where among the others, only a listing shows
        if copy.inbox.received == heard:  # else the same item may be in doubt anew
            doubts.settle(copy, Doubts(refetch=frozenset(wanted)))
            doubts.settle_own_writes(copy)

    async def check_ids(self, copy: Copy) -> float:
        """See whether something was evicted: services drop what exceeds `max_items` without a word. Returns how
        long to leave the node in peace afterwards."""
        loop = asyncio.get_running_loop()
        await copy.inbox.quiet()
        heard = copy.inbox.received
        held = await self._context.database.scan(items.held_ids, copy.record.id)
        began, waited = loop.time(), slots.waited()
        listed, by_disco = await listing.list_ids(self._context, copy.key, held)
        confirmed = await self._is_confirmed(copy, held, listed)
        took = loop.time() - began - (slots.waited() - waited)
        await copy.inbox.quiet()
        if heard != copy.inbox.received:
            return took * CHECK_REST  # still in doubt: look again
        there = set(listed)
        evicted = tuple(id_ for id_ in held if id_ not in there)
        if not confirmed or len(held) - len(evicted) != len(there) or (evicted and not there):
            doubts.doubt(copy, RELIST)  # more than an eviction happened; one short list is not believed
        elif by_disco and not self._is_in_order(copy, [id_ for id_ in held if id_ in there], listed):
            doubts.doubt(copy, RELIST)  # the service did not tell of them in the order in which it stored them
        elif evicted:
            await self._apply(copy, [Remove(evicted)])
        if copy.inbox.received == heard:
            # Not a moment earlier: until the evicted are out, the copy must not answer.
            doubts.settle(copy, Doubts(check_ids=True))
            copy.checked.answered(loop.time())
            cursor_probing.note_need(copy)
            copy.note_verified(self._context.clock())
            if self._is_order_known(copy, by_disco=by_disco) and not copy.doubts.relist:
                # Nothing is hidden in it: what comes next can teach something.
                remember_order(self._context, copy, [id_ for id_ in held if id_ in there])
        return 0.0

    async def take_stock(self, copy: Copy) -> None:
        """See which items a copy that was not kept up lacks, and which it has too many, by the ids alone: few bytes
        where a listing takes many. What came or was moved is fetched, as far as that is little. Contents that were
        overwritten in place are not found so: the copy stays stale until it is listed."""
        copy.session.take_stock()
        behaviour = copy.learnt.behaviour
        held = await self._context.database.scan(items.held_ids, copy.record.id)
        try:
            listed = await listing.disco_ids(self._context, copy.key)
            if listed is None or not await self._is_confirmed(copy, held, listed):
                return
        except (StanzaError, ListingError) as error:
            log.info("the ids of %r could not be listed: %s", copy.key.node, error)
            return  # what that means, the listing shows
        if behaviour.disco_order is Behaviour.REVERSED:
            listed.reverse()
        in_order = behaviour.disco_order in (Behaviour.NODE_ORDER, Behaviour.REVERSED)
        stock = plan_stock(held, listed, moves_last=in_order and behaviour.overwritten is Behaviour.LAST)
        if not (stock.gone or stock.suspects) or len(stock.suspects) > SUSPECTS:
            return
        found = await self._fetch(copy, stock.suspects)
        if len(found) < len(stock.suspects):
            return  # some went meanwhile
        # At once: without what came, and what went taken out, it would be less than the node ever was. What came from
        # the oldest on, as the service stored it.
        steps: list[Step] = [Remove(stock.gone)] if stock.gone else []
        await self._apply(copy, [*steps, *(Put(item, Place.LAST, Place.LAST) for item in reversed(found))])

    async def _is_confirmed(self, copy: Copy, held: Sequence[str], listed: Sequence[str]) -> bool:
        """Whether a list of ids can be believed: of one that is much shorter than the copy, a second one must say the
        same."""
        there = set(listed)
        if not is_much_shorter(len(held), sum(id_ not in there for id_ in held)):
            return True
        again, _ = await listing.list_ids(self._context, copy.key, held)
        return set(again) == there

    async def _fetch(self, copy: Copy, item_ids: Sequence[str]) -> list[SeenItem]:
        """Those of the items that are there, in the order of `item_ids`."""
        skips = copy.session.skips_missing and copy.learnt.behaviour.missing_id is Behaviour.SKIPPED
        # One by one else: some services refuse a whole request for one missing id.
        size = ID_BATCH if skips else 1
        found: dict[str, SeenItem] = {}
        for start in range(0, len(item_ids), size):
            wanted = item_ids[start : start + size]
            try:
                iq = await listing.request_items(self._context, copy.key, item_ids=wanted)
            except StanzaError as error:
                if error.condition not in MISSING:
                    raise
                continue
            answer = await listing.read_answer(self._context, iq)
            found.update((item.id, item) for item in answer.items)
        return [found[id_] for id_ in item_ids if id_ in found]

    def take_in(self, copy: Copy, answered: Sequence[Element], *, shows_all: bool) -> None:
        """The service answered a read of the program about a copy that is not live: the copy takes over what it shows,
        which is worth something to whoever is offline next. `shows_all`: these are all of the node's items."""
        if not _is_idle(copy) or not 0 < len(answered) <= listing.SMALL or is_heavy(*answered):
            return
        seen = self._read(answered)
        if seen:
            shows_all &= len(seen) == len(answered)
            self._context.spawn(self._take_in(copy, seen, shows_all=shows_all), f"taking in {copy.key.node}")

    async def _take_in(self, copy: Copy, seen: list[SeenItem], *, shows_all: bool) -> None:
        now, heard, steps = self._context.clock(), copy.inbox.received, None
        try:
            if shows_all and copy.record.complete and copy.record.item_count <= len(seen):
                held = await self._context.database.scan(items.held, copy.record.id)
                if {item.id for item in held} <= {item.id for item in seen}:
                    steps = plan_listing(held, seen)  # in the service's order, and nothing is taken out for it
            if not _is_idle(copy) or copy.inbox.received != heard:
                return  # a listing that has begun since knows better
            await self._apply(copy, steps or [Put(item, Place.LAST, Place.KEEP) for item in seen])
        except (DatabaseError, ListingError) as error:
            log.info("an answer could not be kept: %s", error)
            return
        # Not a moment earlier: until it is stored, the copy says something else.
        if copy.inbox.received == heard:
            copy.checked.cover([item.id for item in seen], now)
            if steps is not None and copy.followed:
                copy.note_verified(now)

    async def compare(self, copy: Copy, answered: Sequence[Element], *, shows_all: bool) -> None:
        """What the service just answered verifies what it covers of a live copy; or casts doubt on all of it, for then
        something was not told."""
        now, heard = self._context.clock(), copy.inbox.received
        seen = self._read(answered)
        ids = [item.id for item in seen]
        contents = await self._context.database.read(polls.contents, copy.record.id, ids)
        wrong = [item for item in seen if contents.get(item.id) != item.content_digest]
        differs = [item for item in wrong if not await self._says_the_same(copy, item)]
        in_order = not shows_all or ids == await self._context.database.scan(items.held_ids, copy.record.id)
        if copy.inbox.received != heard or not copy.at_rest:
            return  # the copy is of another moment by now
        if differs or (not in_order and len(seen) == len(answered)):
            doubts.doubt(copy, NOT_TOLD)
        elif not wrong:
            copy.checked.cover(ids, now)
            if shows_all and in_order:
                copy.note_verified(now)

    def _read(self, answered: Sequence[Element]) -> list[SeenItem]:
        seen = [seen_items.read_item(element, self._context.limits) for element in answered]
        return [item for item in seen if item.id and item.quarantine is None]

    async def _says_the_same(self, copy: Copy, item: SeenItem) -> bool:
        """A publisher, or how an item is wrapped, may be shown in one answer and not in another."""
        stored = await self._context.database.read(items.xml_by_ids, copy.record.id, [item.id])
        return any(item.says_the_same(dataclasses.replace(item, xml=xml)) for xml in stored)

    async def revalidate(self, copy: Copy) -> float:
        """Ask whether the account may still read the node, which raises if not, and compare what that brings and the
        ids. The copy answers meanwhile: nothing speaks against it. Where it differs, something was not told: it may
        be another node of that name, though the service says that we are subscribed to it; so it is subscribed to
        again, and listed."""
        doubts.done(copy, Chores(revalidate=True))
        await copy.inbox.quiet()
        heard = copy.inbox.received
        iq = await listing.request_items(self._context, copy.key, max_items=1)
        answer = await listing.read_answer(self._context, iq)
        copy.checked.answered(asyncio.get_running_loop().time())
        await copy.inbox.quiet()
        same = [await self._holds(copy, item) for item in answer.items]
        rest, differs = 0.0, heard == copy.inbox.received and not all(same)
        if not differs:
            heard, count = copy.inbox.received, copy.record.item_count
            rest = await self.check_ids(copy)
            differs = heard == copy.inbox.received and (copy.doubts.relist or copy.record.item_count != count)
        if differs:
            doubts.doubt(copy, NOT_TOLD)
        return rest

    async def _holds(self, copy: Copy, item: SeenItem) -> bool:
        stored = await self._context.database.read(items.xml_by_ids, copy.record.id, [item.id])
        return item.quarantine is not None or stored == [item.xml]

    def _is_order_known(self, copy: Copy, *, by_disco: bool) -> bool:
        """Whether the copy's order, after a check of its ids, is sure to be the service's: it was compared, or no
        behaviour that may be learnt wrongly had a part in it."""
        behaviour = copy.learnt.behaviour
        compared = by_disco and behaviour.disco_order in (Behaviour.NODE_ORDER, Behaviour.REVERSED)
        return behaviour.new in (Behaviour.LAST, Behaviour.FIRST) and (
            compared or behaviour.overwritten is Behaviour.UNKNOWN
        )

    def _is_in_order(self, copy: Copy, ids: Sequence[str], listed: Sequence[str]) -> bool:
        """Whether disco#items names the ids as the copy orders them, as far as that behaviour is known."""
        match copy.learnt.behaviour.disco_order:
            case Behaviour.NODE_ORDER:
                return list(listed) == list(ids)
            case Behaviour.REVERSED:
                return list(listed) == list(reversed(ids))
            case _:
                return True


def _is_idle(copy: Copy) -> bool:
    """Not live, and nothing is under way that will know better."""
    return copy.followed and copy.record.state in (SyncState.STALE, SyncState.FAILED) and not copy.listing.under_way


def remember_order(context: Context, copy: Copy, ids: list[str], items: Sequence[StorableItem] | None = None) -> None:
    """Keep the order of a listing, where the next one can teach something by it. `items`: those listed, where they
    were."""
    behaviour = copy.learnt.behaviour
    unknown = Behaviour.UNKNOWN in (behaviour.new, behaviour.overwritten)
    # What looks like a move may have been none; what stays, stayed.
    doubtful = behaviour.overwritten in (Behaviour.LAST, Behaviour.FIRST) and len(ids) <= WATCHED
    if unknown or doubtful:
        copy.order.remember(ids, items)
    else:
        copy.order.forget()
