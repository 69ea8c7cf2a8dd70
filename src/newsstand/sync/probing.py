"""Learns a service's behaviour by small requests about a node that has just been listed.

A request is made only while the behaviour that it shows is unknown. What it shows counts only if the node did not
change meanwhile: no notification came, and the node, listed again, is in the same order. A node that changed without a
notification would teach something wrong, and the service's copies would be wrong from then on.
"""

from __future__ import annotations

from collections.abc import Sequence

from newsstand.errors import StanzaError
from newsstand.model import ItemsRequest, RsmQuery, StorableItem, SyncState
from newsstand.rules.behaviour import Behaviour, ServiceBehaviour, learn_from_answer
from newsstand.rules.doubts import RELIST
from newsstand.rules.refusals import MISSING
from newsstand.state import doubts
from newsstand.state.context import Context
from newsstand.state.copies import Copy
from newsstand.sync import listing
from newsstand.xmpp import answers

WATCHED = 100
"""Items of a node above which its order is not kept where the service's behaviour is known, though perhaps wrongly."""


async def probe(context: Context, copy: Copy, ids: Sequence[str]) -> None:
    """See how the service answers about a live node that holds exactly `ids`, so that the copy can answer the
    same. Raises as `listing.download`."""
    if copy.inbox.arriving or copy.record.state is not SyncState.LIVE or not ids or copy.record.quarantined:
        return  # what cannot be kept is not asked for only to learn by it
    heard, before = copy.inbox.received, copy.learnt.behaviour
    seen = await _try_all(context, copy, ids, before)
    if seen == before or heard != copy.inbox.received or copy.own.under_way:
        return
    if not await _is_in_order(context, copy, ids, seen):
        if heard == copy.inbox.received and not copy.own.under_way:
            doubts.doubt(copy, RELIST)  # it changed, and nobody said so
        return
    if heard == copy.inbox.received and not copy.own.under_way:
        await context.learn(copy.key.service, before, seen)


async def _try_all(context: Context, copy: Copy, ids: Sequence[str], behaviour: ServiceBehaviour) -> ServiceBehaviour:
    if (behaviour.limited is Behaviour.UNKNOWN and len(ids) > 2) or behaviour.limited_set is Behaviour.UNKNOWN:
        # As many as tell most: a limit that is not the number of the items shows whence an index counts.
        behaviour = await _try(
            context, copy, ids, behaviour, ItemsRequest(copy.key, max_items=1 if len(ids) == 2 else 2)
        )
    elif behaviour.new is Behaviour.UNKNOWN and len(ids) > 1:
        behaviour = await _try(context, copy, ids, behaviour, ItemsRequest(copy.key, max_items=1))
    if behaviour.missing_id is Behaviour.UNKNOWN or (behaviour.several_ids is Behaviour.UNKNOWN and len(ids) > 1):
        unheard = f"newsstand-no-such-item-{context.random.getrandbits(64):016x}"
        last_first = tuple(dict.fromkeys((ids[-1], unheard, ids[0])))
        behaviour = await _try(context, copy, ids, behaviour, ItemsRequest(copy.key, item_ids=last_first))
    if behaviour.repeated_id is Behaviour.UNKNOWN and len(ids) > 1:
        behaviour = await _try(
            context, copy, ids, behaviour, ItemsRequest(copy.key, item_ids=(ids[-1], ids[0], ids[-1]))
        )
    whole_arrives = copy.batch_sizes is None or not copy.batch_sizes.by_ids
    if behaviour.paging is Behaviour.UNKNOWN and 1 < len(ids) <= context.settings.page_size and whole_arrives:
        answer = answers.read_items(await listing.request_items(context, copy.key, rsm=RsmQuery(1)))
        whole = answer.rsm is None and [item.id for item in answer.items] == list(ids)
        behaviour = behaviour.learn(paging=Behaviour.IGNORED if whole else Behaviour.HONOURED)
    return behaviour


async def _try(
    context: Context, copy: Copy, ids: Sequence[str], behaviour: ServiceBehaviour, request: ItemsRequest
) -> ServiceBehaviour:
    answered, rsm = None, None
    try:
        iq = await listing.request_items(context, copy.key, item_ids=request.item_ids, max_items=request.max_items)
        listed = answers.read_items(iq)
        answered, rsm = [item.id for item in listed.items], listed.rsm
    except StanzaError as error:
        if error.condition not in MISSING:
            return behaviour
    return learn_from_answer(behaviour, request, ids, answered, rsm)


async def _is_in_order(context: Context, copy: Copy, ids: Sequence[str], behaviour: ServiceBehaviour) -> bool:
    if len(ids) == 1:
        return True
    order = copy.learnt.behaviour.disco_order
    listed: Sequence[str] | None = None
    if order in (Behaviour.NODE_ORDER, Behaviour.REVERSED):
        listed = await listing.disco_ids(context, copy.key)
        if listed is not None and order is Behaviour.REVERSED:
            listed = listed[::-1]
    if listed is None:
        pages = listing.begin(context, copy)
        listed = (await listing.download(context, copy.key, behaviour, pages=pages)).items.ids
    return list(listed) == list(ids)


def remember_order(copy: Copy, ids: list[str], items: Sequence[StorableItem] | None = None) -> None:
    """Keep the order of a listing where the next one can teach something by it. `items`: those listed, where they
    were."""
    behaviour = copy.learnt.behaviour
    unknown = Behaviour.UNKNOWN in (behaviour.new, behaviour.overwritten)
    # What looks like a move may have been none; what stays, stayed.
    doubtful = behaviour.overwritten in (Behaviour.LAST, Behaviour.FIRST) and len(ids) <= WATCHED
    if unknown or doubtful:
        copy.order.remember(ids, items)
    else:
        copy.order.forget()
