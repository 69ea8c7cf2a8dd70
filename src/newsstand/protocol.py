"""XEP-0060 as XML: requests are built and recognised here, answers read. Pure. For notifications, see there.

The semantic layers of XMPP libraries lose data, so this works on elements.
"""

from __future__ import annotations

import dataclasses
import re
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from xml.etree.ElementTree import Element, SubElement
from xml.sax.saxutils import escape, quoteattr

from newsstand import xmltext
from newsstand.jid import canonical, canonical_bare
from newsstand.model import (
    NS_DATA,
    NS_DISCO_INFO,
    NS_DISCO_ITEMS,
    NS_EVENT,
    NS_OWNER,
    NS_PUBSUB,
    NS_RSM,
    ItemsRequest,
    NodeKey,
    Rsm,
    RsmQuery,
    SeenItem,
    Subscription,
    WriteKind,
    WriteRequest,
)
from newsstand.weight import dismantle, is_heavy

_PUBSUB = f"{{{NS_PUBSUB}}}pubsub"
_OWNER = f"{{{NS_OWNER}}}pubsub"
_ITEMS = f"{{{NS_PUBSUB}}}items"
_ITEM = f"{{{NS_PUBSUB}}}item"
_SET = f"{{{NS_RSM}}}set"
MOST_PARTS = 10
"""Elements of a `<pubsub/>` that are looked at; there are two at most."""
_BARE = ' xmlns=""'
"""How `to_text` writes that an element has no namespace although its parent has one."""
_PAYLOAD = re.compile(r"""<[^\s/>]+ xmlns=(?:"([^"]*)"|')""")
"""How it writes the beginning of an element that has a namespace, and another one than its parent."""


def host_of(service: str) -> str:
    """What a service, by its bare JID, is one with: `@domain` for the PEP services of a domain's accounts, which are
    one piece of software on one machine; for any other the service itself."""
    local, at, domain = service.rpartition("@")
    return f"@{domain}" if at and local else service


# Requests that a program makes -----------------------------------------------------------------------------


def read_request(
    iq: Element, own_jid: str, limits: xmltext.Limits = xmltext.LIMITS
) -> ItemsRequest | WriteRequest | None:
    """What a program's IQ asks of a pubsub node, or None where it is none of our business, or holds anything
    that we do not know the meaning of. `own_jid` stands in for a missing `from` and `to`. The JIDs of its key are in
    canonical spelling, however the program spelt them."""
    account = canonical_bare(iq.get("from") or own_jid)
    to = iq.get("to") or account
    if len(iq) != 1 or not account or "/" in to:
        return None
    service = canonical_bare(to)
    child = iq[0]
    kind = iq.get("type")
    if kind == "get" and child.tag == _PUBSUB:
        return _read_items_request(child, account, service)
    if kind == "set" and child.tag in (_PUBSUB, _OWNER):
        return _read_write(child, account, service, limits)
    return None


def _read_items_request(pubsub: Element, account: str, service: str) -> ItemsRequest | None:
    if not 1 <= len(pubsub) <= 2 or pubsub.attrib or pubsub[0].tag != _ITEMS:
        return None
    paged = len(pubsub) == 2
    if paged and pubsub[1].tag != _SET:
        return None
    items = pubsub[0]
    node = items.get("node")
    if not node or not items.attrib.keys() <= {"node", "max_items"}:
        return None
    ids = []
    for child in items:
        item_id = child.get("id")
        if child.tag != _ITEM or not item_id or len(child.attrib) != 1 or len(child):
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
        found = [item for item in action if item.tag == _ITEM]
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
                return None  # changes nothing that the node holds, nor what we hear; with options it may
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
    pubsub = Element(_PUBSUB)
    items = SubElement(pubsub, _ITEMS, {"node": node})
    for item_id in item_ids:
        SubElement(items, _ITEM, {"id": item_id})
    if max_items is not None:
        items.set("max_items", str(max_items))
    if rsm is not None:
        wanted = SubElement(pubsub, _SET)
        for name in ("max", "after", "before", "index"):
            if (value := getattr(rsm, name)) is not None:
                SubElement(wanted, f"{{{NS_RSM}}}{name}").text = str(value)
    return pubsub


