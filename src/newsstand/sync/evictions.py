"""Looks up which items a service evicted. Services drop what exceeds `max_items` without a word, so after an insertion
the copy's ids are compared with the service's."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence

from newsstand.rules.behaviour import Behaviour
from newsstand.rules.doubts import RELIST, Doubts
from newsstand.rules.reconcile import Applied, Remove, Step, is_much_shorter
from newsstand.state import doubts, slots
from newsstand.state.context import Context
from newsstand.state.copies import Copy
from newsstand.storage.statements import items
from newsstand.sync import cursor_probing, listing, probing

CHECK_REST = 20
"""After a check of the ids, the node rests so many times as long as the service took over it: a large node that
is written to all the time must not be listed all the time."""

Apply = Callable[[Copy, Sequence[Step]], Awaitable[Applied]]


class Evictions:
    """Takes the items out of copies that their services evicted."""

    def __init__(self, context: Context, apply: Apply) -> None:
        self._context = context
        self._apply = apply

    async def check_ids(self, copy: Copy) -> float:
        """See whether something was evicted: services drop what exceeds `max_items` without a word. Returns how
        long to leave the node in peace afterwards."""
        loop = asyncio.get_running_loop()
        await copy.inbox.quiet()
        heard = copy.inbox.received
        held = await self._context.database.scan(items.held_ids, copy.record.id)
        began, waited = loop.time(), slots.waited()
        listed, by_disco = await listing.list_ids(self._context, copy.key, held)
        confirmed = await is_confirmed(self._context, copy, held, listed)
        took = loop.time() - began - (slots.waited() - waited)
        await copy.inbox.quiet()
        if heard != copy.inbox.received:
            return took * CHECK_REST  # still in doubt: look again
        there = set(listed)
        evicted = tuple(id_ for id_ in held if id_ not in there)
        if not confirmed or len(held) - len(evicted) != len(there) or (evicted and not there):
            doubts.doubt(copy, RELIST)  # more than an eviction happened; one short list is not believed
        elif by_disco and not self._is_in_order(copy, [id_ for id_ in held if id_ in there], listed):
            doubts.doubt(copy, RELIST)  # notified in another order than stored
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
                probing.remember_order(copy, [id_ for id_ in held if id_ in there])
        return 0.0

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


async def is_confirmed(context: Context, copy: Copy, held: Sequence[str], listed: Sequence[str]) -> bool:
    """Whether a list of ids can be believed: of one that is much shorter than the copy, a second one must say the
    same."""
    there = set(listed)
    if not is_much_shorter(len(held), sum(id_ not in there for id_ in held)):
        return True
    again, _ = await listing.list_ids(context, copy.key, held)
    return set(again) == there
