"""A pubsub service that does harm on command, and keeps the services' contract for all the rest.

Each command names the node that it is about; requests and notifications about other nodes are not touched. What is
large costs little to make: an item's text, and what an item holds, is one object, however often it is sent, so answers
must not be changed by whoever gets them. What takes time goes by the service's clock, which only `pass_time` moves.
"""

from __future__ import annotations

import asyncio
import copy
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any
from xml.etree.ElementTree import Element, SubElement

from newsstand.errors import StanzaError
from newsstand.model import NS_DISCO_ITEMS, NS_EVENT, NS_PUBSUB, NS_RSM
from tests.fakes.hold import SECONDS
from tests.fakes.node import NOTE, Node, event
from tests.fakes.requests import Request, add_pubsub, add_set, result
from tests.fakes.service import Service

Distort = Callable[[Request, Element], None]
"""Changes an answer."""
MEGABYTE = 1_000_000
"""Characters: with what is around them they are still less than an item may have."""
HUGE = "(huge)"
"""Stands for the contents of a huge item among the texts of a node."""


@dataclass
class Harm:
    """What is done to requests about a node; nothing unless a command says so."""

    silent: bool = False
    seconds: int = 0
    """By which each answer comes late."""
    most: int | None = None
    """Items in a page, at most."""
    overfull: int | None = None
    """Items in a page, whatever was asked for."""
    endless: Endless | None = None
    new_ids: bool = False
    distorted: Distort | None = None
    answers: int = 0
    """How many were made so far, of those that lie."""


@dataclass
class Endless:
    """Pages of items that were never seen before."""

    payload: Element
    count: int
    """What each page says of the node's items."""
    grows: int
    """By which it says more each time."""


