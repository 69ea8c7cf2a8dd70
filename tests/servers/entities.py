"""An account at a service, at the level of the port: XML goes in, XML comes out, and what it hears is written down."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any
from xml.etree import ElementTree as ET
from xml.etree.ElementTree import Element, SubElement

from newsstand.errors import StanzaError
from newsstand.model import NS_DATA, NS_DISCO_INFO, NS_DISCO_ITEMS, NS_EVENT, NS_OWNER, NS_PUBSUB, NS_RSM
from newsstand.xmpp.transport import Transport

NOTE = "urn:example:note"
CLIENT = "{jabber:client}"
NODE_CONFIG = f"{NS_PUBSUB}#node_config"
PUBLISH_OPTIONS = f"{NS_PUBSUB}#publish-options"
SECONDS = 15.0
"""Within which everything comes, on a machine however busy."""


@dataclass(frozen=True)
class Event:
    """One action of one notification. `kind` is the action's own name; the items' payloads are their texts."""

    kind: str
    ids: tuple[str, ...] = ()
    texts: tuple[str, ...] = ()


@dataclass(frozen=True)
class Page:
    """An answer to a request for items; what its `<set/>` said, if it had one."""

    ids: list[str]
    texts: list[str]
    publishers: list[str | None]
    rsm: Element | None = field(compare=False)
    iq: Element = field(compare=False)

    @property
    def count(self) -> int | None:
        text = None if self.rsm is None else self.rsm.findtext(f"{{{NS_RSM}}}count")
        return None if text is None else int(text)

    @property
    def first(self) -> str:
        return self._of_set("first")

    @property
    def last(self) -> str:
        return self._of_set("last")

    @property
    def index(self) -> int:
        assert self.rsm is not None
        first = self.rsm.find(f"{{{NS_RSM}}}first")
        assert first is not None
        return int(first.get("index", "-1"))

    def _of_set(self, name: str) -> str:
        text = None if self.rsm is None else self.rsm.findtext(f"{{{NS_RSM}}}{name}")
        assert text
        return text


class Entity:
    """An account at work on a transport, until it is closed."""

    def __init__(
        self,
        transport: Transport,
        close: Callable[[], Awaitable[None]],
        cut: Callable[[], None],
    ) -> None:
        self.transport = transport
        self.close = close
        """Log out."""
        self.cut = cut
        """The stream ends, without a word."""
        self.jid = transport.own_jid
        self.messages: list[Element] = []
        self._came = asyncio.Event()
        transport.on_message(self._hear)

    def _hear(self, message: Element) -> None:
        self.messages.append(message)
        self._came.set()

    # What it hears

    def heard(self, service: str, node: str) -> list[Event]:
        """What the service has told of a node, in order."""
        return [
            event
            for message in self.messages
            if message.get("from", "").partition("/")[0] == service and message.get("type") != "error"
            for event in read_events(message, node)
        ]

    async def hears(self, service: str, node: str, count: int = 1) -> list[Event]:
        """The same, as soon as it is so many."""
        async with asyncio.timeout(SECONDS):
            while len(heard := self.heard(service, node)) < count:
                self._came.clear()
                await self._came.wait()
        return heard

    # What it asks

    async def iq(self, type: Any, to: str, payload: Element, *, on_answer: Callable[[], None] | None = None) -> Element:
        return await self.transport.iq(type, to, payload, timeout=SECONDS, on_answer=on_answer)

    async def caught_up(self, service: str) -> None:
        """What the service told before now has come: its answer comes behind it."""
        await self.info(service)

    async def items(
        self,
        service: str,
        node: str,
        *,
        ids: Iterable[str] = (),
        max_items: int | None = None,
        page: int | None = None,
        after: str | None = None,
        before: str | None = None,
        on_answer: Callable[[], None] | None = None,
    ) -> Page:
        pubsub, items = _pubsub("items", node)
        for item_id in ids:
            SubElement(items, f"{{{NS_PUBSUB}}}item", {"id": item_id})
        if max_items is not None:
            items.set("max_items", str(max_items))
        if page is not None:
            rsm = SubElement(pubsub, f"{{{NS_RSM}}}set")
            SubElement(rsm, f"{{{NS_RSM}}}max").text = str(page)
            for name, cursor in (("after", after), ("before", before)):
                if cursor is not None:
                    SubElement(rsm, f"{{{NS_RSM}}}{name}").text = cursor
        return read_page(await self.iq("get", service, pubsub, on_answer=on_answer))

    async def ids(self, service: str, node: str) -> list[str]:
        """Of a full listing."""
        return (await self.items(service, node)).ids

    async def disco_items(self, service: str, node: str | None = None) -> list[str]:
        """The ids of a node, or the nodes of the service."""
        query = Element(f"{{{NS_DISCO_ITEMS}}}query", {} if node is None else {"node": node})
        answer = await self.iq("get", service, query)
        return [item.get("name" if node else "node", "") for item in answer.iter(f"{{{NS_DISCO_ITEMS}}}item")]

    async def info(self, service: str, node: str | None = None) -> Element:
        query = Element(f"{{{NS_DISCO_INFO}}}query", {} if node is None else {"node": node})
        return await self.iq("get", service, query)

    async def features(self, service: str) -> set[str]:
        return {feature.get("var", "") for feature in (await self.info(service)).iter(f"{{{NS_DISCO_INFO}}}feature")}

    async def publish(
        self, service: str, node: str, item_id: str, text: str | Element, *, options: dict[str, str] | None = None
    ) -> Element:
        pubsub = publish_payload(node, item_id, text)
        if options is not None:
            SubElement(pubsub, f"{{{NS_PUBSUB}}}publish-options").append(form(PUBLISH_OPTIONS, options))
        return await self.iq("set", service, pubsub)

    async def retract(self, service: str, node: str, *ids: str, notify: bool = True) -> None:
        await self.iq("set", service, retract_payload(node, *ids, notify=notify))

    async def create(self, service: str, node: str, **config: str) -> None:
        pubsub, _ = _pubsub("create", node)
        if config:
            SubElement(pubsub, f"{{{NS_PUBSUB}}}configure").append(form(NODE_CONFIG, config))
        await self.iq("set", service, pubsub)

    async def configure(self, service: str, node: str, **config: str) -> None:
        pubsub, configure = _pubsub("configure", node, NS_OWNER)
        configure.append(form(NODE_CONFIG, config))
        await self.iq("set", service, pubsub)

    async def purge(self, service: str, node: str) -> None:
        await self.iq("set", service, _pubsub("purge", node, NS_OWNER)[0])

    async def delete(self, service: str, node: str) -> None:
        await self.iq("set", service, _pubsub("delete", node, NS_OWNER)[0])

    async def affiliate(self, service: str, node: str, jid: str, affiliation: str) -> None:
        pubsub, affiliations = _pubsub("affiliations", node, NS_OWNER)
        SubElement(affiliations, f"{{{NS_OWNER}}}affiliation", {"jid": jid, "affiliation": affiliation})
        await self.iq("set", service, pubsub)

    async def subscribe(self, service: str, node: str) -> str | None:
        """What the service says that the subscription is."""
        answer = await self.iq("set", service, _pubsub("subscribe", node, jid=self.jid)[0])
        subscription = answer.find(f".//{{{NS_PUBSUB}}}subscription")
        return None if subscription is None else subscription.get("subscription")

    async def subscription(self, service: str, node: str) -> str | None:
        """What the service says that it is by now; None: there is none."""
        answer = await self.iq("get", service, _pubsub("subscriptions", node)[0])
        found = [one for one in answer.iter(f"{{{NS_PUBSUB}}}subscription") if one.get("node", node) == node]
        assert {one.get("jid") for one in found} <= {self.jid}
        return found[0].get("subscription") if found else None

    async def unsubscribe(self, service: str, node: str) -> None:
        await self.iq("set", service, _pubsub("unsubscribe", node, jid=self.jid)[0])


async def refusal(request: Any) -> StanzaError:
    """The error that a request ends with."""
    try:
        await request
    except StanzaError as error:
        return error
    raise AssertionError("the service did not refuse it")


def publish_payload(node: str, item_id: str, text: str | Element) -> Element:
    pubsub, publish = _pubsub("publish", node)
    item = SubElement(publish, f"{{{NS_PUBSUB}}}item", {"id": item_id})
    item.append(text if isinstance(text, Element) else note(text))
    return pubsub


def retract_payload(node: str, *ids: str, notify: bool = True) -> Element:
    pubsub, retract = _pubsub("retract", node)
    if notify:
        retract.set("notify", "true")
    for item_id in ids:
        SubElement(retract, f"{{{NS_PUBSUB}}}item", {"id": item_id})
    return pubsub


def note(text: str) -> Element:
    payload = Element(f"{{{NOTE}}}note")
    payload.text = text
    return payload


def form(form_type: str, fields: dict[str, str]) -> Element:
    """A submitted form; `access_model` stands for `pubsub#access_model`. FORM_TYPE is marked as hidden: one service
    ignores forms where it is not."""
    x = Element(f"{{{NS_DATA}}}x", {"type": "submit"})
    hidden = SubElement(x, f"{{{NS_DATA}}}field", {"var": "FORM_TYPE", "type": "hidden"})
    SubElement(hidden, f"{{{NS_DATA}}}value").text = form_type
    for name, value in fields.items():
        asked = SubElement(x, f"{{{NS_DATA}}}field", {"var": f"pubsub#{name}"})
        SubElement(asked, f"{{{NS_DATA}}}value").text = value
    return x


def read_page(iq: Element) -> Page:
    items = iq.findall(f"{{{NS_PUBSUB}}}pubsub/{{{NS_PUBSUB}}}items/{{{NS_PUBSUB}}}item")
    rsm = iq.find(f"{{{NS_PUBSUB}}}pubsub/{{{NS_RSM}}}set")
    publishers = [item.get("publisher") for item in items]
    return Page([item.get("id", "") for item in items], _texts(items), publishers, rsm, iq)


def read_events(message: Element, node: str) -> list[Event]:
    """What a message tells of a node."""
    found = []
    for action in message.findall(f"{{{NS_EVENT}}}event/*"):
        if action.get("node") != node:
            continue
        name = action.tag.rpartition("}")[2]
        if name != "items":
            found.append(Event(name))
        for child in action if name == "items" else ():
            kind = child.tag.rpartition("}")[2]
            texts = tuple(_texts([child])) if kind == "item" else ()
            found.append(Event(kind, (child.get("id", ""),), texts))
    return found


def _texts(items: Sequence[Element]) -> list[str]:
    return ["".join(item.itertext()) for item in items]


def _pubsub(action: str, node: str, namespace: str = NS_PUBSUB, **attributes: str) -> tuple[Element, Element]:
    pubsub = Element(f"{{{namespace}}}pubsub")
    return pubsub, SubElement(pubsub, f"{{{namespace}}}{action}", {"node": node, **attributes})


def canonical(element: Element) -> str:
    """C14N, prefixes aside: what two trees must share to mean the same."""
    return ET.canonicalize(ET.tostring(element, encoding="unicode"), rewrite_prefixes=True)
