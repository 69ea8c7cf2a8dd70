"""Uses what services answer to the program's own reads: it fills a copy that is not live, and is compared with one that
is."""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Sequence
from xml.etree.ElementTree import Element

from newsstand.errors import DatabaseError, ListingError
from newsstand.model import SeenItem, SyncState
from newsstand.rules.doubts import NOT_TOLD
from newsstand.rules.reconcile import Place, Put, plan_listing
from newsstand.state import doubts
from newsstand.state.context import Context
from newsstand.state.copies import Copy
from newsstand.storage.statements import items, polls
from newsstand.sync import listing
from newsstand.sync.evictions import Apply
from newsstand.xmpp import seen_items
from newsstand.xmpp.weight import is_heavy

log = logging.getLogger(__name__)


class AnsweredReads:
    """Takes answers over into copies, or compares them. Each function takes the `<item/>`s of one answer."""

    def __init__(self, context: Context, apply: Apply) -> None:
        self._context = context
        self._apply = apply

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
        a notification did not come."""
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


def _is_idle(copy: Copy) -> bool:
    """Not live, and nothing is under way that will know better."""
    return copy.followed and copy.record.state in (SyncState.STALE, SyncState.FAILED) and not copy.listing.under_way
