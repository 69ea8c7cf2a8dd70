"""The cursors that some services send along with what `max_items` brings (XEP-0059), unasked.

They are the service's own (stamps of creation, say), so an answer of the copy can name those only that were seen. What
a program's limits need is learnt by asking for it: as little as that takes, and for as long as the program asks so.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence

from newsstand.errors import ListingError, StanzaError, Timeout, TooSlow
from newsstand.model import RsmQuery, SyncState
from newsstand.rules.behaviour import SHOWS_SET, Behaviour
from newsstand.rules.cursors import ends_of
from newsstand.rules.doubts import Chores
from newsstand.state import doubts
from newsstand.state.context import Context
from newsstand.state.copies import Copy
from newsstand.storage.statements import items
from newsstand.sync import listing
from newsstand.xmpp import answers

log = logging.getLogger(__name__)

WINDOW = 64
"""Of a node with no more items all cursors are learnt, once any is needed: whatever limit comes next, it is known."""
AT_ONCE = 8
"""How many requests are sent before the first of them is answered."""


def note_need(copy: Copy) -> None:
    """The copy changed: cursors are to be learnt where the service's answers to what the program asks name them."""
    if copy.cursors.limits and copy.learnt.behaviour.limited_set in SHOWS_SET:
        doubts.due(copy, Chores(cursors=True))
    else:
        doubts.done(copy, Chores(cursors=True))


async def learn(context: Context, copy: Copy) -> None:
    """Ask for those that are not known. What prevents it is logged: the service goes on being asked."""
    doubts.done(copy, Chores(cursors=True))
    if copy.record.state is not SyncState.LIVE or copy.learnt.behaviour.new is not Behaviour.LAST:
        return
    heard, count = copy.inbox.received, copy.record.item_count
    needed = {at for limit in copy.cursors.limits for at in ends_of(count, limit)}
    wanted = range(count) if count <= WINDOW else sorted(needed)
    ids = dict(zip(wanted, await context.database.read(items.ids_at, copy.record.id, wanted, count), strict=False))
    pages = _pages([at for at, item_id in ids.items() if item_id not in copy.cursors.known])
    try:
        for start in range(0, len(pages), AT_ONCE):
            answered = await asyncio.gather(*(_ask(context, copy, page) for page in pages[start : start + AT_ONCE]))
            if copy.inbox.received != heard:
                return
            for page, answer in zip(pages[start:], answered, strict=False):
                if [item.id for item in answer.items] != [ids[at] for at in page]:
                    log.info("%r of %s is not in the order that was expected", copy.key.node, copy.key.service)
                    return
                copy.cursors.learn(answer)
    except (StanzaError, Timeout, TooSlow, ListingError) as error:
        log.info("the cursors of %r could not be learnt: %s", copy.key.node, error)


def _pages(positions: Sequence[int]) -> list[tuple[int, ...]]:
    """A page shows the cursors of its ends: so of two items, where both are needed."""
    pages: list[tuple[int, ...]] = []
    for at in positions:
        if pages and pages[-1] == (at - 1,):
            pages[-1] = (at - 1, at)
        else:
            pages.append((at,))
    return pages


async def _ask(context: Context, copy: Copy, page: tuple[int, ...]) -> answers.Listing:
    rsm = RsmQuery(len(page), index=page[0])
    return answers.read_items(await listing.request_items(context, copy.key, rsm=rsm))
