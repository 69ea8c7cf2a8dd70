"""The cursors that some services send along with what `max_items` brings (XEP-0059), unasked: which ones an answer of
the copy is to name. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from newsstand.model import ItemsRequest, Rsm
from newsstand.rules.behaviour import ServiceBehaviour, Take, foresee, set_index


def ends_of(count: int, limit: int) -> tuple[int, ...]:
    """Where what `max_items` brings begins and ends in the service's order; the newest are its last."""
    if count == 0:
        return ()
    return max(0, count - limit), count - 1


def find_set(
    known: Mapping[str, str], ends: Sequence[str], behaviour: ServiceBehaviour, request: ItemsRequest, count: int
) -> Rsm | None:
    """The `<set/>` for this request, of a node of `count` items, by the ids of those at its `ends`; None while a
    cursor in it is not `known`, by item id."""
    assert request.max_items is not None
    if count == 0:
        return Rsm(count=0)
    cursors = [cursor for item_id in ends if (cursor := known.get(item_id)) is not None]
    if len(cursors) != 2:
        return None
    take = foresee(behaviour, request, count, knows_cursors=True)
    first, last = reversed(cursors) if take in (Take.LAST_REVERSED, Take.FIRST_REVERSED) else cursors
    return Rsm(first, last, count, set_index(behaviour, count, request.max_items))
