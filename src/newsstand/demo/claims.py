"""The claims of the demo, and whether they hold. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from xml.etree.ElementTree import Element, canonicalize, tostring

from newsstand.model import NS_PUBSUB

SHOWN = 60


@dataclass(frozen=True, slots=True)
class StoryClaim:
    """Something that the demo claims of what it showed. `but`: what speaks against it, empty where nothing does."""

    text: str
    but: str = ""

    @property
    def holds(self) -> bool:
        return not self.but


def all_hold(claims: Sequence[StoryClaim]) -> bool:
    """Nothing claimed is nothing shown."""
    return bool(claims) and all(claim.holds for claim in claims)


@dataclass(frozen=True, slots=True)
class ShownItem:
    """An item as canonical XML (C14N 2.0), so that two are equal where they say the same, however they are written."""

    id: str
    xml: str


def items_of(answer: Element) -> list[ShownItem]:
    """The items of an `<iq/>`, in its order."""
    return [
        ShownItem(item.get("id", ""), canonicalize(tostring(item, encoding="unicode"), rewrite_prefixes=True))
        for item in answer.iterfind(f"{{{NS_PUBSUB}}}pubsub/{{{NS_PUBSUB}}}items/{{{NS_PUBSUB}}}item")
    ]


def difference(expected: Sequence[ShownItem], found: Sequence[ShownItem]) -> str:
    """Where two listings differ first, in words; empty if they are equal item by item, in order.
    Two empty ones show nothing, and differ."""
    if not expected and not found:
        return "there is nothing to compare"
    for place, (mine, theirs) in enumerate(zip(expected, found, strict=False), 1):
        if mine.id != theirs.id:
            return f"item {place} is {theirs.id[:SHOWN]!r} instead of {mine.id[:SHOWN]!r}"
        if mine.xml != theirs.xml:
            return f"the payload of item {mine.id[:SHOWN]!r} differs"
    if len(expected) != len(found):
        return f"{len(found)} items instead of {len(expected)}"
    return ""


def first(objections: Iterable[str]) -> str:
    """The first that says anything."""
    return next((objection for objection in objections if objection), "")
