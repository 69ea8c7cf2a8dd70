"""What a service, or the way from it, may do wrong; all of it on command."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from xml.etree.ElementTree import Element, SubElement

from newsstand.model import NS_DISCO_ITEMS, NS_EVENT, NS_PUBSUB, NS_RSM
from tests.fakes.requests import Request

Deliver = Callable[[Element], None]


class Mischief:
    """Nothing is wrong until a method says so; `stop` sets all right again, and delivers what was held."""

    def __init__(self) -> None:
        self._drops = 0
        self._doubles = False
        self._strips = False
        self._holds: int | None = None
        """How many notifications are to be held before they go on in reverse; 0: until `stop`."""
        self._held: list[tuple[Deliver, Element]] = []
        self._cuts: set[str] = set()
        self._pages: str | None = None
        self._short = self._short_ids = 0
        """How many lists are to be cut yet."""
        self._left = 1
        self._of: tuple[str, str] | None = None
        self._shown: dict[tuple[str, str], int] = {}
        """By account and node: how many items the pages of a listing that is being cut have shown."""
        self._spellings: dict[str, str] = {}
        self._senders: dict[str, Iterable[str | None]] = {}
        self._nodes: dict[str, Iterable[str | None]] = {}
        self.hides_subscriptions = False
        self.pages = 0
        """How many pages were sent, of those that lie."""

    def stop(self) -> None:
        held, pages = self._held, self.pages
        self.__init__()  # type: ignore[misc]  # as new
        self.pages = pages
        for deliver, message in held:
            deliver(message)

    # On command

    def drop(self, count: int = 1) -> None:
        """The next notifications never arrive."""
        self._drops = count

    def double(self) -> None:
        """Every notification arrives twice."""
        self._doubles = True

    def hold(self) -> None:
        """Notifications arrive when all is set right again, in their order."""
        self._holds = 0

    def reorder(self, count: int = 2) -> None:
        """The next so many notifications arrive in reverse."""
        self._holds = count

    def strip_payloads(self) -> None:
        """Notifications name items and do not hold them (`pubsub#deliver_payloads`)."""
        self._strips = True

    def cut(self, kind: str) -> None:
        """The stream ends when the next request of this kind has been carried out, before its answer is sent."""
        self._cuts.add(kind)

    def loop_pages(self) -> None:
        """Every page is the first one, and claims that there is more."""
        self._pages = "looping"

    def pages_without_end(self) -> None:
        """Every page brings items never seen before, and claims that there is more."""
        self._pages = "endless"

    def shorten(self, count: int = 1, *, left: int = 1, of: tuple[str, str] | None = None) -> None:
        """The next listings of items, of this account and node if they are named, are cut to so many items, on as many
        pages as these take, and say that this is all. What is asked for by id or by number comes as it is."""
        self._short, self._left, self._of = count, left, of
        self._shown.clear()

    def shorten_ids(self, count: int = 1, *, left: int = 1, of: tuple[str, str] | None = None) -> None:
        """The same of the next lists of a node's ids (disco#items)."""
        self._short_ids, self._left, self._of = count, left, of

    def hide_subscriptions(self) -> None:
        """Whoever asks for its subscriptions is told of none."""
        self.hides_subscriptions = True

    def spell(self, **spellings: str) -> None:
        """From now on JIDs are spelt so in what comes, by attribute: `from_`, `to`, `jid`."""
        self._spellings = {name.rstrip("_"): jid for name, jid in spellings.items()}

    def answer_from(self, kind: str, *senders: str | None) -> None:
        """The next answers to requests of this kind come from these instead, None: as they should."""
        self._senders[kind] = iter(senders)

    def answer_about(self, kind: str, *nodes: str | None) -> None:
        """The next answers to requests of this kind are about these nodes instead, None: as they should."""
        self._nodes[kind] = iter(nodes)

    # How it is done

    def pass_on(self, message: Element, deliver: Deliver) -> None:
        """A notification on its way to a stream."""
        self._respell(message)
        if self._drops:
            self._drops -= 1
            return
        if self._strips:
            for item in message.iter(f"{{{NS_EVENT}}}item"):
                del item[:]
        if self._holds is not None:
            self._held.append((deliver, message))
            if self._holds and len(self._held) >= self._holds:
                held, self._held, self._holds = self._held, [], None
                for deliver_it, one in reversed(held):
                    deliver_it(one)
            return
        for _ in range(2 if self._doubles else 1):
            deliver(message)

    def cuts(self, kind: str) -> bool:
        if kind in self._cuts:
            self._cuts.remove(kind)
            return True
        return False

    def pretend(self, answer: Element, kind: str) -> Element:
        """An answer of any kind."""
        self._respell(answer)
        if (sender := next(iter(self._senders.get(kind, ())), None)) is not None:
            answer.set("from", sender)
        if (node := next(iter(self._nodes.get(kind, ())), None)) is not None:
            for named in (one for one in answer.iter() if one.get("node") is not None):
                named.set("node", node)
        return answer

    def _respell(self, stanza: Element) -> None:
        for name, jid in self._spellings.items():
            for one in stanza.iter() if name == "jid" else (stanza,):
                if one.get(name) is not None:
                    one.set(name, jid)

    def twist_ids(self, answer: Element, request: Request) -> Element:
        """An answer to disco#items."""
        query = answer.find(f"{{{NS_DISCO_ITEMS}}}query")
        if self._short_ids and query is not None and request.node and self._is_of(request):
            self._short_ids -= 1
            del query[self._left :]
        return answer

    def twist(self, answer: Element, request: Request) -> Element:
        """An answer to a request for items."""
        pubsub = answer.find(f"{{{NS_PUBSUB}}}pubsub")
        items = answer.find(f"{{{NS_PUBSUB}}}pubsub/{{{NS_PUBSUB}}}items")
        if pubsub is None or items is None:
            return answer
        if self._cuts_short(request):
            listing = request.account, request.node
            del items[max(0, self._left - self._shown[listing]) :]
            self._shown[listing] += len(items)
            for count in pubsub.iter(f"{{{NS_RSM}}}count"):
                count.text = str(min(self._left, int(count.text or 0)))
        if self._pages is None:
            return answer
        for rsm in pubsub.findall(f"{{{NS_RSM}}}set"):
            pubsub.remove(rsm)
        self.pages += 1
        prefix = f"page{self.pages}-" if self._pages == "endless" else ""
        del items[:]
        for number in range(3):
            item = SubElement(items, f"{{{NS_PUBSUB}}}item", {"id": f"{prefix}{number}"})
            SubElement(item, "{urn:example:note}note").text = "more"
        rsm = SubElement(pubsub, f"{{{NS_RSM}}}set")
        SubElement(rsm, f"{{{NS_RSM}}}first").text = f"{prefix}0"
        SubElement(rsm, f"{{{NS_RSM}}}last").text = f"{prefix}2"
        SubElement(rsm, f"{{{NS_RSM}}}count").text = "1000000000"
        return answer

    def _cuts_short(self, request: Request) -> bool:
        """Whether it asks for a listing that is cut, or for another page of one."""
        if len(request.action) or "max_items" in request.action.attrib or not self._is_of(request):
            return False
        listing = request.account, request.node
        if request.rsm is not None and request.rsm.findtext(f"{{{NS_RSM}}}after"):
            return listing in self._shown
        self._shown.pop(listing, None)
        if self._short:
            self._short -= 1
            self._shown[listing] = 0
        return listing in self._shown

    def _is_of(self, request: Request) -> bool:
        return self._of in (None, (request.account, request.node))
