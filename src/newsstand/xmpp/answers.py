"""Reads the answers to XEP-0060 requests from their XML. Pure. Notifications are read in
`newsstand.xmpp.notifications`.

The semantic layers of XMPP libraries lose data, so this works on elements."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from xml.etree.ElementTree import Element
from xml.sax.saxutils import escape

from newsstand.jid import canonical, canonical_bare
from newsstand.model import (
    NS_DATA,
    NS_DISCO_INFO,
    NS_DISCO_ITEMS,
    NS_PUBSUB,
    NS_RSM,
    NodeKey,
    Rsm,
    SeenItem,
    Subscription,
)
from newsstand.xmpp import xmltext
from newsstand.xmpp.seen_items import read_children, read_item, take_children
from newsstand.xmpp.tags import ITEM, ITEMS, PUBSUB, SET

# Answers ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Listing:
    """The items of one answer, and its `<set/>` (XEP-0059)."""

    items: tuple[SeenItem, ...]
    rsm: Rsm | None


@dataclass(frozen=True, slots=True)
class NodeInfo:
    """What disco#info says of a node (XEP-0060, 5.4). A field is None where it does not say."""

    access_model: str | None = None
    pubsub_type: str | None = None


def find_items(iq: Element) -> Element | None:
    """The `<items/>` of a result."""
    return iq.find(f"{PUBSUB}/{ITEMS}")


def read_items(iq: Element, limits: xmltext.Limits = xmltext.LIMITS) -> Listing:
    """The items of a result, each as text of its own."""
    items = find_items(iq)
    return Listing(() if items is None else tuple(read_children(items, limits)), read_set(iq))


def read_set(iq: Element) -> Rsm | None:
    """The `<set/>` of a result (XEP-0059), if there is one."""
    rsm = iq.find(f"{PUBSUB}/{SET}")
    return None if rsm is None else _read_rsm(rsm)


def iter_items(iq: Element, limits: xmltext.Limits = xmltext.LIMITS) -> Iterator[SeenItem]:
    """Reads the items one after the other, of a tree that nobody else needs: what was read of it is freed meanwhile."""
    items = find_items(iq)
    return iter(()) if items is None else take_children(items, limits)


def read_item_ids(iq: Element) -> list[str]:
    """The ids of a result's items, in its order; what they hold is not read."""
    items = find_items(iq)
    return [] if items is None else [child.get("id", "") for child in items if child.tag == ITEM]


def count_items(iq: Element) -> int:
    """How many items a result holds, at most."""
    items = find_items(iq)
    return 0 if items is None else len(items)


def read_ends(iq: Element) -> Listing:
    """The first and the last item of a result, and its `<set/>`: without the time that a large one takes."""
    items, rsm = find_items(iq), read_set(iq)
    if items is None or rsm is None or not len(items):
        return Listing((), None)
    return Listing((read_item(items[0]), read_item(items[-1])), rsm)


def _read_rsm(rsm: Element) -> Rsm:
    first = rsm.find(f"{{{NS_RSM}}}first")
    index = first.get("index") if first is not None else None
    count = rsm.findtext(f"{{{NS_RSM}}}count")
    return Rsm(
        first=first.text if first is not None else None,
        last=rsm.findtext(f"{{{NS_RSM}}}last"),
        count=_number(count),
        index=_number(index),
    )


def _number(text: str | None) -> int | None:
    """Negative ones too: some services send such an index."""
    digits = (text or "").removeprefix("-")
    return int(text or "") if digits.isascii() and digits.isdigit() and len(digits) < 16 else None


def write_rsm(rsm: Rsm) -> str:
    """A `<set/>` of an answer, as text."""
    index = "" if rsm.index is None else f' index="{rsm.index}"'
    parts = [] if rsm.count is None else [f"<count>{rsm.count}</count>"]
    if rsm.first is not None:
        parts.append(f"<first{index}>{escape(rsm.first)}</first>")
    if rsm.last is not None:
        parts.append(f"<last>{escape(rsm.last)}</last>")
    return f'<set xmlns="{NS_RSM}">{"".join(parts)}</set>'


def read_disco_item_ids(iq: Element) -> list[str]:
    """The item ids that disco#items of a node lists, in the service's order (XEP-0060, 5.5: `name` is the id)."""
    query = iq.find(f"{{{NS_DISCO_ITEMS}}}query")
    return [] if query is None else [name for item in query if (name := item.get("name")) is not None]


def disco_is_cut(iq: Element) -> bool:
    """True where the listing says of itself that it is only a page (XEP-0059)."""
    rsm = iq.find(f"{{{NS_DISCO_ITEMS}}}query/{SET}")
    return rsm is not None and (_read_rsm(rsm).count or 0) > len(read_disco_item_ids(iq))


def read_disco_nodes(iq: Element, service: str) -> tuple[list[tuple[str, str]], Rsm | None]:
    """The nodes that disco#items of a service lists, each with what the service calls it, in the service's order
    (XEP-0060, 5.2); and the `<set/>` beside them, if there is one. Other entities that it lists are left out."""
    query = iq.find(f"{{{NS_DISCO_ITEMS}}}query")
    if query is None:
        return [], None
    found = [
        (node, item.get("name") or "")
        for item in query.iterfind(f"{{{NS_DISCO_ITEMS}}}item")
        if (node := item.get("node")) and canonical_bare(item.get("jid") or "") == service
    ]
    rsm = query.find(SET)
    return found, None if rsm is None else _read_rsm(rsm)


def read_disco_services(iq: Element, asked: str) -> list[str]:
    """The other entities that disco#items of a domain lists: its services (XEP-0030, 4.1)."""
    listed = iq.iterfind(f"{{{NS_DISCO_ITEMS}}}query/{{{NS_DISCO_ITEMS}}}item")
    jids = (canonical_bare(item.get("jid") or "") for item in listed if item.get("node") is None)
    return [jid for jid in jids if jid and jid != asked]


def read_disco_info(iq: Element) -> NodeInfo:
    fields = {
        field.get("var"): field.findtext(f"{{{NS_DATA}}}value")
        for field in iq.iterfind(f"{{{NS_DISCO_INFO}}}query/{{{NS_DATA}}}x/{{{NS_DATA}}}field")
    }
    return NodeInfo(fields.get("pubsub#access_model"), fields.get("pubsub#type"))


def read_subscription(iq: Element) -> Subscription:
    """What a subscribe request brought. A service may answer with nothing: then it agreed (XEP-0060, 6.1.2)."""
    element = iq.find(f"{PUBSUB}/{{{NS_PUBSUB}}}subscription")
    match element.get("subscription") if element is not None else "subscribed":
        case "subscribed":
            return Subscription.SUBSCRIBED
        case "pending":
            return Subscription.PENDING
        case _:
            return Subscription.NONE


def names_subscription(iq: Element, key: NodeKey) -> bool:
    """Whether an answer to `subscriptions_request` names the account's subscription as one that is in force. Some
    services leave out the node that was asked for."""
    return any(
        found.get("node", key.node) == key.node
        and canonical(found.get("jid", "")) == key.account
        and found.get("subscription") == "subscribed"
        for found in iq.iterfind(f"{PUBSUB}/{{{NS_PUBSUB}}}subscriptions/{{{NS_PUBSUB}}}subscription")
    )


def read_published_ids(iq: Element) -> tuple[str, ...]:
    """The ids that a service gave to what was published (XEP-0060, 7.1.1)."""
    items = iq.iterfind(f"{PUBSUB}/{{{NS_PUBSUB}}}publish/{ITEM}")
    return tuple(item_id for item in items if (item_id := item.get("id")))
