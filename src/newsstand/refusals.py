"""Errors that a service answered, remembered briefly: a program that polls a node which is missing, or closed to it,
does not flood the service."""

from __future__ import annotations

from dataclasses import dataclass
from xml.etree.ElementTree import Element

from newsstand.errors import StanzaError
from newsstand.model import ItemsRequest

MISSING = {"item-not-found", "gone"}
"""Errors that say that there is no such node, or item."""
REFUSED = {"forbidden", "not-authorized", "not-allowed", "registration-required", "payment-required"}
"""Errors that say that the account may not read the node."""
FIRST = 0.1
"""Seconds for which an error is remembered that comes a second time; twice as long each time that it comes again. What
comes once is not remembered: what a program reads again may have come into being meanwhile."""
PATIENCE = 4
"""A request that is not made for so many times as long as its error was remembered, or for a second, begins anew."""
MOST = 1_000
"""Errors that are remembered at a time."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """An error, and how long it stands for the service's next answer."""

    error: StanzaError
    stanza: Element | None
    """The `<iq/>` that brought it, where the program's own request did."""
    until: float
    pause: float


class Refusals:
    """By request. Times are in seconds, by one clock that only goes forward."""

    def __init__(self, longest: float) -> None:
        self._longest = longest
        self._known: dict[ItemsRequest, Refusal] = {}

    def note(self, request: ItemsRequest, error: StanzaError, now: float, stanza: Element | None = None) -> None:
        """The service answered this request so. A page is not remembered: which one it was, the request does not
        tell."""
        before = self._known.pop(request, None)
        if request.paged or error.condition not in MISSING | REFUSED:
            return
        pause = 0.0
        if before is not None and now < before.until + max(1.0, before.pause * PATIENCE):
            pause = min(max(FIRST, before.pause * 2), self._longest)
        self._known[request] = Refusal(error, stanza, now + pause, pause)
        if len(self._known) > MOST:
            del self._known[next(iter(self._known))]

    def find(self, request: ItemsRequest, now: float) -> Refusal | None:
        """The error that stands for the service's answer at this moment."""
        refusal = self._known.get(request)
        return refusal if refusal is not None and now < refusal.until else None

    def answered(self, request: ItemsRequest) -> None:
        """The service gave what this request asks for. So the account may read that node, and it is there; whether an
        item is that was missing, is another matter."""
        for known, refusal in list(self._known.items()):
            missing_item = known.item_ids and refusal.error.condition not in REFUSED
            if known == request or (known.key == request.key and not missing_item):
                del self._known[known]

    def forget(self, *, service: str, node: str | None = None) -> None:
        """Something happened there, at this node or at any: the next request asks the service."""
        for request in [r for r in self._known if r.key.service == service and node in (None, r.key.node)]:
            del self._known[request]

    def forget_all(self) -> None:
        self._known.clear()
