"""Notifications as XML (XEP-0060, 7.1.2 and 12.7): what a message says of nodes. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from xml.etree.ElementTree import Element

from newsstand.jid import canonical_bare
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
from newsstand.protocol import read_item

NS_DELAY = "urn:xmpp:delay"


def read_message(message: Element, own_jid: str) -> list[Notification]:
    """What a message says of nodes, in order. Only an event that is a direct child counts: one inside a carbon,
    a forward or an archive is somebody's word about another message. Whether the sender is a service that is
    followed, the caller knows."""
    if message.get("type") in ("error", "groupchat"):
        return []
    account = canonical_bare(message.get("to") or own_jid)
    service = canonical_bare(message.get("from") or account)
    delayed = message.find(f"{{{NS_DELAY}}}delay") is not None
    found = []
    for event in message:
        if event.tag == f"{{{NS_EVENT}}}event":
            found += [Notification(NodeKey(account, service, node), news, delayed) for node, news in _read_event(event)]
    return found


def _read_event(event: Element) -> list[tuple[str, tuple[News, ...]]]:
    by_node: dict[str, list[tuple[News, ...]]] = {}
    for child in event:
        node = child.get("node")
        if not node:
            continue
        namespace, name = child.tag[1:].split("}", 1) if child.tag[:1] == "{" else ("", child.tag)
        if namespace == NS_EVENT:
            by_node.setdefault(node, []).append(_read_news(name, child))
    # An event says one thing (XEP-0060, 7.1.2). One that says several of a node contradicts itself: believe
    # none of them, and look.
    return [(node, told[0] if len(told) == 1 else (Configured(),)) for node, told in by_node.items() if any(told)]


def _read_news(name: str, child: Element) -> tuple[News, ...]:
    match name:
        case "items":
            return tuple(_read_event_items(child))
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


def _read_event_items(items: Element) -> Sequence[News]:
    news: list[News] = []
    for child in items:
        item_id = child.get("id")
        if child.tag not in (f"{{{NS_EVENT}}}item", f"{{{NS_EVENT}}}retract"):
            continue
        if not item_id:
            news.append(Configured())  # something changed, and it does not say what
        elif child.tag == f"{{{NS_EVENT}}}item":
            news.append(Published((read_item(child),)))
        else:
            news.append(Retracted((item_id,)))
    return news or [Configured()]
