"""Fetches single items of a node, by their ids, where that is less than a whole listing."""

from __future__ import annotations

import logging
from collections.abc import Sequence

from newsstand.errors import ListingError, StanzaError
from newsstand.model import SeenItem
from newsstand.rules.batch_sizes import ID_BATCH
from newsstand.rules.behaviour import Behaviour
from newsstand.rules.doubts import RELIST, Doubts
from newsstand.rules.reconcile import Place, Put, Remove, Step, plan_stock
from newsstand.rules.refusals import MISSING
from newsstand.state import doubts
from newsstand.state.context import Context
from newsstand.state.copies import Copy
from newsstand.storage.statements import items
from newsstand.sync import listing
from newsstand.sync.evictions import Apply, is_confirmed
from newsstand.xmpp import seen_items

log = logging.getLogger(__name__)

SUSPECTS = 100
"""Items that are fetched by id when stock is taken; where more came, the listing brings them as fast."""


class PartialSync:
    """Fetches single items by their ids: those whose contents are in doubt, and those that came during a gap."""

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
        if steps:
            applied = await self._apply(copy, steps)
            if applied.inserted:
                doubts.doubt(copy, RELIST)  # where among the others, only a listing shows
        if copy.inbox.received == heard:  # else the same item may be in doubt anew
            doubts.settle(copy, Doubts(refetch=frozenset(wanted)))
            doubts.settle_own_writes(copy)

    async def take_stock(self, copy: Copy) -> None:
        """See which items a copy that was not kept up lacks, and which it has too many, by the ids alone: few bytes
        where a listing takes many. What came or was moved is fetched, as far as that is little. Contents that were
        overwritten in place are not found so: the copy stays stale until it is listed."""
        copy.session.take_stock()
        behaviour = copy.learnt.behaviour
        held = await self._context.database.scan(items.held_ids, copy.record.id)
        try:
            listed = await listing.disco_ids(self._context, copy.key)
            if listed is None or not await is_confirmed(self._context, copy, held, listed):
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