def subscribe_request(node: str, jid: str) -> Element:
    """XEP-0060, 6.1."""
    pubsub = Element(_PUBSUB)
    SubElement(pubsub, f"{{{NS_PUBSUB}}}subscribe", {"node": node, "jid": jid})
    return pubsub


def unsubscribe_request(node: str, jid: str) -> Element:
    """XEP-0060, 6.2."""
    pubsub = Element(_PUBSUB)
    SubElement(pubsub, f"{{{NS_PUBSUB}}}unsubscribe", {"node": node, "jid": jid})
    return pubsub


def subscriptions_request(node: str) -> Element:
    """XEP-0060, 5.6: the account's own, to this node."""
    pubsub = Element(_PUBSUB)
    SubElement(pubsub, f"{{{NS_PUBSUB}}}subscriptions", {"node": node})
    return pubsub


def disco_items_request(node: str) -> Element:
    """XEP-0060, 5.5: the ids of a node."""
    return Element(f"{{{NS_DISCO_ITEMS}}}query", {"node": node})


def disco_info_request(node: str) -> Element:
    """XEP-0060, 5.4: the meta-data of a node."""
    return Element(f"{{{NS_DISCO_INFO}}}query", {"node": node})


# Answers ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Listing:
    items: tuple[SeenItem, ...]
    rsm: Rsm | None


@dataclass(frozen=True, slots=True)
class NodeInfo:
    """What disco#info says of a node (XEP-0060, 5.4). None where it does not."""

    access_model: str | None = None
    pubsub_type: str | None = None


def is_from(iq: Element, service: str, account: str) -> bool:
    """Whether a result, or an error, is this service's own word to this account, both in canonical spelling (RFC 6120,
    8.1.2.1 and 10.3). What names no sender is from the account; its server may answer for it under its own name."""
    sender = iq.get("from")
    if service != account:
        return sender is not None and canonical(sender) == service
    return not sender or canonical_bare(sender) in (account, account.rpartition("@")[2])


def find_objection(iq: Element, key: NodeKey) -> str | None:
    """Why an answer is not to be believed: somebody else sent it, or it is about another node. None where it is the
    service's, about what was asked for."""
    if not is_from(iq, key.service, key.account):
        return f"{iq.get('from') or 'the own server'} answered instead of {key.service}"
    for child in iq:
        for part in child[:MOST_PARTS] if child.tag == _PUBSUB else (child,):
            if part.get("node", key.node) != key.node:
                return f"{key.service} answered about node {part.get('node')!r} instead of {key.node!r}"
    return None


def find_items(iq: Element) -> Element | None:
    """The `<items/>` of a result."""
    return iq.find(f"{_PUBSUB}/{_ITEMS}")


def read_items(iq: Element, limits: xmltext.Limits = xmltext.LIMITS) -> Listing:
    """The items of a result, each as text of its own."""
    items = find_items(iq)
    seen = () if items is None else tuple(read_item(child, limits) for child in items if child.tag == _ITEM)
    return Listing(seen, read_set(iq))


def read_set(iq: Element) -> Rsm | None:
    """The `<set/>` of a result (XEP-0059), if there is one."""
    rsm = iq.find(f"{_PUBSUB}/{_SET}")
    return None if rsm is None else _read_rsm(rsm)


def iter_items(iq: Element, limits: xmltext.Limits = xmltext.LIMITS) -> Iterator[SeenItem]:
    """The same one after the other, of a tree that nobody else needs: what was read of it is freed on the way."""
    items = find_items(iq)
    children: list[Element | None] = [] if items is None else [child for child in items if child.tag == _ITEM]
    if items is not None:
        items.clear()
    for at, child in enumerate(children):
        assert child is not None
        yield read_item(child, limits)
        children[at] = None
        if is_heavy(child, characters=sys.maxsize):  # one long text is freed at once, whatever its length
            dismantle([child])


def read_item_ids(iq: Element) -> list[str]:
    """The ids of a result's items, in its order; what they hold is not read."""
    items = find_items(iq)
    return [] if items is None else [child.get("id", "") for child in items if child.tag == _ITEM]


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