class HostileService(Service):
    """See above. Further services that are added to it are of this kind, too: without harm until they are told."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._harm: dict[str, Harm] = {}
        self._refusal: StanzaError | None = None
        self._huge: dict[tuple[str, str], Element] = {}
        """Payloads that are never copied, by node and item id."""
        self._hanging: dict[object, str] = {}
        self._hung = asyncio.Event()

    # On command ---------------------------------------------------------------------------------------------------

    def be_good(self, node: str | None = None) -> None:
        """Do no harm to this node any more, or to any; what was silent or late stays so for whom it was begun."""
        for name in [name for name in self._harm if node in (None, name)]:
            del self._harm[name]
        if node is None:
            self._refusal = None

    def never_answer(self, node: str) -> None:
        """Requests about this node get no answer at all."""
        self._of(node).silent = True

    def drip(self, node: str, seconds: int, *, most: int | None = None) -> None:
        """Each answer about this node takes so many seconds, and holds so many items at most, if it is a page."""
        harm = self._of(node)
        harm.seconds, harm.most = seconds, most

    def overfill(self, node: str, count: int) -> None:
        """A page holds so many items, however few were asked for."""
        self._of(node).overfull = count

    def send_without_end(self, node: str, *, size: int = MEGABYTE, count: int = 99_999, grows: int = 0) -> None:
        """There is always another page, of new items of so many characters each; each says that the node has `count`
        items, and `grows` more than the page before said."""
        self.nodes.setdefault(node, Node())
        self._of(node).endless = Endless(_note("x" * size), count, grows)

    def change_ids(self, node: str) -> None:
        """Whatever lists this node names its items as nothing did before."""
        self._of(node).new_ids = True

    def distort(self, node: str, how: Distort) -> None:
        """Answers about this node are changed so."""
        self._of(node).distorted = how

    def refuse_all(self, condition: str = "forbidden", type: str = "auth") -> None:
        """Answer everything with this error."""
        self._refusal = StanzaError(type, condition)

    def refuse_domain(self, domain: str, condition: str = "forbidden", type: str = "auth") -> None:
        """The same of the services of all accounts of this domain."""
        for account, service in self.accounts.items():
            if account.endswith(f"@{domain}") and isinstance(service, HostileService):
                service.refuse_all(condition, type)

    def swell(self, node: str, count: int, *, size: int = 20) -> None:
        """The node holds so many further items, of so many characters each, behind those that it has. Nobody is told.
        This is no lie: it is only large."""
        found = self.nodes.setdefault(node, Node())
        begin = len(found.items)
        found.fill((f"swollen-{number:07}" for number in range(begin, begin + count)), "x" * size, self.clock.now)

    def put_huge(self, node: str, item_id: str, elements: int = 1_000_000) -> None:
        """The node holds an item of so many elements. Nobody is told."""
        found = self.nodes.setdefault(node, Node())
        found.put(item_id, HUGE, self.new, self.overwritten, self.clock.now)
        payload = _note("")
        payload[:] = [Element(f"{{{NOTE}}}e")] * elements
        self._huge[node, item_id] = payload

    def tell_huge(self, node: str, item_id: str) -> None:
        """Tell of an item that `put_huge` made."""
        self._tell_of(node, [self._item(node, item_id, NS_EVENT)])

    def tell_many(self, node: str, count: int, *, size: int = 20, stored: bool = True) -> None:
        """One notification of so many new items, of so many characters each. `stored`: the node holds them."""
        found = self.nodes[node]
        ids = [f"told-{len(found.items) + number:07}" for number in range(count)]
        if stored:
            found.fill(ids, "x" * size, self.clock.now)
        self._tell_of(node, _items(ids, NS_EVENT, _note("x" * size)))

    async def hang(self, *nodes: str) -> None:
        """Wait until a request about each of these nodes is kept waiting, by `never_answer` or `drip`."""
        async with asyncio.timeout(SECONDS):
            while not set(nodes) <= self.hanging:
                self._hung.clear()
                await self._hung.wait()

    @property
    def hanging(self) -> set[str]:
        """The nodes about which requests are kept waiting now."""
        return set(self._hanging.values())

    # How it is done -----------------------------------------------------------------------------------------------

    def _of(self, node: str) -> Harm:
        return self._harm.setdefault(node, Harm())

    def _tell_of(self, node: str, items: list[Element]) -> None:
        about = event("items", node)
        about[0].extend(items)
        for account in sorted(self.nodes[node].subscribers):
            for stream in self.streams:
                if stream.is_of(account):
                    attributes = {"from": self.jid, "to": f"{account}/balcony", "type": "headline"}
                    message = Element("{jabber:client}message", attributes)
                    message.append(about)
                    self.mischief.pass_on(message, stream.receive)

    def _item(self, node: str, item_id: str, namespace: str) -> Element:
        item = Element(f"{{{namespace}}}item", {"id": item_id})
        item.append(self._huge[node, item_id])
        return item

    async def linger(self, request: Request) -> None:
        harm = self._harm.get(request.node)
        if harm is None or not (harm.silent or harm.seconds):
            return
        mark = object()
        self._hanging[mark] = request.node
        self._hung.set()
        try:
            if harm.silent:
                await asyncio.get_running_loop().create_future()
            await self.clock.until(self.clock.now + harm.seconds)
        finally:
            del self._hanging[mark]

    def carry_out(self, request: Request) -> Element:
        if self._refusal is not None:
            raise self._refusal
        harm = self._harm.get(request.node, Harm())
        if harm.endless is not None and request.kind == "items":
            return self._endless_page(request, harm, harm.endless)
        answer = super().carry_out(_resized(request, harm))
        if request.kind == "items":
            self._put_huge_in(request.node, answer)
        if harm.new_ids and request.kind in ("items", "ids"):
            harm.answers += 1
            _rename(answer, f"-{harm.answers}")
        if harm.distorted is not None:
            harm.distorted(request, answer)
        return answer

    def _endless_page(self, request: Request, harm: Harm, endless: Endless) -> Element:
        wanted = request.rsm.findtext(f"{{{NS_RSM}}}max") if request.rsm is not None else "1"
        size = harm.overfull or min(int(wanted or 1), harm.most or MEGABYTE)
        harm.answers += 1
        asked_for = [item.get("id", "") for item in request.action]
        ids = asked_for or [f"page-{harm.answers}-{number}" for number in range(size)]
        answer = result(self.jid, request.account)
        add_pubsub(answer, "items", node=request.node).extend(_items(ids, NS_PUBSUB, endless.payload))
        if request.rsm is not None:
            add_set(answer, ids[0], ids[-1], 0, endless.count)
            endless.count += endless.grows
        return answer

    def _put_huge_in(self, node: str, answer: Element) -> None:
        """Where they have not been overwritten since."""
        for item in _items_of(answer) if self._huge else ():
            item_id = item.get("id", "")
            if self.nodes[node].items.get(item_id) == HUGE:
                huge = self._huge[node, item_id]
                item[:] = [Element(huge.tag)]
                item[0][:] = huge[:]  # whoever gets the answer may empty it


def _note(text: str) -> Element:
    note = Element(f"{{{NOTE}}}note")
    note.text = text
    return note


def _items(ids: Iterable[str], namespace: str, payload: Element) -> list[Element]:
    """Items with one and the same payload."""
    items = []
    for item_id in ids:
        item = Element(f"{{{namespace}}}item", {"id": item_id})
        item.append(payload)
        items.append(item)
    return items


def _resized(request: Request, harm: Harm) -> Request:
    """As if another number of items had been asked for."""
    if request.rsm is None or (harm.most is None and harm.overfull is None):
        return request
    rsm = copy.deepcopy(request.rsm)
    size = rsm.find(f"{{{NS_RSM}}}max")
    if size is None:
        size = SubElement(rsm, f"{{{NS_RSM}}}max")
    size.text = str(harm.overfull or min(int(size.text or 0), harm.most or MEGABYTE))
    return request._replace(rsm=rsm)


def _items_of(answer: Element) -> list[Element]:
    return answer.findall(f"{{{NS_PUBSUB}}}pubsub/{{{NS_PUBSUB}}}items/{{{NS_PUBSUB}}}item")


def _rename(answer: Element, suffix: str) -> None:
    for item in _items_of(answer):
        item.set("id", item.get("id", "") + suffix)
    for item in answer.iterfind(f"{{{NS_DISCO_ITEMS}}}query/{{{NS_DISCO_ITEMS}}}item"):
        item.set("name", item.get("name", "") + suffix)
