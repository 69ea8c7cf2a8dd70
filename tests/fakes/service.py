"""A pubsub service in memory. It keeps the contract that the real ones keep (tests/contract/services), with any of
their quirks, and does wrong what it is told to (`mischief`).

The service does at once what it is told to (`publish`, `retract`, `purge`, …), and tells those who are subscribed at
once. What takes time on a wire takes scheduling steps here: a request may be held, refused or left without an answer
before it reaches the service (`hold`, `refuse`, `silence`, `before`), and an answer that has arrived may be a while
in getting to whoever awaits it (`hold(…, answered=True)`, `after`). Answers and messages arrive in one order, that of
the service.
"""

from __future__ import annotations

import asyncio
import copy
from collections.abc import Callable, Iterable
from typing import Self
from xml.etree.ElementTree import Element, SubElement

from newsstand.errors import StanzaError, Timeout
from newsstand.model import NS_EVENT, NS_PUBSUB
from newsstand.rules.behaviour import Behaviour
from tests.fakes.answers import answer
from tests.fakes.clock import Clock
from tests.fakes.hold import Hold
from tests.fakes.mischief import Mischief
from tests.fakes.node import NOTE, Node, event, retracted
from tests.fakes.requests import Kind, Request
from tests.fakes.stream import Stream
from tests.servers.quirks import Quirk

__all__ = ["JULIET", "NOTE", "SERVICE", "Kind", "Node", "Request", "Service", "Stream", "soon"]

SERVICE = "pubsub.example.org"
JULIET = "juliet@example.org"
SIMPLE = frozenset({Quirk.CONFIGURATION_SILENT, Quirk.DISCO_NEWEST_FIRST, Quirk.EVICTION_SILENT, Quirk.NO_RSM})


