"""A pubsub service in memory, and streams to it that keep the promises of `newsstand.transport.Transport`.

The service does at once what it is told to (`publish`, `retract`, `purge`, …), and tells those who are subscribed at
once. What takes time on a wire takes scheduling steps here: a request may be held, refused or left without an answer
before it reaches the service (`hold`, `refuse`, `silence`, `before`), and an answer that has arrived may be a while
in getting to whoever awaits it (`hold(…, answered=True)`, `after`). Answers and messages arrive in one order, that of
the service.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple
from xml.etree.ElementTree import Element, SubElement

from newsstand.errors import Disconnected, StanzaError, Timeout
from newsstand.model import NS_DISCO_INFO, NS_DISCO_ITEMS, NS_EVENT, NS_OWNER, NS_PUBSUB
from newsstand.transport import Session
from newsstand.ways import Way
from tests.fakes.hold import Hold

SERVICE = "pubsub.example.org"
JULIET = "juliet@example.org"
NOTE = "urn:example:note"
"""The namespace of all payloads."""

Kind = Literal["items", "ids", "info", "subscribe", "unsubscribe"]


class Request(NamedTuple):
    """What reached the service."""

    kind: Kind
    node: str
    account: str
    action: Element


@dataclass
class Node:
    items: dict[str, str] = field(default_factory=dict)
    """The texts by item id, in the service's order."""
    limit: int | None = None
    """`pubsub#max_items`: what is past it is evicted, and nobody is told."""
    subscribers: set[str] = field(default_factory=set)


class Service:
    """Its ways are its owner's to choose: where a new item goes (`new`: LAST or FIRST), and where an overwritten one
    (`overwritten`: LAST, FIRST or STAYS)."""

    def __init__(self, jid: str = SERVICE, *, new: Way = Way.LAST, overwritten: Way = Way.LAST) -> None:
        self.jid = jid
        self.new = new
        self.overwritten = overwritten
        self.nodes: dict[str, Node] = {}
        self.streams: list[Stream] = []
        self.requests: list[Request] = []
        """All that ever came, in order."""
        self.before: Callable[[Request], int] = lambda request: 0
        """Called for each request when it reaches the service; returns the scheduling steps that it takes first."""
        self.after: Callable[[Request], int] = lambda request: 0
        """Called for each answer when it has arrived; returns the steps before whoever awaits it goes on."""
        self._errors: dict[Kind, StanzaError | Timeout] = {}
        self._holds: dict[tuple[Kind, bool], Hold] = {}

    # What happens to its nodes ------------------------------------------------------------------------------

    def create(self, name: str, *item_ids: str, limit: int | None = None) -> Node:
        """A node that holds these items. Nobody is told."""
        node = self.nodes[name] = Node(limit=limit)
        for item_id in item_ids:
            node.items[item_id] = f"first {item_id}"
        return node

    def publish(self, name: str, item_id: str, text: str, *, told: bool = True, type: str = "headline") -> None:
        """Publish or overwrite an item. Past the node's limit the oldest is evicted in silence."""
        node = self.nodes[name]
        way = self.overwritten if item_id in node.items else self.new
        if way is Way.STAYS:
            node.items[item_id] = text
        else:
            node.items.pop(item_id, None)
            last, new = node.items, {item_id: text}
            node.items = {**last, **new} if way is Way.LAST else {**new, **last}
        while node.limit is not None and len(node.items) > node.limit:
            del node.items[list(node.items)[-1 if self.new is Way.FIRST else 0]]
        if told:
            event = _event("items", name)
            event[0].append(_item(NS_EVENT, item_id, text))
            self._tell(name, event, type)

    def retract(self, name: str, item_id: str) -> None:
        del self.nodes[name].items[item_id]
        event = _event("items", name)
        SubElement(event[0], f"{{{NS_EVENT}}}retract", {"id": item_id})
        self._tell(name, event)

    def purge(self, name: str) -> None:
        self.nodes[name].items.clear()
        self._tell(name, _event("purge", name))

    def delete(self, name: str) -> None:
        """The node, and with it all subscriptions."""
        self._tell(name, _event("delete", name))
        del self.nodes[name]

    def end_subscription(self, name: str, account: str = JULIET) -> None:
        """As an owner may; whom it concerns is told (XEP-0060, 8.8.4)."""
        self._tell(name, _event("subscription", name, jid=account, subscription="none"))
        self.nodes[name].subscribers.discard(account)

    def contents(self, name: str) -> list[tuple[str, str]]:
        """Ids and texts, in order; of a node that is not there: nothing."""
        return list(self.nodes[name].items.items()) if name in self.nodes else []

    def is_subscribed(self, name: str, account: str = JULIET) -> bool:
        return name in self.nodes and account in self.nodes[name].subscribers

    def tell_interested(self, name: str, item_id: str) -> None:
        """Tell all streams of an item, subscribed or not: by their presence (XEP-0163, 4)."""
        event = _event("items", name)
        event[0].append(_item(NS_EVENT, item_id, self.nodes[name].items[item_id]))
        for stream in self.streams:
            stream.receive(self._message(event, stream.own_jid, "headline"))

    def _tell(self, name: str, event: Element, type: str = "headline") -> None:
        for stream in self.streams:
            if stream.own_jid in self.nodes[name].subscribers:
                stream.receive(self._message(event, stream.own_jid, type))

    def _message(self, event: Element, account: str, type: str) -> Element:
        message = Element("{jabber:client}message", {"from": self.jid, "to": f"{account}/balcony", "type": type})
        message.append(event)
        return message

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

    async def take(self, request: Request, on_answer: Callable[[], None] | None) -> Element:
        self.requests.append(request)
        await self._delay(request, self.before, answered=False)
        if (error := self._errors.get(request.kind)) is not None:
            raise error
        answer = self._answer(request)
        if on_answer is not None:
            on_answer()
        await self._delay(request, self.after, answered=True)
        return answer

    async def _delay(self, request: Request, steps: Callable[[Request], int], *, answered: bool) -> None:
        for _ in range(1 + steps(request)):
            await asyncio.sleep(0)
        if (hold := self._holds.get((request.kind, answered))) is not None:
            await hold.wait()

    def _answer(self, request: Request) -> Element:
        result = Element("{jabber:client}iq", {"type": "result", "from": self.jid})
        if request.kind == "info":
            SubElement(result, f"{{{NS_DISCO_INFO}}}query")
            return result
        node = self.nodes.get(request.node)
        if node is None:
            raise StanzaError("cancel", "item-not-found")
        match request.kind:
            case "items":
                found = SubElement(SubElement(result, f"{{{NS_PUBSUB}}}pubsub"), f"{{{NS_PUBSUB}}}items")
                found.set("node", request.node)
                found.extend(_item(NS_PUBSUB, id_, node.items[id_]) for id_ in self._chosen(node, request.action))
            case "ids":
                query = SubElement(result, f"{{{NS_DISCO_ITEMS}}}query", {"node": request.node})
                for item_id in reversed(node.items):
                    SubElement(query, f"{{{NS_DISCO_ITEMS}}}item", {"jid": self.jid, "name": item_id})
            case "subscribe":
                node.subscribers.add(request.account)
            case "unsubscribe":
                node.subscribers.discard(request.account)
        return result

    def _chosen(self, node: Node, action: Element) -> list[str]:
        """Several ids in the order of the request, those that are not there left out; the newest so many in the
        node's order; no pages."""
        if wanted := [item.get("id", "") for item in action]:
            return [item_id for item_id in wanted if item_id in node.items]
        ids = list(node.items)
        limit = int(action.get("max_items", len(ids)))
        return ids[:limit] if self.new is Way.FIRST else ids[max(0, len(ids) - limit) :]


