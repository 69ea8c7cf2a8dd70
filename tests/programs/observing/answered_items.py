"""What an answer's items come to, so that two answers can be compared. Needs nothing but Python."""

from __future__ import annotations

import hashlib
from xml.etree.ElementTree import Element, canonicalize, tostring

PUBSUB = "{http://jabber.org/protocol/pubsub}"


def items_of(iq: Element) -> list[list[str]]:
    """By item, in the answer's order: its id, and a digest of all of it."""
    found = iq.iterfind(f"{PUBSUB}pubsub/{PUBSUB}items/{PUBSUB}item")
    return [[item.get("id", ""), _digest(item)] for item in found]


def is_read(iq: Element) -> bool:
    """Whether this asks for items of a node."""
    return iq.get("type") == "get" and iq.find(f"{PUBSUB}pubsub/{PUBSUB}items") is not None


def _digest(item: Element) -> str:
    text = canonicalize(tostring(item, encoding="unicode"), strip_text=True)
    return hashlib.sha256(text.encode()).hexdigest()[:16]
