"""Remembers which errors services answered. Those of a node are remembered briefly, so that a program that polls a node
which is missing, or closed to it, does not flood the service. Domains without a PEP service are remembered for long, so
that not each contact's is tried."""

from __future__ import annotations

from dataclasses import dataclass
from xml.etree.ElementTree import Element

from newsstand.errors import StanzaError
from newsstand.jid import host_of
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
NO_PEP = REFUSED | {"service-unavailable", "feature-not-implemented"}
"""Errors by which a server says that an account has no PEP service, or none for us. That a node is missing is none:
then the service is there."""
ACCOUNTS = 3
"""So many accounts of a domain must have answered so, and none otherwise in the session, until the domain is taken to
have no PEP service for us."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """An error that a service answered, and how long it is given for the service's next answer."""

    error: StanzaError
    stanza: Element | None
    """The `<iq/>` that brought it, where the program's own request did."""
    until: float
    pause: float


class Refusals:
    """The errors that are remembered, by request. Times are in seconds, by one clock that only goes forward."""

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


class Domains:
    """The domains whose accounts' PEP services (XEP-0163) we know something of. Times are in microseconds since the
    epoch."""

    def __init__(self) -> None:
        self._well: set[str] = set()
        """Where some account's answered, in this session."""
        self._refused: dict[str, set[str]] = {}
        """The accounts whose services answered with an error of NO_PEP, in this session, by their domains."""
        self._closed: dict[str, int] = {}
        """Where none is asked any more, and until when."""

    def begin_session(self) -> None:
        """What was learnt of single accounts counts no more: much may have happened since."""
        self._well.clear()
        self._refused.clear()

    def note(self, service: str, error: StanzaError, until: int) -> None:
        """An account's service answered a request of ours with this error. `until`: the domain is not asked again
        before, if this is enough to close it."""
        host = host_of(service)
        if host == service or error.link_broken:
            return
        if error.condition not in NO_PEP:
            self.answered(service)
        elif host not in self._well:
            refused = self._refused.setdefault(host, set())
            refused.add(service)
            if len(refused) >= ACCOUNTS:
                self._closed[host] = until

    def answered(self, service: str) -> bool:
        """An account's service answered, or sent a notification: the domain has PEP. Returns whether it was closed."""
        host = host_of(service)
        if host == service:
            return False
        self._well.add(host)
        self._refused.pop(host, None)
        return self._closed.pop(host, None) is not None

    def remember(self, service: str, until: int) -> bool:
        """It was closed when a node of it failed, which is to be tried again at this moment: perhaps before a restart.
        Returns whether it still may be."""
        host = host_of(service)
        if host in self._well:
            return False
        self._closed[host] = min(until, self._closed.get(host, until))
        return True

    def is_closed(self, service: str, now: int) -> bool:
        until = self._closed.get(host_of(service))
        return until is not None and now < until

    def are_of_one(self, service: str, other: str) -> bool:
        """Whether two PEP services are of one domain."""
        return host_of(service) == host_of(other)
