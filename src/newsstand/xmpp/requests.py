"""Recognises the XEP-0060 requests of a program by their XML, and builds the requests of Newsstand. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from xml.etree.ElementTree import Element, SubElement

from newsstand.jid import MAX_PART, canonical_bare
from newsstand.model import (
    NS_DISCO_INFO,
    NS_DISCO_ITEMS,
    NS_PUBSUB,
    NS_RSM,
    ItemsRequest,
    NodeKey,
    RsmQuery,
    WriteKind,
    WriteRequest,
)
from newsstand.xmpp import xmltext
from newsstand.xmpp.seen_items import read_item
from newsstand.xmpp.tags import ITEM, ITEMS, OWNER, PUBSUB, SET

_LONGEST = 3 * MAX_PART + 2
"""Characters of a JID: what is longer is none."""
_canonical_bare = lru_cache(1024)(canonical_bare)

# Requests that a program makes -----------------------------------------------------------------------------


def read_request(
    iq: Element, own_jid: str, limits: xmltext.Limits = xmltext.LIMITS
) -> ItemsRequest | WriteRequest | None:
    """What a program's IQ asks of a pubsub node, or None where it is none of our business, or holds anything that we do
    not know the meaning of. `own_jid` takes the place of a missing `from` and `to`. The JIDs of its key are in
    canonical spelling, however the program spelt them."""
    sender = iq.get("from") or own_jid
    to = iq.get("to") or sender
    if len(iq) != 1 or not sender or max(len(sender), len(to)) > _LONGEST or "/" in (iq.get("to") or ""):
        return None
    account, service = _canonical_bare(sender), _canonical_bare(to)
    child = iq[0]
    kind = iq.get("type")
    if kind == "get" and child.tag == PUBSUB:
        return _read_items_request(child, account, service)
    if kind == "set" and child.tag in (PUBSUB, OWNER):
        return _read_write(child, account, service, limits)
    return None


def _read_items_request(pubsub: Element, account: str, service: str) -> ItemsRequest | None:
    if not 1 <= len(pubsub) <= 2 or pubsub.attrib or pubsub[0].tag != ITEMS:
        return None
    paged = len(pubsub) == 2
    if paged and pubsub[1].tag != SET:
        return None
    items = pubsub[0]
    node = items.get("node")
    if not node or not items.attrib.keys() <= {"node", "max_items"}:
        return None
    ids = []
    for child in items:
        item_id = child.get("id")
        if child.tag != ITEM or not item_id or len(child.attrib) != 1 or len(child):
            return None
        ids.append(item_id)
    max_items: int | None = None
    limit = items.get("max_items")
    if limit is not None:
        if ids or not (limit.isascii() and limit.isdigit() and len(limit) <= 10 and 0 < int(limit) < 2**31):
            return None
        max_items = int(limit)
    return ItemsRequest(NodeKey(account, service, node), tuple(ids), max_items, paged)


def _read_write(pubsub: Element, account: str, service: str, limits: xmltext.Limits) -> WriteRequest | None:
    for action in pubsub:
        node = action.get("node")
        if not node:
            continue
        name = action.tag.rpartition("}")[2]
        key = NodeKey(account, service, node)
        found = [item for item in action if item.tag == ITEM]
        match name:
            case "publish":
                return WriteRequest(key, WriteKind.PUBLISH, items=tuple(read_item(item, limits) for item in found))
            case "retract":
                ids = tuple(item_id for item in found if (item_id := item.get("id")))
                return WriteRequest(key, WriteKind.RETRACT, item_ids=ids)
            case "purge":
                return WriteRequest(key, WriteKind.PURGE)
            case "delete":
                return WriteRequest(key, WriteKind.DELETE)
            case "unsubscribe":
                return WriteRequest(key, WriteKind.UNSUBSCRIBE)
            case "subscribe" if len(pubsub) == 1:
                return None  # changes nothing that the node holds, nor what we receive; with options it may
            case _:
                return WriteRequest(key, WriteKind.OTHER)
    return None


# Requests that we make -------------------------------------------------------------------------------------


def items_request(
    node: str,
    *,
    item_ids: Iterable[str] = (),
    max_items: int | None = None,
    rsm: RsmQuery | None = None,
) -> Element:
    """XEP-0060, 6.5; with `rsm`, a `<set/>` of XEP-0059 beside it."""
    pubsub = Element(PUBSUB)
    items = SubElement(pubsub, ITEMS, {"node": node})
    for item_id in item_ids:
        SubElement(items, ITEM, {"id": item_id})
    if max_items is not None:
        items.set("max_items", str(max_items))
    if rsm is not None:
        _add_rsm(pubsub, rsm)
    return pubsub


def _add_rsm(parent: Element, rsm: RsmQuery) -> None:
    wanted = SubElement(parent, SET)
    for name in ("max", "after", "before", "index"):
        if (value := getattr(rsm, name)) is not None:
            SubElement(wanted, f"{{{NS_RSM}}}{name}").text = str(value)


def subscribe_request(node: str, jid: str) -> Element:
    """XEP-0060, 6.1."""
    pubsub = Element(PUBSUB)
    SubElement(pubsub, f"{{{NS_PUBSUB}}}subscribe", {"node": node, "jid": jid})
    return pubsub


def unsubscribe_request(node: str, jid: str) -> Element:
    """XEP-0060, 6.2."""
    pubsub = Element(PUBSUB)
    SubElement(pubsub, f"{{{NS_PUBSUB}}}unsubscribe", {"node": node, "jid": jid})
    return pubsub


def subscriptions_request(node: str) -> Element:
    """XEP-0060, 5.6: the account's own, to this node."""
    pubsub = Element(PUBSUB)
    SubElement(pubsub, f"{{{NS_PUBSUB}}}subscriptions", {"node": node})
    return pubsub


def disco_items_request(node: str) -> Element:
    """XEP-0060, 5.5: the ids of a node."""
    return Element(f"{{{NS_DISCO_ITEMS}}}query", {"node": node})


def disco_nodes_request(rsm: RsmQuery | None = None) -> Element:
    """XEP-0060, 5.2: the nodes of a service."""
    query = Element(f"{{{NS_DISCO_ITEMS}}}query")
    if rsm is not None:
        _add_rsm(query, rsm)
    return query


def disco_info_request(node: str) -> Element:
    """XEP-0060, 5.4: the meta-data of a node."""
    return Element(f"{{{NS_DISCO_INFO}}}query", {"node": node})
