"""Reading an item's elements: its payload, their children, texts and numbers. Pure, and without recursion.

Trees come from a parser that may have kept comments and processing instructions; ElementTree gives those a
function for a tag. They are skipped here, and the text around them is not lost.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any
from xml.etree.ElementTree import Element

JSON = dict[str, Any]

XML_LANG = "{http://www.w3.org/XML/1998/namespace}lang"

_INTEGER = re.compile(r"\+?[0-9]{1,19}", re.ASCII)
_DECIMAL = re.compile(r"[+-]?(?:[0-9]{1,40}(?:\.[0-9]{0,40})?|\.[0-9]{1,40})", re.ASCII)
_SHOWN = 80


def payload_of(item: Element, *tags: str) -> Element:
    """The one child of the item that has one of these tags; children of other namespaces are passed over.

    Raises ValueError when there is none, or more than one (XEP-0060, 7.1.3.6, allows one payload).
    """
    found = [child for child in children(item) if child.tag in tags]
    if len(found) == 1:
        return found[0]
    wanted = " or ".join(tags)
    if found:
        raise ValueError(f"the item has {len(found)} payloads where one {wanted} is expected")
    first = next(children(item), None)
    if first is None:
        raise ValueError(f"the item has no payload; expected {wanted}")
    raise ValueError(f"the payload is {first.tag[:_SHOWN]}; expected {wanted}")


def is_element(node: Element) -> bool:
    """False for a comment or a processing instruction, whatever the type stubs say of tags."""
    tag: object = node.tag
    return isinstance(tag, str)


def children(element: Element) -> Iterator[Element]:
    """The child elements, in order, without comments and processing instructions."""
    return (child for child in element if is_element(child))


def split_tag(tag: str) -> tuple[str, str]:
    """`{namespace}name` taken apart; the namespace may itself hold braces, the name cannot."""
    if tag[:1] != "{":
        return "", tag
    namespace, _, name = tag[1:].rpartition("}")
    return namespace, name


def collapse(text: str | None) -> str:
    """The text with each run of white space made one space, and none at its ends."""
    return " ".join((text or "").split())


def own_text(element: Element) -> str:
    """The character data directly in the element, collapsed. Text inside child elements is not looked at."""
    parts = [element.text or ""]
    parts += [child.tail or "" for child in element]
    return collapse("".join(parts))


def integer(text: str | None, low: int, high: int) -> int | None:
    """A decimal integer between low and high, both included; None for anything else."""
    if text is None or not _INTEGER.fullmatch(text := text.strip()):
        return None
    number = int(text)
    return number if low <= number <= high else None


def decimal(text: str | None, low: float = -1e15, high: float = 1e15) -> float | None:
    """An xs:decimal between low and high, as a float; None for anything else, NaN and infinity included."""
    if text is None or not _DECIMAL.fullmatch(text := text.strip()):
        return None
    number = float(text)
    return number if low <= number <= high else None


def boolean(text: str | None) -> bool:
    """An xs:boolean; what is neither true nor false counts as false."""
    return text is not None and text.strip() in ("true", "1")


def add(result: JSON, key: str, value: object) -> None:
    """Set the key unless there is nothing to say: None, empty text, an empty list or dict."""
    if value is not None and value not in ("", [], {}):
        result[key] = value


def add_attributes(result: JSON, element: Element, *names: str) -> None:
    """Copy these attributes, where present and not empty, collapsed."""
    for name in names:
        add(result, name, collapse(element.get(name)))
