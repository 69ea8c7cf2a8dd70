"""Learns a service's ways by small requests about a node that has just been listed.

Each is made only while its way is unknown, and counts only if nothing happened to the node meanwhile.
"""

from __future__ import annotations

from collections.abc import Sequence

from newsstand import listing, protocol
from newsstand.context import Context
from newsstand.copies import Copy
from newsstand.errors import StanzaError
from newsstand.model import ItemsRequest, RsmQuery, SyncState
from newsstand.refusals import MISSING
from newsstand.ways import Way, learn_from_answer


async def probe(context: Context, copy: Copy, ids: Sequence[str]) -> None:
    """See how the service answers about a live node that holds exactly `ids`, so that the copy can answer the
    same. Raises as `listing.download`."""
    if copy.inbox or copy.record.state is not SyncState.LIVE or not ids:
        return
    service = copy.key.service
    known = context.ways(service)
    if (known.limited is Way.UNKNOWN and len(ids) > 2) or known.limited_set is Way.UNKNOWN:
        # As many as tell most: a limit that is not the number of the items shows whence an index counts.
        await _try(context, copy, ids, ItemsRequest(copy.key, max_items=1 if len(ids) == 2 else 2))
    elif known.new is Way.UNKNOWN and len(ids) > 1:
        await _try(context, copy, ids, ItemsRequest(copy.key, max_items=1))
    known = context.ways(service)
    if known.missing_id is Way.UNKNOWN or (known.several_ids is Way.UNKNOWN and len(ids) > 1):
        unheard = f"newsstand-no-such-item-{context.random.getrandbits(64):016x}"
        last_first = tuple(dict.fromkeys((ids[-1], unheard, ids[0])))
        await _try(context, copy, ids, ItemsRequest(copy.key, item_ids=last_first))
    if context.ways(service).repeated_id is Way.UNKNOWN and len(ids) > 1:
        await _try(context, copy, ids, ItemsRequest(copy.key, item_ids=(ids[-1], ids[0], ids[-1])))
    if context.ways(service).paging is Way.UNKNOWN and 1 < len(ids) <= context.settings.page_size:
        await _try_page(context, copy, ids)


async def _try(context: Context, copy: Copy, ids: Sequence[str], request: ItemsRequest) -> None:
    heard = copy.heard
    answered, rsm = None, None
    try:
        iq = await listing.request_items(context, copy.key, item_ids=request.item_ids, max_items=request.max_items)
        listed = protocol.read_items(iq)
        answered, rsm = [item.id for item in listed.items], listed.rsm
    except StanzaError as error:
        if error.condition not in MISSING:
            return
    if heard == copy.heard and copy.writing == 0:
        ways = context.ways(copy.key.service)
        await context.learn(copy.key.service, ways, learn_from_answer(ways, request, ids, answered, rsm))


async def _try_page(context: Context, copy: Copy, ids: Sequence[str]) -> None:
    heard = copy.heard
    answer = protocol.read_items(await listing.request_items(context, copy.key, rsm=RsmQuery(1)))
    if heard == copy.heard and copy.writing == 0:
        whole = answer.rsm is None and [item.id for item in answer.items] == list(ids)
        ways = context.ways(copy.key.service)
        await context.learn(copy.key.service, ways, ways.learn(paging=Way.IGNORED if whole else Way.HONOURED))
