"""Evidence of a service's behaviour in the orders of its listings: collected until it is believed
(docs/decisions/003-behaviour-is-learnt.md). Pure."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Hashable, Iterable, Mapping, Sequence

from newsstand.model import News, NodeKey, Published, Purged, Retracted
from newsstand.rules.behaviour import Behaviour, ServiceBehaviour, place

ORDER_WAYS = ("new", "overwritten")
"""The questions that only orders answer."""
TOLD_TOGETHER = 4
"""News above which an order teaches nothing: in too many orders could they have happened."""
_HYPOTHESES = tuple(
    itertools.product((Behaviour.LAST, Behaviour.FIRST), (Behaviour.LAST, Behaviour.FIRST, Behaviour.STAYS))
)


def said_by_order(
    behaviour: ServiceBehaviour, before: Sequence[str], news: Iterable[News], after: Sequence[str]
) -> dict[str, Behaviour]:
    """What the order of a listing says of the behaviour, when exactly `news` happened since the order `before`, in
    whatever order: services may notify in another one than they store. It says what every explanation of what was seen
    agrees on; and VARIES of what is known, where no explanation agrees with that."""
    happened = list(news)
    if len(happened) > TOLD_TOGETHER:
        return {}
    orders = list(itertools.permutations(happened))
    if any(_may_hide_an_eviction(before, order) for order in orders):
        return {}
    left = set(after)  # what was evicted meanwhile is not counted
    fitting = []
    for new, overwritten in _HYPOTHESES:
        guess = dataclasses.replace(behaviour, new=new, overwritten=overwritten)
        replayed = (_replay(guess, before, order) for order in orders)
        if any([id_ for id_ in order if id_ in left] == list(after) for order in replayed):
            fitting.append(guess)
    said: dict[str, Behaviour] = {}
    for name in ORDER_WAYS:
        known = getattr(behaviour, name)
        agreed = {getattr(guess, name) for guess in fitting}
        if agreed and known is not Behaviour.UNKNOWN and known not in agreed:
            said[name] = Behaviour.VARIES
        elif len(agreed) == 1:
            said[name] = agreed.pop()
    return said


def _may_hide_an_eviction(before: Sequence[str], news: Iterable[News]) -> bool:
    """An item that is published when another was added before may have been evicted between, and be new again."""
    there, added = set(before), False
    for what in news:
        if isinstance(what, Published):
            for item in what.items:
                if item.id in there and added:
                    return True
                added |= item.id not in there
                there.add(item.id)
    return False


def _replay(behaviour: ServiceBehaviour, before: Sequence[str], news: Iterable[News]) -> list[str]:
    order = list(before)
    for what in news:
        match what:
            case Published(items):
                for item in items:
                    place(order, item.id, behaviour)
            case Retracted(item_ids):
                gone = set(item_ids)
                order = [id_ for id_ in order if id_ not in gone]
            case Purged():
                order.clear()
            case _:
                pass
    return order


class Evidence:
    """The evidence of one service's behaviour that is not believed yet. No single order is believed: an item that was
    retracted and published again, without a notification of the former, looks overwritten and moved; and one that was
    published again as it was, without a notification, looks as if the others had moved. So a behaviour is learnt from
    two orders in a row that say the same of different items, and contradicted by two as well."""

    def __init__(self) -> None:
        self._given: dict[str, tuple[Behaviour, frozenset[Hashable]]] = {}

    def weigh(
        self, behaviour: ServiceBehaviour, said: Mapping[str, Behaviour], key: NodeKey, news: Iterable[News]
    ) -> ServiceBehaviour:
        """What is known once an order of this node, after these news, `said` so."""
        published = [what for what in news if isinstance(what, Published)]
        # Not by whose account it was seen: two that see the same are one piece of evidence.
        items = frozenset((key.service, key.node, item.id) for what in published for item in what.items)
        learnt: dict[str, Behaviour] = {}
        for name, answer in said.items():
            before, about = self._given.get(name, (Behaviour.UNKNOWN, items))
            if answer is getattr(behaviour, name):
                self._given.pop(name, None)  # what is known is borne out
            elif before is not answer:
                self._given[name] = (answer, items)
            elif not about & items:
                learnt[name] = answer
                del self._given[name]
        return dataclasses.replace(behaviour, **learnt)
