"""The order of a node's items, from which a service's behaviour is learnt."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from newsstand.model import News, Published, Purged, Retracted, StorableItem
from newsstand.state.inbox import outlined

HISTORY = 50
"""News above which a change of order teaches nothing."""
ORDER = 10_000
"""Items of a node above which its order teaches nothing: comparing orders takes time."""


class Order:
    """The order in which one copy was last listed, and the news since."""

    __slots__ = ("_payloads", "history", "ids")

    def __init__(self) -> None:
        self.ids: list[str] | None = None
        """The item ids of the last listing, in their order; None where that teaches nothing any more."""
        self.history: list[News] = []
        """The news since the last listing."""
        self._payloads: dict[str, bytes] = {}
        """Digests of what the items of that order said, by item."""

    def remember(self, ids: list[str], items: Iterable[StorableItem] | None = None) -> None:
        """Keep the order in which the node is now. `items`: what they say; by default, what notifications said since
        the order before."""
        if len(ids) > ORDER:
            self.forget()
            return
        if items is None:
            said = payloads_after(self._payloads, self.history)
            self._payloads = {item_id: said[item_id] for item_id in ids if item_id in said}
        else:
            self._payloads = {item.id: item.payload_digest for item in items}
        self.ids = ids
        self.history = []

    def note(self, news: Iterable[News]) -> None:
        """Keep news for what the next listing's order can teach."""
        if self.ids is not None:
            self.history += map(outlined, news)
            if len(self.history) > HISTORY:
                self.forget()

    def explains(self, news: Sequence[News], items: Sequence[StorableItem]) -> bool:
        """Whether the items say what they should after these news of the order that is remembered: else some news were
        lost, or are not here yet, and what else they did is not known either."""
        if len(items) > ORDER:
            return False
        said = payloads_after(self._payloads, news)
        return all(said.get(item.id) == item.payload_digest for item in items)

    def forget(self) -> None:
        """Forget the order, because there is a gap: the news since then are not all known, and it teaches nothing."""
        self.ids = None
        self.history = []
        self._payloads = {}


def payloads_after(payloads: Mapping[str, bytes], news: Iterable[News]) -> dict[str, bytes]:
    """What items say, by item, when these news happened to them."""
    said = dict(payloads)
    for what in news:
        match what:
            case Published(items):
                said.update((item.id, item.payload_digest) for item in items)
            case Retracted(item_ids):
                for item_id in item_ids:
                    said.pop(item_id, None)
            case Purged():
                said.clear()
            case _:
                pass
    return said
