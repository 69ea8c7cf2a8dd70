"""A node of the fake service, and the notifications about it."""

from __future__ import annotations

import copy
from collections.abc import Iterable
from dataclasses import dataclass, field
from xml.etree.ElementTree import Element, SubElement

from newsstand.model import NS_EVENT
from newsstand.rules.behaviour import Behaviour

NOTE = "urn:example:note"
"""The namespace of all payloads, but for those that a client published."""


@dataclass
class Node:
    items: dict[str, str] = field(default_factory=dict)
    """The texts by item id, in the service's order."""
    limit: int | None = None
    """`pubsub#max_items`: what is past it is evicted."""
    subscribers: set[str] = field(default_factory=set)
    affiliations: dict[str, str] = field(default_factory=dict)
    config: dict[str, str] = field(default_factory=dict)
    """By the names of the fields, without `pubsub#`."""
    payloads: dict[str, Element] = field(default_factory=dict)
    """Of the items that a client published; the others' are notes of their texts."""
    beside: dict[str, str] = field(default_factory=dict)
    """Text before the payload, of the items that a client published with any."""
    publishers: dict[str, str] = field(default_factory=dict)
    stamps: dict[str, int] = field(default_factory=dict)
    """When each item took its place: a cursor that is no item id."""
    published: dict[str, int] = field(default_factory=dict)
    """When each item was last written, by the service's clock."""
    _clock: int = 0

    @property
    def access_model(self) -> str:
        return self.config.get("access_model", "open")

    @property
    def owners(self) -> set[str]:
        return {account for account, affiliation in self.affiliations.items() if affiliation == "owner"}

    def put(self, item_id: str, text: str, new: Behaviour, overwritten: Behaviour, now: int) -> None:
        """Publish or overwrite an item."""
        way = overwritten if item_id in self.items else new
        if way is Behaviour.STAYS:
            self.items[item_id] = text
        else:
            self.items.pop(item_id, None)
            rest, last = self.items, {item_id: text}
            self.items = {**rest, **last} if way is Behaviour.LAST else {**last, **rest}
            self._clock += 1
            self.stamps[item_id] = self._clock
        self.published[item_id] = now
        self.payloads.pop(item_id, None)
        self.beside.pop(item_id, None)
        self.publishers.pop(item_id, None)

    def fill(self, item_ids: Iterable[str], text: str, now: int) -> None:
        """Add items that are not there, all with this text, behind the others: any number of them."""
        ids = list(item_ids)
        self.items.update(dict.fromkeys(ids, text))
        self.published.update(dict.fromkeys(ids, now))
        self.stamps.update((item_id, self._clock + number) for number, item_id in enumerate(ids, 1))
        self._clock += len(ids)

    def expired(self, now: int) -> list[str]:
        """The items that are older than `pubsub#item_expire`."""
        seconds = self.config.get("item_expire", "max")
        return [] if seconds == "max" else [i for i in self.items if now - self.published[i] > int(seconds)]

    def remove(self, item_id: str) -> None:
        del self.items[item_id]
        for of_items in (self.payloads, self.beside, self.publishers, self.stamps, self.published):
            of_items.pop(item_id, None)

    def item(self, namespace: str, item_id: str) -> Element:
        """As an answer or an event holds it; without publisher."""
        item = Element(f"{{{namespace}}}item", {"id": item_id})
        item.text = self.beside.get(item_id)
        if (payload := self.payloads.get(item_id)) is not None:
            item.append(copy.deepcopy(payload))
        else:
            SubElement(item, f"{{{NOTE}}}note").text = self.items[item_id]
        return item


def event(action: str, node: str, **attributes: str) -> Element:
    found = Element(f"{{{NS_EVENT}}}event")
    SubElement(found, f"{{{NS_EVENT}}}{action}", {"node": node, **attributes})
    return found


def retracted(node: str, item_id: str) -> Element:
    found = event("items", node)
    SubElement(found[0], f"{{{NS_EVENT}}}retract", {"id": item_id})
    return found
