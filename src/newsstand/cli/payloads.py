"""Items for a person to read, and for a program without what should stay in the database. Pure."""

from __future__ import annotations

import inspect
import json
from collections.abc import Iterable, Mapping
from typing import Any
from xml.etree.ElementTree import Element

from newsstand.analysis.analysers import Analyser, checked_json
from newsstand.analysis.builtin import BUILT_IN
from newsstand.xmpp import xmltext
from newsstand.xmpp.seen_items import payload_namespaces

_PASSWORDS = {"{urn:xmpp:bookmarks:1}password", "{storage:bookmarks}password"}
_TITLES = ("name", "fn", "nick", "title", "summary", "content")


def read(
    xml: str, service: str, node: str, analysers: Iterable[Analyser] = BUILT_IN
) -> tuple[str | None, dict[str, Any] | None]:
    """The type and the parsed data of an item that no copy has parsed, by the first of these analysers that can tell
    by nothing else than the item."""
    if not xml:
        return None, None
    item = xmltext.parse([xml])
    for analyser in filter(_needs_only_the_item, analysers):
        if analyser.parser is None or not _fits(analyser, item, node):
            continue
        try:
            parsed = json.loads(checked_json(analyser.parser(item, service=service, node=node)))
        except Exception:  # noqa: S112 - of another form than the node's name promises; or foreign code, and broken
            continue
        return analyser.type, parsed
    return None, None


def _needs_only_the_item(analyser: Analyser) -> bool:
    """Others would have to be asked about the node, which takes an event loop, and may take requests."""
    if analyser in BUILT_IN:
        return True
    return not (analyser.match or analyser.pubsub_type or inspect.iscoroutinefunction(analyser.parser))


def _fits(analyser: Analyser, item: Element, node: str) -> bool:
    prefixes, namespaces = analyser.node or "", analyser.namespace
    if not node.startswith(prefixes):
        return False
    if namespaces is None:
        return True
    wanted = {namespaces} if isinstance(namespaces, str) else set(namespaces)
    return not wanted.isdisjoint(payload_namespaces([item]))


def title(parsed: Mapping[str, Any] | None) -> str:
    """What an item is called; empty where it says nothing of the kind."""
    for key in _TITLES:
        value = (parsed or {}).get(key)
        if isinstance(value, str) and value.strip():
            return value
    return ""


def date(parsed: Mapping[str, Any] | None) -> str:
    """When an item says that it was published, or else changed."""
    for key in ("published", "updated"):
        if isinstance(value := (parsed or {}).get(key), str):
            return value
    return ""


def without_passwords(xml: str) -> tuple[str, bool]:
    """An item's XML without the passwords of bookmarks, and whether there were any."""
    if "password" not in xml:
        return xml, False
    item = xmltext.parse([xml])
    found = False
    for parent in list(item.iter()):
        for child in [child for child in parent if child.tag in _PASSWORDS]:
            _remove(parent, child)
            found = True
    return (xmltext.to_text(item), True) if found else (xml, False)


def _remove(parent: Element, child: Element) -> None:
    """With what is in it; the text behind it stays."""
    index = list(parent).index(child)
    if child.tail:
        if index:
            parent[index - 1].tail = (parent[index - 1].tail or "") + child.tail
        else:
            parent.text = (parent.text or "") + child.tail
    parent.remove(child)
