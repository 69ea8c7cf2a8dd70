"""How the fake service carries out requests, and what it answers."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import TYPE_CHECKING
from xml.etree.ElementTree import Element, SubElement

from newsstand.errors import StanzaError
from newsstand.model import NS_DISCO_INFO, NS_DISCO_ITEMS, NS_PUBSUB, NS_RSM
from newsstand.rules.behaviour import Behaviour
from tests.fakes.node import Node
from tests.fakes.requests import Request, add_info, add_pubsub, add_set, result
from tests.servers.quirks import Quirk

if TYPE_CHECKING:
    from tests.fakes.service import Service

_FORBIDDEN = ("auth", "forbidden")


def answer(service: Service, request: Request) -> Element:
    """Carry it out. Raises StanzaError."""
    iq = result(service.jid, request.account)
    match request.kind:
        case "info":
            _info(service, request, iq)
        case "ids":
            _ids(service, request, iq)
        case "items":
            _items(service, request, iq)
        case "create":
            _create(service, request)
        case "publish":
            _publish(service, request, iq)
        case "subscribe":
            _subscribe(service, request, iq)
        case "unsubscribe":
            node = _find(service, request.node)
            if request.account not in node.subscribers:
                raise StanzaError("cancel", "unexpected-request", "not-subscribed")
            service.forget_subscription(request.node, request.account)
        case "subscriptions":
            _subscriptions(service, request, iq)
        case _:
            _own(service, request)
    return iq


def _find(service: Service, name: str) -> Node:
    node = service.nodes.get(name)
    if node is None:
        raise StanzaError("cancel", "item-not-found")
    return node


def _check_may_read(service: Service, node: Node, account: str) -> None:
    affiliation = node.affiliations.get(account, "none")
    if affiliation == "outcast":
        raise StanzaError(*_FORBIDDEN)
    if node.access_model == "open" or affiliation in ("owner", "publisher", "member"):
        return
    if node.access_model == "whitelist" and Quirk.CLOSED_NODE_NOT_ALLOWED in service.quirks:
        raise StanzaError("cancel", "not-allowed", "closed-node")
    raise StanzaError(*_FORBIDDEN)


def _check_owns(node: Node, account: str) -> None:
    if account not in node.owners:
        raise StanzaError(*_FORBIDDEN)


def _check_may_retract(service: Service, node: Node, account: str, ids: Sequence[str]) -> None:
    others = {item_id for item_id in ids if item_id in node.items and node.publishers.get(item_id) != account}
    if account in node.owners:
        return
    if node.affiliations.get(account) != "publisher" or (others and Quirk.RETRACT_OF_OWN_ONLY in service.quirks):
        raise StanzaError(*_FORBIDDEN)


# Reading -----------------------------------------------------------------------------------------------------


def _info(service: Service, request: Request, iq: Element) -> None:
    if request.node:
        node = _find(service, request.node)
        meta_data = {"pubsub#access_model": node.access_model, "pubsub#title": node.config.get("title", "")}
        add_info(iq, request.node, ("pubsub", "leaf"), (), meta_data)
        return
    features = [f"{NS_PUBSUB}#{name}" for name in ("create-nodes", "publish", "retrieve-items", "subscribe")]
    if not {Quirk.NO_RSM, Quirk.RSM_UNANNOUNCED} & service.quirks:
        features.append(NS_RSM)
    add_info(iq, "", ("pubsub", "service"), [NS_DISCO_INFO, *features])


def _ids(service: Service, request: Request, iq: Element) -> None:
    query = SubElement(iq, f"{{{NS_DISCO_ITEMS}}}query", {"node": request.node} if request.node else {})
    if not request.node:
        listed = list(service.nodes)
        for name in listed[: 100 if Quirk.DISCO_ITEMS_CUT in service.quirks else None]:
            SubElement(query, f"{{{NS_DISCO_ITEMS}}}item", {"jid": service.jid, "node": name})
        return
    if request.node not in service.nodes and Quirk.DISCO_MISSING_NODE_FAULT in service.quirks:
        raise StanzaError("wait", "internal-server-error")
    node = _find(service, request.node)
    _check_may_read(service, node, request.account)
    ids = list(node.items)
    for item_id in reversed(ids) if Quirk.DISCO_NEWEST_FIRST in service.quirks else ids:
        SubElement(query, f"{{{NS_DISCO_ITEMS}}}item", {"jid": service.jid, "name": item_id})


def _items(service: Service, request: Request, iq: Element) -> None:
    node = _find(service, request.node)
    _check_may_read(service, node, request.account)
    found = add_pubsub(iq, "items", node=request.node)
    if request.rsm is not None and Quirk.NO_RSM not in service.quirks:
        ids = _page(service, node, request.rsm, iq)
    else:
        ids = _chosen(service, node, request)
        if "max_items" in request.action.attrib and Quirk.LIMITED_SET_SHOWN in service.quirks:
            _add_limited_set(service, node, ids, int(request.action.get("max_items", 0)), iq)
    for item_id in ids:
        item = node.item(NS_PUBSUB, item_id)
        if Quirk.PUBLISHER_SHOWN in service.quirks and item_id in node.publishers:
            item.set("publisher", node.publishers[item_id])
        if Quirk.EMPTY_NAMESPACE_LOST in service.quirks:
            for payload in item:
                _inherit_namespace(payload)
        if Quirk.TEXT_BESIDE_PAYLOAD_LOST in service.quirks:
            item.text = None
        found.append(item)


def _inherit_namespace(parent: Element) -> None:
    for child in parent:
        if not child.tag.startswith("{"):
            child.tag = parent.tag.partition("}")[0] + "}" + child.tag
        _inherit_namespace(child)


def _chosen(service: Service, node: Node, request: Request) -> list[str]:
    """Several ids in the order of the request, those that are not there left out; the newest so many in the node's
    order."""
    if wanted := [item.get("id", "") for item in request.action]:
        refuses = Quirk.MISSING_ID_REFUSED_TO_OWNER in service.quirks and request.account in node.owners
        if refuses and not set(wanted) <= set(node.items):
            raise StanzaError("cancel", "item-not-found")
        if Quirk.IDS_IN_NODE_ORDER in service.quirks:
            return [item_id for item_id in node.items if item_id in set(wanted)]
        return [item_id for item_id in wanted if item_id in node.items]
    ids = list(node.items)
    limit = request.action.get("max_items")
    if limit is None:
        return ids
    newest = ids[: int(limit)] if service.new is Behaviour.FIRST else ids[max(0, len(ids) - int(limit)) :]
    return newest[::-1] if Quirk.MAX_ITEMS_REVERSED in service.quirks else newest


def _cursors(service: Service, node: Node, ids: Sequence[str]) -> Sequence[str]:
    if Quirk.OPAQUE_CURSORS not in service.quirks:
        return ids
    return [f"stamp {node.stamps[item_id]}" for item_id in ids]


def _add_limited_set(service: Service, node: Node, ids: Sequence[str], limit: int, iq: Element) -> None:
    index = 0 if Quirk.INDEX_ALWAYS_ZERO in service.quirks else len(node.items) - limit
    named = _cursors(service, node, ids)
    add_set(iq, named[0] if named else None, named[-1] if named else None, index, len(node.items))


def _page(service: Service, node: Node, rsm: Element, iq: Element) -> list[str]:
    ids = list(node.items)
    size = int(rsm.findtext(f"{{{NS_RSM}}}max", "20"))
    after, before = rsm.findtext(f"{{{NS_RSM}}}after"), rsm.find(f"{{{NS_RSM}}}before")
    cursors = _cursors(service, node, ids)
    if (at := rsm.findtext(f"{{{NS_RSM}}}index")) is not None:
        start, end = int(at), int(at) + size
        page, named = ids[start:end], cursors[start:end]
        add_set(iq, named[0] if named else None, named[-1] if named else None, start, len(ids))
        return page
    start, end = _bounds(cursors, size, after, None if before is None else before.text or "", service.quirks)
    page, named = ids[start:end], cursors[start:end]
    if before is not None and Quirk.LAST_PAGE_REVERSED in service.quirks:
        page, named = page[::-1], named[::-1]
    index = 0 if Quirk.INDEX_ALWAYS_ZERO in service.quirks else start
    add_set(iq, named[0] if named else None, named[-1] if named else None, index, len(ids))
    return page


def _bounds(
    cursors: Sequence[str], size: int, after: str | None, before: str | None, quirks: frozenset[Quirk]
) -> tuple[int, int]:
    """Where a page begins and ends."""
    if after is not None:
        start = cursors.index(after) + 1 if after in cursors else len(cursors)
        return start, min(start + size, len(cursors))
    if before is None:
        return 0, size
    if before in cursors:
        end = cursors.index(before)
    else:
        end = len(cursors) if not before or Quirk.UNKNOWN_BEFORE_IS_LAST_PAGE in quirks else 0
    return max(0, end - size), end


# Writing -----------------------------------------------------------------------------------------------------


def _create(service: Service, request: Request) -> None:
    if request.node in service.nodes:
        raise StanzaError("cancel", "conflict")
    if service.creators is not None and request.account not in service.creators:
        raise StanzaError(*_FORBIDDEN)
    node = service.nodes[request.node] = Node(affiliations={request.account: "owner"})
    _set_config(node, request.form)


def _set_config(node: Node, fields: dict[str, str] | None) -> None:
    node.config.update(fields or {})
    if "max_items" in node.config:
        node.limit = int(node.config["max_items"])


def _publish(service: Service, request: Request, iq: Element) -> None:
    if service.owner is not None and request.node not in service.nodes:
        if request.account != service.owner:
            raise StanzaError(*_FORBIDDEN)
        node = service.nodes[request.node] = Node(limit=1, affiliations={service.owner: "owner"})
        _set_config(node, {"access_model": "presence", **(request.form or {})})
    node = _find(service, request.node)
    affiliation = node.affiliations.get(request.account, "none")
    if affiliation not in ("owner", "publisher") and node.config.get("publish_model") != "open":
        raise StanzaError(*_FORBIDDEN)
    published = add_pubsub(iq, "publish", node=request.node)
    for item in request.action:
        item_id = item.get("id") or f"item-{len(service.requests)}"
        text = "".join(item.itertext())
        payload, beside = (item[0], item.text) if len(item) else (None, None)
        service.publish(request.node, item_id, text, payload=payload, beside=beside, publisher=request.account)
        if Quirk.PUBLISHED_ID_UNTOLD not in service.quirks:
            SubElement(published, f"{{{NS_PUBSUB}}}item", {"id": item_id})


def _subscribe(service: Service, request: Request, iq: Element) -> None:
    node = _find(service, request.node)
    _check_may_read(service, node, request.account)
    if request.account not in node.subscribers:
        node.subscribers.add(request.account)
        service.recorded.add((request.node, request.account))
        if Quirk.LAST_ITEM_ON_SUBSCRIBE in service.quirks:
            service.tell_last(request.node, request.account)
    add_pubsub(iq, "subscription", node=request.node, jid=request.account, subscription="subscribed")


def _subscriptions(service: Service, request: Request, iq: Element) -> None:
    node = _find(service, request.node)
    found = add_pubsub(iq, "subscriptions", node=request.node)
    recorded = (request.node, request.account) in service.recorded
    outlived = recorded and Quirk.SUBSCRIPTION_OUTLIVES_NODE in service.quirks
    if (request.account in node.subscribers or outlived) and not service.mischief.hides_subscriptions:
        attributes = {"jid": request.account, "subscription": "subscribed"}
        SubElement(found, f"{{{NS_PUBSUB}}}subscription", attributes)


def _own(service: Service, request: Request) -> None:
    """What only owners may, and publishers in part."""
    node = _find(service, request.node)
    if request.kind != "retract":
        _check_owns(node, request.account)
    quirks, is_pep = service.quirks, service.owner is not None
    match request.kind:
        case "retract":
            ids = [item.get("id", "") for item in request.action]
            _check_may_retract(service, node, request.account, ids)
            if not set(ids) <= set(node.items):
                raise StanzaError("cancel", "item-not-found")
            silent = Quirk.PEP_RETRACT_SILENT_WITHOUT_NOTIFY if is_pep else Quirk.RETRACT_SILENT_WITHOUT_NOTIFY
            told = silent not in quirks or request.action.get("notify") in ("true", "1")
            for item_id in ids:
                service.retract(request.node, item_id, told=told)
        case "purge":
            service.purge(request.node, told=not (is_pep and Quirk.PEP_PURGE_SILENT in quirks))
        case "delete":
            told = Quirk.DELETE_SILENT not in quirks or node.config.get("notify_delete") == "1"
            service.delete(request.node, told=told)
        case "configure":
            _configure(service, node, request)
        case "affiliations":
            for found in request.action:
                jid, affiliation = found.get("jid", ""), found.get("affiliation", "none")
                node.affiliations[jid] = affiliation
                if affiliation == "outcast" and Quirk.OUTCAST_STILL_HEARS not in quirks:
                    service.forget_subscription(request.node, jid)
        case _:
            raise StanzaError("cancel", "feature-not-implemented")


def _configure(service: Service, node: Node, request: Request) -> None:
    before = copy.copy(node.limit), dict(node.config)
    _set_config(node, request.form)
    if node.limit is not None and node.limit < len(node.items):
        if Quirk.LOWER_LIMIT_REFUSED in service.quirks:
            node.limit, node.config = before
            raise StanzaError("modify", "not-acceptable")
        if Quirk.TRIMS_AT_NEXT_PUBLISH not in service.quirks:
            service.trim(request.node, request.account)
    if Quirk.CLOSING_UNSUBSCRIBES in service.quirks and node.access_model == "whitelist":
        for account in list(node.subscribers):
            if node.affiliations.get(account) not in ("owner", "publisher", "member"):
                service.forget_subscription(request.node, account)
    if Quirk.CONFIGURATION_SILENT not in service.quirks:
        service.tell_configured(request.node)