class Service:
    """Its owner chooses its behaviour: by its quirks; where a new item goes (`new`: LAST or FIRST), and where an
    overwritten one (`overwritten`: LAST, FIRST or STAYS). `creators` may create nodes; None: everybody may.

    The service of an account (XEP-0163) is one whose `owner` it is: nodes come into being when the owner publishes,
    keep one item and are read by the owner alone, unless publish-options say otherwise.
    """

    def __init__(
        self,
        jid: str = SERVICE,
        *,
        quirks: frozenset[Quirk] = SIMPLE,
        new: Behaviour = Behaviour.LAST,
        overwritten: Behaviour | None = None,
        creators: frozenset[str] | None = None,
        owner: str | None = None,
    ) -> None:
        self.jid = jid
        self.quirks = quirks
        self.new = new
        self.overwritten = overwritten or (Behaviour.STAYS if Quirk.OVERWRITE_STAYS in quirks else Behaviour.LAST)
        self.creators = creators
        self.owner = owner
        self.nodes: dict[str, Node] = {}
        self.streams: list[Stream] = []
        self.recorded: set[tuple[str, str]] = set()
        """Nodes, and who subscribed to them; some services say so when the node is another one by now."""
        self.accounts: dict[str, Service] = {}
        """The services of accounts, by their bare JIDs."""
        self.others: dict[str, Service] = {}
        """Further services that the same streams reach, by their JIDs."""
        self.clock = Clock()
        """The services of accounts go by it, and so do the others. Only `pass_time` moves it."""
        self.mischief = Mischief()
        self.requests: list[Request] = []
        """All that ever came, in order."""
        self.before: Callable[[Request], int] = lambda request: 0
        """Called for each request when it reaches the service; returns the scheduling steps that it takes first."""
        self.after: Callable[[Request], int] = lambda request: 0
        """Called for each answer when it has arrived; returns the steps before whoever awaits it goes on."""
        self._errors: dict[Kind, StanzaError | Timeout] = {}
        self._holds: dict[tuple[Kind, bool], Hold] = {}

    def add_account(self, account: str) -> Self:
        """The service of an account, which is reached on the same streams."""
        return self._add(self.accounts, account, owner=account)

    def add_service(self, jid: str) -> Self:
        """Another service, which is reached on the same streams."""
        return self._add(self.others, jid, owner=None)

    def _add(self, known: dict[str, Service], jid: str, *, owner: str | None) -> Self:
        found = type(self)(jid, quirks=self.quirks, owner=owner)
        known[jid] = found
        found.streams, found.clock = self.streams, self.clock
        return found

    def find(self, jid: str) -> Service:
        jid = jid.partition("/")[0]
        return self.accounts.get(jid) or self.others.get(jid) or self

    # What happens to its nodes ------------------------------------------------------------------------------

    def create(self, name: str, *item_ids: str, limit: int | None = None) -> Node:
        """A node that holds these items. Nobody is told."""
        node = self.nodes[name] = Node(limit=limit)
        for item_id in item_ids:
            node.put(item_id, f"first {item_id}", self.new, self.overwritten, self.clock.now)
        return node

    def publish(
        self,
        name: str,
        item_id: str,
        text: str,
        *,
        told: bool = True,
        type: str = "headline",
        payload: Element | None = None,
        publisher: str | None = None,
        beside: str | None = None,
    ) -> None:
        """Publish or overwrite an item. Past the node's limit the oldest is evicted."""
        node = self.nodes[name]
        node.put(item_id, text, self.new, self.overwritten, self.clock.now)
        if payload is not None:
            node.payloads[item_id] = copy.deepcopy(payload)
        if beside:
            node.beside[item_id] = beside
        if publisher is not None:
            node.publishers[item_id] = publisher
        if told:
            about = event("items", name)
            about[0].append(self._told_item(node, item_id))
            extra = node.owners if Quirk.OWNER_HEARS_UNSUBSCRIBED in self.quirks else ()
            self._tell(name, about, type, later=publisher, extra=extra)
        self.trim(name, publisher)

    def trim(self, name: str, publisher: str | None = None) -> None:
        """Evict what is past the node's limit."""
        node = self.nodes[name]
        counted = list(node.items)
        if Quirk.EVICTS_PER_PUBLISHER in self.quirks:
            counted = [item_id for item_id in counted if node.publishers.get(item_id) == publisher]
        surplus = 0 if node.limit is None else max(0, len(counted) - node.limit)
        evicted = counted[len(counted) - surplus :][::-1] if self.new is Behaviour.FIRST else counted[:surplus]
        for item_id in evicted:
            node.remove(item_id)
        if evicted and Quirk.EVICTION_SILENT not in self.quirks:
            joined = ["".join(evicted)] if Quirk.RETRACTS_JOINED in self.quirks else evicted
            for item_id in joined:
                self._tell(name, retracted(name, item_id))

    def pass_time(self, seconds: int) -> None:
        """What expires by itself does, and nobody is told."""
        self.clock.pass_time(seconds)
        if Quirk.EXPIRED_ITEMS_STAY not in self.quirks:
            self.delete_expired()

    def delete_expired(self) -> None:
        """The administrator has what has expired deleted, on the services of accounts, too. Nobody is told."""
        for service in (self, *self.accounts.values()):
            ignored = Quirk.ITEM_EXPIRE_IGNORED if service.owner is None else Quirk.PEP_ITEM_EXPIRE_IGNORED
            for node in service.nodes.values() if ignored not in service.quirks else ():
                for item_id in node.expired(service.clock.now):
                    node.remove(item_id)

    def retract(self, name: str, item_id: str, *, told: bool = True) -> None:
        self.nodes[name].remove(item_id)
        if told:
            self._tell(name, retracted(name, item_id))

    def purge(self, name: str, *, told: bool = True) -> None:
        for item_id in list(self.nodes[name].items):
            self.nodes[name].remove(item_id)
        if told:
            self._tell(name, event("purge", name))

    def delete(self, name: str, *, told: bool = True) -> None:
        """The node, and with it all subscriptions."""
        if told:
            self._tell(name, event("delete", name))
        del self.nodes[name]

    def tell_configured(self, name: str) -> None:
        self._tell(name, event("configuration", name))

    def end_subscription(self, name: str, account: str = JULIET) -> None:
        """As an owner may; whom it concerns is told (XEP-0060, 8.8.4)."""
        self._tell(name, event("subscription", name, jid=account, subscription="none"))
        self.forget_subscription(name, account)

    def forget_subscription(self, name: str, account: str = JULIET) -> None:
        """Nobody is told."""
        self.nodes[name].subscribers.discard(account)
        self.recorded.discard((name, account))

    def contents(self, name: str) -> list[tuple[str, str]]:
        """Ids and texts, in order; of a node that is not there: nothing."""
        return list(self.nodes[name].items.items()) if name in self.nodes else []

    def is_subscribed(self, name: str, account: str = JULIET) -> bool:
        return name in self.nodes and account in self.nodes[name].subscribers

    def tell_interested(self, name: str, item_id: str) -> None:
        """Tell all streams of an item, subscribed or not: by their presence (XEP-0163, 4)."""
        about = event("items", name)
        about[0].append(self._told_item(self.nodes[name], item_id))
        for stream in self.streams:
            self._send(stream, about, stream.own_jid, "headline")

    def tell_last(self, name: str, account: str) -> None:
        """Send the last item to who just subscribed."""
        node = self.nodes[name]
        if not node.items:
            return
        about = event("items", name)
        about[0].append(self._told_item(node, list(node.items)[0 if self.new is Behaviour.FIRST else -1]))
        for stream in self.streams:
            if stream.is_of(account):
                self._send(stream, about, account, "headline", delayed=Quirk.LAST_ITEM_LOOKS_NEW not in self.quirks)

    def _told_item(self, node: Node, item_id: str) -> Element:
        item = node.item(NS_EVENT, item_id)
        if Quirk.PUBSUB_PAYLOAD_TOLD_AS_EVENT in self.quirks and item[0].tag.startswith(f"{{{NS_PUBSUB}}}"):
            for inner in item.iter():
                if inner.tag.startswith(f"{{{NS_PUBSUB}}}"):
                    inner.tag = inner.tag.replace(NS_PUBSUB, NS_EVENT, 1)
        return item

    def _tell(
        self, name: str, about: Element, type: str = "headline", *, later: str | None = None, extra: Iterable[str] = ()
    ) -> None:
        """All subscribers, and `extra`; `later` is the publisher, who on some services hears of it last."""
        for account in sorted(self.nodes[name].subscribers | set(extra)):
            for stream in self.streams:
                if not stream.is_of(account):
                    continue
                if account == later and Quirk.OWN_EVENT_AFTER_ANSWER in self.quirks:
                    soon(8, lambda to=stream, whom=account: self._send(to, about, whom, type))  # type: ignore[misc]
                else:
                    self._send(stream, about, account, type)

    def _send(self, stream: Stream, about: Element, account: str, type: str, *, delayed: bool = False) -> None:
        message = Element("{jabber:client}message", {"from": self.jid, "to": f"{account}/balcony", "type": type})
        message.append(copy.deepcopy(about))
        if delayed:
            SubElement(message, "{urn:xmpp:delay}delay", {"stamp": "2026-01-01T00:00:00Z"})
        self.mischief.pass_on(message, stream.receive)

    # What happens to requests -------------------------------------------------------------------------------

    def hold(self, kind: Kind, *, answered: bool = False) -> Hold:
        """Keep requests of this kind waiting: before they reach the service; or, `answered`, on the last steps of
        their answer to whoever awaits it."""
        hold = self._holds[kind, answered] = Hold()
        return hold

    def refuse(self, kind: Kind, condition: str, type: str = "cancel") -> None:
        """Answer requests of this kind with an error, until they are allowed."""
        self._errors[kind] = StanzaError(type, condition)

    def silence(self, kind: Kind) -> None:
        """Answer requests of this kind with nothing, until they are allowed. Nobody waits for the time-out."""
        self._errors[kind] = Timeout(f"no answer from {self.jid}")

    def allow(self, kind: Kind) -> None:
        self._errors.pop(kind, None)

    def counted(self, kind: Kind) -> int:
        """How many requests of this kind came."""
        return sum(request.kind == kind for request in self.requests)

    async def take(self, request: Request, on_answer: Callable[[], None] | None, stream: Stream) -> Element:
        self.requests.append(request)
        number = len(self.requests)
        await self._delay(request, self.before, answered=False)
        if Quirk.ANSWERS_OUT_OF_ORDER in self.quirks:
            await _steps(number * 7 % 5)
        if (error := self._errors.get(request.kind)) is not None:
            raise error
        await self.linger(request)
        found = self.carry_out(request)
        found = self.mischief.pretend(found, request.kind)
        if self.mischief.cuts(request.kind):
            stream.cut()
        if Quirk.EVENTS_OVERTAKE_ANSWERS in self.quirks and request.kind == "items":
            await _steps(4)
        if on_answer is not None:
            on_answer()
        await self._delay(request, self.after, answered=True)
        return found

    async def linger(self, request: Request) -> None:
        """Take time over a request, by `clock`: none here."""

    def carry_out(self, request: Request) -> Element:
        """What is answered. Raises StanzaError."""
        found = answer(self, request)
        if request.kind == "items":
            found = self.mischief.twist(found, request)
        if request.kind == "ids":
            found = self.mischief.twist_ids(found, request)
        return found

    async def _delay(self, request: Request, steps: Callable[[Request], int], *, answered: bool) -> None:
        await _steps(1 + steps(request))
        if (hold := self._holds.get((request.kind, answered))) is not None:
            await hold.wait()


async def _steps(count: int) -> None:
    for _ in range(count):
        await asyncio.sleep(0)


def soon(steps: int, call: Callable[[], None]) -> None:
    """Call it so many scheduling steps from now."""
    asyncio.get_running_loop().call_soon(*((call,) if steps == 0 else (soon, steps - 1, call)))
