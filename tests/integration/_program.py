"""A program with Newsstand at a real server; what it sends; and how its copy is laid beside the service."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol
from xml.etree import ElementTree as ET
from xml.etree.ElementTree import Element

from slixmpp import ClientXMPP
from slixmpp.basexmpp import BaseXMPP
from slixmpp.exceptions import IqError
from slixmpp.stanza import Iq

from newsstand import Policy, Replica
from newsstand.demo.servers.xmpp_server import XmppServer
from newsstand.model import NodeRecord, SyncState
from newsstand.slixmpp import Newsstand

ATOM = "http://www.w3.org/2005/Atom"
MICROBLOG = "urn:xmpp:microblog:0"
NS_PUBSUB = "http://jabber.org/protocol/pubsub"
NS_EVENT = "http://jabber.org/protocol/pubsub#event"


@dataclass
class Program:
    """A logged-in slixmpp client with the plugin, and its database."""

    client: ClientXMPP
    newsstand: Newsstand
    server: XmppServer
    wire: Wire

    @property
    def replica(self) -> Replica:
        return self.newsstand.replica

    @property
    def pubsub(self) -> Any:
        return self.client.plugin["xep_0060"]

    @property
    def jid(self) -> str:
        return str(self.client.boundjid.bare)

    async def caught_up(self) -> None:
        """All that the server and its pubsub service have sent so far has arrived, and so has what came of it: the
        answer to a request of ours arrives behind it."""
        for _ in range(2):
            await self.client.get_roster()
            iq = Iq(self.client, sto=self.server.pubsub, stype="get")
            iq.xml.append(Element("{http://jabber.org/protocol/disco#info}query"))
            await iq.send()
            await self.replica.settled()

    async def follow(self, node: str, service: str | None = None) -> NodeRecord:
        """Read a node as a program does, and wait until its copy is live."""
        service = service or self.server.pubsub
        await self.pubsub.get_items(service, node)
        await self.caught_up()
        record = self.record(node, service)
        assert record.state is SyncState.LIVE, record
        return record

    def find_record(self, node: str, service: str | None = None) -> NodeRecord | None:
        service = service or self.server.pubsub
        return next((r for r in self.replica.nodes() if (r.key.service, r.key.node) == (service, node)), None)

    def record(self, node: str, service: str | None = None) -> NodeRecord:
        record = self.find_record(node, service)
        assert record is not None
        return record


class OpenProgram(Protocol):
    """Opens a program: logs the account in with the plugin on a database of the test's own (by default always the
    same file), and waits until it is ready. Further keywords are settings. Closed when the test ends, if not before."""

    async def __call__(
        self,
        account: str = "juliet",
        *,
        server: XmppServer | None = None,
        plugins: Iterable[str] = (),
        presence: bool = True,
        database: str | None = None,
        online: bool = True,
        **settings: Any,
    ) -> Program: ...


@dataclass
class Wire:
    """What a client sends, as it goes to the socket."""

    sent: list[str] = field(default_factory=list)

    @classmethod
    def tap(cls, client: ClientXMPP) -> Wire:
        wire = cls()
        send_raw = client.send_raw

        def recording(data: str | bytes) -> None:
            wire.sent.append(data if isinstance(data, str) else data.decode())
            send_raw(data)

        client.send_raw = recording  # type: ignore[method-assign]  # to see what passes
        return wire

    def clear(self) -> None:
        self.sent.clear()

    @property
    def iqs(self) -> list[Element]:
        return [ET.fromstring(text) for text in self.sent if text.startswith("<iq")]

    def about(self, node: str) -> list[str]:
        """What was asked of a node, in order: "items", "publish", "subscribe", or the namespace of a disco query."""
        found = []
        for iq in self.iqs:
            for child in iq:
                if child.get("node") == node:
                    found.append(child.tag[1:].partition("}")[0].rpartition("/")[2])
                found += [action.tag.rpartition("}")[2] for action in child if action.get("node") == node]
        return found


def newsstand_of(client: BaseXMPP) -> Newsstand:
    """The plugin of a client or component that has it."""
    plugins: Any = client.plugin
    found = plugins["newsstand"]
    assert isinstance(found, Newsstand)
    return found


def entry(title: str, *, published: str = "2026-01-01T00:00:00Z") -> Element:
    """An Atom post, as a blog node holds them."""
    root = Element(f"{{{ATOM}}}entry")
    for name, text in (("title", title), ("id", f"tag:{title}"), ("published", published), ("updated", published)):
        ET.SubElement(root, f"{{{ATOM}}}{name}").text = text
    return root


def recipe(text: str) -> Element:
    """A payload that no built-in analyser knows."""
    root = Element("{urn:example:recipe}recipe")
    root.text = text
    return root


def node_config(client: ClientXMPP, form_type: str | None = None, **options: str) -> Any:
    """A form of node configuration; `access_model="open"` means `pubsub#access_model`."""
    form = client.plugin["xep_0004"].make_form(ftype="submit")
    if form_type:
        form.add_field(var="FORM_TYPE", ftype="hidden", value=form_type)
    for name, value in options.items():
        form.add_field(var=f"pubsub#{name}", value=value)
    return form


async def create_node(
    writer: ClientXMPP, service: str, node: str, items: int | Sequence[str] = 0, **options: str
) -> list[str]:
    """A node that keeps 1,000 items, with so many posts, or posts of these ids; returns the ids."""
    pubsub = writer.plugin["xep_0060"]
    await pubsub.create_node(service, node, config=node_config(writer, **{"max_items": "1000", **options}))
    ids = [f"id{number}" for number in range(items)] if isinstance(items, int) else list(items)
    for item_id in ids:
        await pubsub.publish(service, node, id=item_id, payload=entry(f"post {item_id}"))
    return ids


async def fill_pep(
    writer: ClientXMPP, node: str, payloads: dict[str, Element], *, access_model: str = "open", max_items: str = "100"
) -> None:
    """Make a node on the writer's own PEP service, and publish there. Not by publish-options: not every service knows
    all of them. With `max_items=""` the node keeps what it keeps by itself."""
    limit = {"max_items": max_items} if max_items else {}
    config = node_config(writer, access_model=access_model, **limit)
    try:
        await writer.plugin["xep_0060"].create_node(None, node, config=config)
    except IqError as error:
        if error.condition != "conflict":  # it is there
            raise
    for item_id, payload in payloads.items():
        await writer.plugin["xep_0060"].publish(None, node, id=item_id, payload=payload)


def ids_of(iq: Any) -> list[str]:
    """The item ids of an answer, in order."""
    return [item.get("id", "") for item in iq.xml.iter(f"{{{NS_PUBSUB}}}item")]


def is_hit(iq: Any) -> bool:
    """Whether the copy answered, as good as the service."""
    answer = getattr(iq, "newsstand", None)
    return answer is not None and not answer.stale


def is_stale(iq: Any) -> bool:
    """Whether the copy stood in for the service."""
    answer = getattr(iq, "newsstand", None)
    return answer is not None and bool(answer.stale)


def canonical(element: Element) -> str:
    """C14N, prefixes aside: what two trees must share to mean the same."""
    return ET.canonicalize(ET.tostring(element, encoding="unicode"), rewrite_prefixes=True)


def canonical_iq(iq: Any) -> str:
    """A whole answer but for its id, which is each request's own, the resource it was sent to, and the language that
    some servers write on every stanza of a stream."""
    copy = ET.fromstring(ET.tostring(iq.xml))
    copy.attrib.pop("id")
    copy.attrib.pop("{http://www.w3.org/XML/1998/namespace}lang", None)
    copy.set("to", copy.get("to", "").partition("/")[0])
    return canonical(copy)


@dataclass(frozen=True)
class Outcome:
    """How a request ended; equal to another that ended alike."""

    answer: str
    hit: bool = field(compare=False)


async def outcome(request: Any) -> Outcome:
    """The result, or the error, that a request ends with."""
    try:
        iq = await request
    except IqError as error:
        return Outcome(f"{error.etype}/{error.condition}: {canonical_iq(error.iq)}", False)
    return Outcome(canonical_iq(iq), is_hit(iq))


async def assert_copy_equals_service(
    replica: Replica, plain: ClientXMPP, service: str, node: str, *, account: str | None = None
) -> None:
    """The copy holds the items that the service gives to a client without it: ids, order, and canonical XML."""
    iq = await plain.plugin["xep_0060"].get_items(service, node)
    there = [(item.get("id"), canonical(item)) for item in iq.xml.iter(f"{{{NS_PUBSUB}}}item")]
    answer = await replica.get_items(service, node, policy=Policy.ONLY_COPY, account=account)
    here = [(item.id, canonical(ET.fromstring(item.xml))) for item in answer.items]
    assert [id_ for id_, _ in here] == [id_ for id_, _ in there]
    assert here == there
