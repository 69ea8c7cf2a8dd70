"""Reads an `<item/>` of a node, and foresees how the service would list it. Pure."""

from __future__ import annotations

import dataclasses
import re
import sys
from collections.abc import Iterable, Iterator
from xml.etree.ElementTree import Element
from xml.sax.saxutils import quoteattr

from newsstand.model import NS_EVENT, NS_PUBSUB, SeenItem
from newsstand.xmpp import xmltext
from newsstand.xmpp.tags import ITEM
from newsstand.xmpp.weight import dismantle, is_heavy

_BARE = ' xmlns=""'
"""How `to_text` writes that an element has no namespace although its parent has one."""
_PAYLOAD = re.compile(r"""<[^\s/>]+ xmlns=(?:"([^"]*)"|')""")
"""How it writes the beginning of an element that has a namespace, and another one than its parent."""


def read_item(item: Element, limits: xmltext.Limits = xmltext.LIMITS) -> SeenItem:
    """One `<item/>`, of a result or of an event. What exceeds the limits is marked, not refused: one bad item must not
    hide the others."""
    item_id = item.get("id", "")
    publisher = item.get("publisher")
    if len(item) > limits.elements:  # not even the references to them are copied
        return SeenItem(item_id, "", publisher, quarantine=f"more than {limits.elements} elements")
    whole = Element(ITEM, item.attrib)
    whole.text = item.text
    whole.extend(item)
    try:
        text = xmltext.to_text(whole, limits)
    except xmltext.Unfit as error:
        return SeenItem(item_id, "", publisher, quarantine=str(error))
    return SeenItem(item_id, text, publisher, has_payload=len(whole) > 0)


def read_children(items: Element, limits: xmltext.Limits = xmltext.LIMITS) -> Iterator[SeenItem]:
    """The items in an `<items/>` of a result."""
    for child in items:
        if child.tag == ITEM:
            yield read_item(child, limits)


def take_children(items: Element, limits: xmltext.Limits = xmltext.LIMITS) -> Iterator[SeenItem]:
    """The same of an element that nobody else needs: what was read of it is freed meanwhile."""
    children: list[Element | None] = [child for child in items if child.tag == ITEM]
    items.clear()
    for at, child in enumerate(children):
        assert child is not None
        yield read_item(child, limits)
        children[at] = None
        if is_heavy(child, characters=sys.maxsize):  # one long text is freed at once, whatever its length
            dismantle([child])


def as_listed(item: SeenItem, shows_publisher: bool | None) -> SeenItem:
    """An item of a notification, as the service would send it when asked. They differ: a notification may name the
    publisher where an answer does not, and may carry attributes that are stored nowhere. Where the rest cannot be
    foreseen, the item is not `exact`:

    - some services store elements of no namespace in their parent's;
    - some send a payload in the namespace of pubsub with that of events in notifications;
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
    """Whether every service gives this item as it was in the notification."""
    payload = _PAYLOAD.match(xml, xml.index(">") + 1)
    if payload is None or payload[1] in (NS_PUBSUB, NS_EVENT) or _BARE in xml:
        return False
    return xml.endswith("></item>")  # else there is text behind the payload: `to_text` writes no `>` in a text


def shows_publisher(shown: set[bool]) -> bool | None:
    """Whether a listing names publishers, as far as it tells, by what its items do: name theirs, or not."""
    if len(shown) == 1:
        return True in shown
    return True if shown else None


def payload_namespaces(items: Iterable[Element]) -> tuple[str, ...]:
    """The namespaces of the items' payloads, each once, in the order met."""
    found: dict[str, None] = {}
    for item in items:
        for payload in item:
            if payload.tag[:1] == "{":
                found[payload.tag[1:].rpartition("}")[0]] = None
    return tuple(found)
