"""Learns a service's ways by small requests about a node that has just been listed.

Each is made only while its way is unknown. What they show counts only if nothing happened to the node meanwhile: if
nothing was told, and if, looked at once more, it is in the order that was listed. One that changed untold would teach
what is not so, and the service's copies would be wrong by it from then on.
"""

from __future__ import annotations

from collections.abc import Sequence

from newsstand.errors import StanzaError
from newsstand.model import ItemsRequest, RsmQuery, SyncState
from newsstand.rules.behaviour import Way, Ways, learn_from_answer
from newsstand.rules.doubts import RELIST
from newsstand.rules.refusals import MISSING
from newsstand.state import doubts
from newsstand.state.context import Context
from newsstand.state.copies import Copy
from newsstand.sync import listing
from newsstand.xmpp import answers


async def probe(context: Context, copy: Copy, ids: Sequence[str]) -> None:
    """See how the service answers about a live node that holds exactly `ids`, so that the copy can answer the
    same. Raises as `listing.download`."""
    if copy.inbox or copy.record.state is not SyncState.LIVE or not ids or copy.record.quarantined:
        return  # what cannot be kept is not asked for only to learn by it
    heard, before = copy.inbox.heard, copy.behaviour.ways
    seen = await _try_all(context, copy, ids, before)
    if seen == before or heard != copy.inbox.heard or copy.own.under_way:
        return
    if not await _is_in_order(context, copy, ids, seen):
        if heard == copy.inbox.heard and not copy.own.under_way:
            doubts.doubt(copy, RELIST)  # it changed, and nobody said so
        return
    if heard == copy.inbox.heard and not copy.own.under_way:
        await context.learn(copy.key.service, before, seen)


async def _try_all(context: Context, copy: Copy, ids: Sequence[str], ways: Ways) -> Ways:
    if (ways.limited is Way.UNKNOWN and len(ids) > 2) or ways.limited_set is Way.UNKNOWN:
        # As many as tell most: a limit that is not the number of the items shows whence an index counts.
        ways = await _try(context, copy, ids, ways, ItemsRequest(copy.key, max_items=1 if len(ids) == 2 else 2))
    elif ways.new is Way.UNKNOWN and len(ids) > 1:
        ways = await _try(context, copy, ids, ways, ItemsRequest(copy.key, max_items=1))
    if ways.missing_id is Way.UNKNOWN or (ways.several_ids is Way.UNKNOWN and len(ids) > 1):
        unheard = f"newsstand-no-such-item-{context.random.getrandbits(64):016x}"
        last_first = tuple(dict.fromkeys((ids[-1], unheard, ids[0])))
        ways = await _try(context, copy, ids, ways, ItemsRequest(copy.key, item_ids=last_first))
    if ways.repeated_id is Way.UNKNOWN and len(ids) > 1:
        ways = await _try(context, copy, ids, ways, ItemsRequest(copy.key, item_ids=(ids[-1], ids[0], ids[-1])))
    whole_arrives = copy.batch_sizes is None or not copy.batch_sizes.by_ids
    if ways.paging is Way.UNKNOWN and 1 < len(ids) <= context.settings.page_size and whole_arrives:
        answer = answers.read_items(await listing.request_items(context, copy.key, rsm=RsmQuery(1)))
        whole = answer.rsm is None and [item.id for item in answer.items] == list(ids)
        ways = ways.learn(paging=Way.IGNORED if whole else Way.HONOURED)
    return ways


async def _try(context: Context, copy: Copy, ids: Sequence[str], ways: Ways, request: ItemsRequest) -> Ways:
    answered, rsm = None, None
    try:
        iq = await listing.request_items(context, copy.key, item_ids=request.item_ids, max_items=request.max_items)
        listed = answers.read_items(iq)
        answered, rsm = [item.id for item in listed.items], listed.rsm
    except StanzaError as error:
        if error.condition not in MISSING:
            return ways
    return learn_from_answer(ways, request, ids, answered, rsm)


async def _is_in_order(context: Context, copy: Copy, ids: Sequence[str], ways: Ways) -> bool:
    if len(ids) == 1:
        return True
    order = copy.behaviour.ways.disco_order
    listed: Sequence[str] | None = None
    if order in (Way.NODE_ORDER, Way.REVERSED):
        listed = await listing.disco_ids(context, copy.key)
        if listed is not None and order is Way.REVERSED:
            listed = listed[::-1]
    if listed is None:
        pages = listing.begin(context, copy)
        listed = (await listing.download(context, copy.key, ways, pages=pages)).ids
    return list(listed) == list(ids)