def read_item(item: Element, limits: xmltext.Limits = xmltext.LIMITS) -> SeenItem:
    """One `<item/>`, of a result or of an event. What exceeds the limits is marked, not refused: one bad item must not
    hide the others."""
    item_id = item.get("id", "")
    publisher = item.get("publisher")
    if len(item) > limits.elements:  # not even the references to them are copied
        return SeenItem(item_id, "", publisher, quarantine=f"more than {limits.elements} elements")
    whole = Element(_ITEM, item.attrib)
    whole.text = item.text
    whole.extend(item)
    try:
        text = xmltext.to_text(whole, limits)
    except xmltext.Unfit as error:
        return SeenItem(item_id, "", publisher, quarantine=str(error))
    return SeenItem(item_id, text, publisher, has_payload=len(whole) > 0)


def as_listed(item: SeenItem, shows_publisher: bool | None) -> SeenItem:
    """An item of a notification, as the service would send it when asked. They differ: a notification may name the
    publisher where an answer does not, and may carry attributes that are stored nowhere. Where the rest cannot be
    foreseen, the item is not `exact`:

    - some services store elements of no namespace in their parent's;
    - some tell a payload in the namespace of pubsub in that of events;
    - some store no text beside the payload.
    """
    if item.quarantine is not None or not item.has_payload:
        return item
    shown = item.publisher if shows_publisher else None
    exact = not (
        shows_publisher is None  # no item was seen in an answer yet
        or (shows_publisher and item.publisher is None)
        or not _comes_back(item.xml)
    )
    # `to_text` writes no `>` within a tag, so the first one ends the `<item …>`.
    content = item.xml.partition(">")[2]
    publisher = "" if shown is None else f" publisher={quoteattr(shown)}"
    opening = f"<item xmlns={quoteattr(NS_PUBSUB)} id={quoteattr(item.id)}{publisher}>"
    return dataclasses.replace(item, xml=opening + content, exact=exact)


def _comes_back(xml: str) -> bool:
    """Whether every service gives this item as it was told."""
    payload = _PAYLOAD.match(xml, xml.index(">") + 1)
    if payload is None or payload[1] in (NS_PUBSUB, NS_EVENT) or _BARE in xml:
        return False
    return xml.endswith("></item>")  # else there is text behind the payload: `to_text` writes no `>` in a text


def shows_publisher(shown: set[bool]) -> bool | None:
    """Whether a listing names publishers, as far as it tells, by what its items do: name theirs, or not."""
    if len(shown) == 1:
        return True in shown
    return True if shown else None


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
    rsm = iq.find(f"{{{NS_DISCO_ITEMS}}}query/{_SET}")
    return rsm is not None and (_read_rsm(rsm).count or 0) > len(read_disco_item_ids(iq))


def read_disco_info(iq: Element) -> NodeInfo:
    fields = {
        field.get("var"): field.findtext(f"{{{NS_DATA}}}value")
        for field in iq.iterfind(f"{{{NS_DISCO_INFO}}}query/{{{NS_DATA}}}x/{{{NS_DATA}}}field")
    }
    return NodeInfo(fields.get("pubsub#access_model"), fields.get("pubsub#type"))


def read_subscription(iq: Element) -> Subscription:
    """What a subscribe request brought. A service may answer with nothing: then it agreed (XEP-0060, 6.1.2)."""
    element = iq.find(f"{_PUBSUB}/{{{NS_PUBSUB}}}subscription")
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
        for found in iq.iterfind(f"{_PUBSUB}/{{{NS_PUBSUB}}}subscriptions/{{{NS_PUBSUB}}}subscription")
    )


def read_published_ids(iq: Element) -> tuple[str, ...]:
    """The ids that a service gave to what was published (XEP-0060, 7.1.1)."""
    items = iq.iterfind(f"{_PUBSUB}/{{{NS_PUBSUB}}}publish/{_ITEM}")
    return tuple(item_id for item in items if (item_id := item.get("id")))


def payload_namespaces(items: Iterable[Element]) -> tuple[str, ...]:
    """The namespaces of the items' payloads, each once, in the order met."""
    found: dict[str, None] = {}
    for item in items:
        for payload in item:
            if payload.tag[:1] == "{":
                found[payload.tag[1:].rpartition("}")[0]] = None
    return tuple(found)
