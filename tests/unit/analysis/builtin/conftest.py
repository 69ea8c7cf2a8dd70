"""What the tests of the parsers share."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from typing import Any, Protocol

import pytest

from newsstand.analysis.builtin import blog


class ItemOf(Protocol):
    """The `<item/>` around a payload, which is XML text; attributes other than the id by name."""

    def __call__(self, payload: str, *, id: str | None = "i1", **attributes: str) -> ET.Element: ...


def _item_of(payload: str, *, id: str | None = "i1", **attributes: str) -> ET.Element:
    item = ET.fromstring(f'<item xmlns="http://jabber.org/protocol/pubsub">{payload}</item>')
    for name, value in (attributes | ({} if id is None else {"id": id})).items():
        item.set(name, value)
    return item


@pytest.fixture(scope="session")
def item_of() -> ItemOf:
    return _item_of


class ParsedEntry(Protocol):
    """What the blog parser makes of an Atom entry with this inside; attributes of the item by name."""

    def __call__(self, inner: str, **attributes: str) -> dict[str, Any]: ...


@pytest.fixture(scope="session")
def parsed_entry() -> ParsedEntry:
    def parsed(inner: str, **attributes: str) -> dict[str, Any]:
        item = _item_of(f'<entry xmlns="{blog.NAMESPACE}">{inner}</entry>', **attributes)
        return blog.parse_blog(item, service="romeo@montague.example", node=blog.NODE)

    return parsed
