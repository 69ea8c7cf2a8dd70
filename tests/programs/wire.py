"""What an IQ on the wire asks for. Pure."""

from __future__ import annotations

import enum
from collections.abc import Iterator
from dataclasses import dataclass
from xml.etree.ElementTree import Element, ParseError, fromstring

PUBSUB = "http://jabber.org/protocol/pubsub"
OWNER = f"{PUBSUB}#owner"
RSM = "http://jabber.org/protocol/rsm"
_PRIVILEGE = "urn:xmpp:privilege:"


class Kind(enum.Enum):
    """What requests are counted as."""

    ITEMS = "items of a node"
    SUBSCRIPTIONS = "the list of subscriptions"
    SUBSCRIBE = "subscribe, unsubscribe"
    WRITE = "publish, retract"
    PUBSUB = "other pubsub"
    INFO = "disco#info"
    LIST = "disco#items"
    OTHER = "other"


@dataclass(frozen=True, slots=True)
class Request:
    """An IQ of type get or set."""

    id: str
    kind: Kind
    what: str
    """The element's name, and its namespace where it is not pubsub's."""
    to: str
    node: str
    item_ids: tuple[str, ...] = ()
    part: str = ""
    """Which part of a node: `max_items`, or the page (XEP-0059)."""


def read_request(stanza: bytes) -> Request | None:
    """What a program asks for by this stanza; None where it is no request."""
    try:
        iq = fromstring(stanza)
    except ParseError:  # a stream's header or its end, white space, or a prefix that the header declares
        return None
    if _names(iq)[1] != "iq" or iq.get("type") not in ("get", "set"):
        return None
    return _of(iq, iq.get("id", ""))


def _of(iq: Element, id: str) -> Request:
    child = next(iter(iq), None)
    if child is None:
        return Request(id, Kind.OTHER, "nothing", iq.get("to", ""), "")
    namespace, name = _names(child)
    if namespace.startswith(_PRIVILEGE) and (inner := next(iter(child), None)) is not None:
        return _of(inner, id)  # XEP-0356: what is asked in another account's name
    verb = next(iter(child), None) if namespace in (PUBSUB, OWNER) else None
    asked = child if verb is None else verb
    node = asked.get("node") or child.get("node") or ""
    ids = tuple(item.get("id", "") for item in asked if _names(item)[1] == "item")
    what = f"{name} ({namespace})" if verb is None else _names(verb)[1]
    kind = _kind(namespace, "" if verb is None else what)
    return Request(id, kind, what, iq.get("to", ""), node, ids, _part(child, asked))


def _part(child: Element, asked: Element) -> str:
    most = asked.get("max_items")
    page = child.find(f"{{{RSM}}}set")
    said = [] if most is None else [f"max_items {most}"]
    if page is not None:
        said += [" ".join(filter(None, (_names(limit)[1], limit.text))) for limit in page]
    return ", ".join(said)


def _kind(namespace: str, verb: str) -> Kind:
    match namespace, verb:
        case "http://jabber.org/protocol/disco#info", _:
            return Kind.INFO
        case "http://jabber.org/protocol/disco#items", _:
            return Kind.LIST
        case (namespace, "items") if namespace == PUBSUB:
            return Kind.ITEMS
        case (namespace, "subscriptions") if namespace == PUBSUB:
            return Kind.SUBSCRIPTIONS
        case (namespace, "subscribe" | "unsubscribe") if namespace == PUBSUB:
            return Kind.SUBSCRIBE
        case (namespace, "publish" | "retract") if namespace == PUBSUB:
            return Kind.WRITE
        case (namespace, _) if namespace in (PUBSUB, OWNER):
            return Kind.PUBSUB
        case _:
            return Kind.OTHER


def _names(element: Element) -> tuple[str, str]:
    namespace, _, name = element.tag.rpartition("}")
    return namespace[1:], name


def count(requests: Iterator[Request]) -> dict[Kind, int]:
    """How many there are of each kind."""
    counts = dict.fromkeys(Kind, 0)
    for request in requests:
        counts[request.kind] += 1
    return counts