class Stream:
    """One client's stream: a `newsstand.transport.Transport`. Without a session until it is told of one."""

    is_component = False

    def __init__(self, service: Service, own_jid: str = JULIET) -> None:
        self.own_jid = own_jid
        self.service = service
        self.session = Session.LOST
        self._lost: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._message_listeners: list[Callable[[Element], None]] = []
        self._session_listeners: list[Callable[[Session], None]] = []
        service.streams.append(self)

    def turn(self, *sessions: Session) -> None:
        """The session becomes this, then that. LOST cuts the requests that are under way."""
        for session in sessions:
            self.session = session
            if session is Session.LOST:
                self._lost.set_result(None)
                self._lost = asyncio.get_running_loop().create_future()
            for listener in self._session_listeners:
                listener(session)

    def receive(self, message: Element) -> None:
        """Hand a message over, if this session hears any."""
        if self.session in (Session.FRESH, Session.RESUMED):
            for listener in self._message_listeners:
                listener(message)

    async def iq(
        self,
        type: Literal["get", "set"],
        to: str,
        payload: Element,
        *,
        ifrom: str | None = None,
        timeout: float | None = None,
        on_answer: Callable[[], None] | None = None,
    ) -> Element:
        if self.session is Session.LOST:
            raise Disconnected("there is no session")
        lost = self._lost
        answer = asyncio.ensure_future(self.service.take(_read(payload, ifrom or self.own_jid), on_answer))
        try:
            either: set[asyncio.Future[Any]] = {answer, lost}
            await asyncio.wait(either, timeout=timeout, return_when=asyncio.FIRST_COMPLETED)
        finally:
            answered = answer.done()
            answer.cancel()
        if not answered:
            raise Disconnected("the stream ended") if lost.done() else Timeout(f"no answer within {timeout} s")
        return answer.result()

    def on_message(self, listener: Callable[[Element], None]) -> None:
        self._message_listeners.append(listener)

    def on_session(self, listener: Callable[[Session], None]) -> None:
        self._session_listeners.append(listener)


def _event(action: str, node: str, **attributes: str) -> Element:
    event = Element(f"{{{NS_EVENT}}}event")
    SubElement(event, f"{{{NS_EVENT}}}{action}", {"node": node, **attributes})
    return event


def _item(namespace: str, item_id: str, text: str) -> Element:
    item = Element(f"{{{namespace}}}item", {"id": item_id})
    SubElement(item, f"{{{NOTE}}}note").text = text
    return item


def _read(payload: Element, account: str) -> Request:
    namespace = payload.tag[1:].partition("}")[0]
    if namespace == NS_DISCO_ITEMS:
        return Request("ids", payload.get("node", ""), account, payload)
    if namespace == NS_DISCO_INFO:
        return Request("info", payload.get("node", ""), account, payload)
    assert namespace in (NS_PUBSUB, NS_OWNER)
    name = payload[0].tag.partition("}")[2]
    kinds: dict[str, Kind] = {"items": "items", "subscribe": "subscribe", "unsubscribe": "unsubscribe"}
    return Request(kinds[name], payload[0].get("node", ""), account, payload[0])
