"""What orders say of a service's ways, until it is believed (docs/decisions/003-ways-are-learnt.md)."""

from __future__ import annotations

import dataclasses
from collections.abc import Hashable, Iterable, Mapping

from newsstand.model import News, NodeKey, Published
from newsstand.ways import Way, Ways


class Hints:
    """Of one service. No single order is believed: an item that was retracted untold and published again looks
    overwritten and moved, and one that was published again untold, as it was, looks as if the others had moved. So a
    way is learnt from two in a row that say the same of different items, and contradicted by two as well."""

    def __init__(self) -> None:
        self._given: dict[str, tuple[Way, frozenset[Hashable]]] = {}

    def weigh(self, ways: Ways, said: Mapping[str, Way], key: NodeKey, news: Iterable[News]) -> Ways:
        """What is known once an order of this node, after these news, `said` so."""
        published = [what for what in news if isinstance(what, Published)]
        # Not by whose account it was seen: two that see the same are one hint.
        items = frozenset((key.service, key.node, item.id) for what in published for item in what.items)
        learnt: dict[str, Way] = {}
        for name, way in said.items():
            before, about = self._given.get(name, (Way.UNKNOWN, items))
            if way is getattr(ways, name):
                self._given.pop(name, None)  # what is known is borne out
            elif before is not way:
                self._given[name] = (way, items)
            elif not about & items:
                learnt[name] = way
                del self._given[name]
        return dataclasses.replace(ways, **learnt)
