"""Reads notifications from their XML (XEP-0060, 7.1.2 and 12.7): what a message says of nodes. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from xml.etree.ElementTree import Element, SubElement, fromstring

from newsstand.model import (
    NS_EVENT,
    Configured,
    Deleted,
    News,
    NodeKey,
    Notification,
    Published,
    Purged,
    Retracted,
    SubscriptionChanged,
)
from newsstand.xmpp.seen_items import read_item
from newsstand.xmpp.senders import read_addresses
from newsstand.xmpp.weight import is_heavy
from newsstand.xmpp.xmltext import LIMITS, Limits

NS_DELAY = "urn:xmpp:delay"
MOST = 500
"""Items of an event above which it is not taken apart: its node is listed."""
MOST_HEAVY = 20
"""The same limit as MOST, for an event that is heavy."""
LONGEST_ID = 8_000
"""Characters of an item id that is asked for by name."""


def read_message(message: Element, own_jid: str, limits: Limits = LIMITS) -> list[Notification]:
    """What a message says of nodes, in order. Only an event that is a direct child counts: one inside a carbon,
    a forward or an archive is somebody's word about another message. Whether the sender is a service that is
    followed, the caller knows.

    It takes a bounded time, whatever came. Of an event that holds much only the ids of its items are read, so that
    their contents are asked for; of one that holds very much nothing, so that its node is listed."""
    if message.get("type") in ("error", "groupchat"):
        return []
    account, service = read_addresses(message, own_jid)
    delayed = message.find(f"{{{NS_DELAY}}}delay") is not None
    found = []
    for event in message:
        if event.tag == f"{{{NS_EVENT}}}event":
            read = _read_event(event, limits)
            found += [Notification(NodeKey(account, service, node), news, delayed) for node, news in read]
    return found


def _read_event(event: Element, limits: Limits) -> list[tuple[str, tuple[News, ...]]]:
    by_node: dict[str, list[tuple[News, ...]]] = {}
    for child in event[:MOST]:  # an event is about one node
        node = child.get("node")
        if not node:
            continue
        namespace, name = child.tag[1:].split("}", 1) if child.tag[:1] == "{" else ("", child.tag)
        if namespace == NS_EVENT:
            by_node.setdefault(node, []).append(_read_news(name, child, limits))
    # An event says one thing (XEP-0060, 7.1.2). One that says several of a node contradicts itself: believe
    # none of them, and have the node listed.
    return [(node, said[0] if len(said) == 1 else (Configured(),)) for node, said in by_node.items() if any(said)]


def _read_news(name: str, child: Element, limits: Limits) -> tuple[News, ...]:
    match name:
        case "items":
            return tuple(_read_event_items(child, limits))
        case "purge":
            return (Purged(),)
        case "delete":
            return (Deleted(),)
        case "configuration":
            return (Configured(),)
        case "subscription":
            return (SubscriptionChanged(child.get("subscription") or "none"),)
        case _:
            return ()


def _read_event_items(items: Element, limits: Limits) -> Sequence[News]:
    if len(items) > MOST:
        return [Configured()]
    heavy = is_heavy(items)
    if heavy and len(items) > MOST_HEAVY:
        return [Configured()]
    news: list[News] = []
    for child in items:
        item_id = child.get("id")
        if child.tag not in (f"{{{NS_EVENT}}}item", f"{{{NS_EVENT}}}retract"):
            continue
        if not item_id or len(item_id) > LONGEST_ID:
            news.append(Configured())  # something changed, and it does not say what, or we cannot ask for it
        elif child.tag == f"{{{NS_EVENT}}}item":
            # Without a payload it reads as one that leaves it out (XEP-0060, 4.3).
            news.append(Published((read_item(Element(child.tag, child.attrib) if heavy else child, limits),)))
        else:
            news.append(Retracted((item_id,)))
    return news or [Configured()]


def write_message(news: Published | Retracted, key: NodeKey, service: str) -> Element:
    """The `<message/>` by which a service, as it is spelt, notifies an account of this (XEP-0060, 7.1.2 and 7.2.2)."""
    message = Element("{jabber:client}message", {"from": service, "to": key.account, "type": "headline"})
    event = SubElement(message, f"{{{NS_EVENT}}}event")
    items = SubElement(event, f"{{{NS_EVENT}}}items", {"node": key.node})
    match news:
        case Published(published):
            for seen in published:
                stored = fromstring(seen.xml)
                item = SubElement(items, f"{{{NS_EVENT}}}item", stored.attrib)
                item.extend(list(stored))
        case Retracted(item_ids):
            for item_id in item_ids:
                SubElement(items, f"{{{NS_EVENT}}}retract", {"id": item_id})
    return message
