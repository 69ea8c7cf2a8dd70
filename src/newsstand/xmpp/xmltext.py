"""Writes XML trees as the text that is stored, and reads them from it. Pure.

ElementTree's own writer recurses (a deep tree ends it), and invents prefixes. This one walks, declares each
element's namespace as XMPP does, puts attributes in one order (servers change theirs from start to start), and
refuses trees that could hurt those who read them later.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from io import StringIO
from xml.etree.ElementTree import Element, ParseError, XMLParser
from xml.sax.saxutils import escape, quoteattr

XML_NAMESPACE = "http://www.w3.org/XML/1998/namespace"
_XMLNS = "http://www.w3.org/2000/xmlns/"
_UNFIT_CHARACTER = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_TEXT_ESCAPES = {"\r": "&#13;"}


class Unfit(ValueError):
    """The tree is too deep, too large, or not what XML text can carry."""


@dataclass(frozen=True, slots=True)
class Limits:
    """How large one tree may be. What is larger is not kept as text."""

    bytes: int = 1 << 20
    """The size of the tree as text, in UTF-8."""
    elements: int = 20_000
    depth: int = 200
    """Levels of nesting."""
    attributes: int = 1_000
    """Attributes of one element."""


LIMITS = Limits()


def to_text(root: Element, limits: Limits = LIMITS) -> str:
    """The tree as text that parses back to an equal one (without its tail; comments and processing
    instructions are left out, as the XMPP stream leaves them out). Raises Unfit for what exceeds a limit: it takes
    time in proportion to the limits, not to the tree."""
    out = StringIO()
    # (element to open, its parent's namespace) or (closing tag and tail as text, None)
    todo: list[tuple[Element | str, str | None]] = [(root, "")]
    names = _Names()
    open_elements = 0
    elements = 1
    while todo:
        what, outer = todo.pop()
        if isinstance(what, str):
            out.write(what)
            open_elements -= 1
            continue
        tag: object = what.tag
        if not isinstance(tag, str):  # a comment or a processing instruction
            out.write(escape(what.tail or "", _TEXT_ESCAPES))
            continue
        open_elements += 1
        elements += len(what)
        _check_limits(what, open_elements, elements, limits)
        namespace, name = names.split(tag)
        if namespace == XML_NAMESPACE:
            # Its prefix is declared already, and it may be no default namespace: children keep their parent's.
            name, namespace = f"xml:{name}", outer or ""
        elif namespace == _XMLNS:
            raise Unfit("an element in the namespace of namespace declarations")
        out.write(f"<{name}")
        if namespace != outer:
            out.write(f" xmlns={quoteattr(namespace)}")
        _write_attributes(out, what, names)
        tail = escape(what.tail, _TEXT_ESCAPES) if what.tail and what is not root else ""
        if len(what) or what.text:
            out.write(">" + escape(what.text or "", _TEXT_ESCAPES))
            todo.append((f"</{name}>{tail}", None))
            todo += [(child, namespace) for child in reversed(what)]
        else:
            out.write("/>" + tail)
            open_elements -= 1
        if out.tell() > limits.bytes:
            raise Unfit(f"larger than {limits.bytes} bytes")
    text = out.getvalue()
    _check_characters(text)
    if len(text.encode()) > limits.bytes:
        raise Unfit(f"larger than {limits.bytes} bytes")
    return text


def _check_limits(element: Element, depth: int, elements: int, limits: Limits) -> None:
    if depth > limits.depth:
        raise Unfit(f"nested deeper than {limits.depth} levels")
    if elements > limits.elements or len(element.attrib) > limits.attributes:
        raise Unfit(f"more than {limits.elements} elements, or {limits.attributes} attributes of one")
    if len(element.text or "") > limits.bytes or len(element.tail or "") > limits.bytes:
        raise Unfit(f"larger than {limits.bytes} bytes")


class _Names:
    """The names in one tree, each split into namespace and name once: a namespace may be as long as the tree's text,
    and each element has it in its tag."""

    def __init__(self) -> None:
        self._known: dict[str, tuple[str, str]] = {}
        self._namespaces: dict[str, str] = {}

    def split(self, tag: str) -> tuple[str, str]:
        """Namespace and name. Equal namespaces are one object, so that comparing them takes no time."""
        known = self._known.get(tag)
        if known is None:
            namespace, _, name = tag[1:].rpartition("}") if tag[:1] == "{" else ("", "", tag)
            known = self._known[tag] = self._namespaces.setdefault(namespace, namespace), name
        return known


def _write_attributes(out: StringIO, element: Element, names: _Names) -> None:
    prefixes: dict[str, str] = {}
    for key, value in sorted(element.attrib.items()):
        namespace, name = names.split(key)
        if namespace == XML_NAMESPACE:
            name = f"xml:{name}"
        elif namespace:
            prefix = prefixes.get(namespace)
            if prefix is None:
                prefix = prefixes[namespace] = f"a{len(prefixes)}"
                out.write(f" xmlns:{prefix}={quoteattr(namespace)}")
            name = f"{prefix}:{name}"
        out.write(f" {name}={quoteattr(value)}")


def _check_characters(text: str) -> None:
    if text.isascii() and text.isprintable():
        return
    if (wrong := _UNFIT_CHARACTER.search(text)) is not None:
        raise Unfit(f"a character that XML cannot carry: U+{ord(wrong[0]):04X}")


def parse(texts: Iterable[str]) -> Element:
    """One tree of the concatenated texts. Raises ParseError (ElementTree's own) where they are no XML, or hold a DTD
    (RFC 6120, 11.1): none is in what `to_text` wrote, nor then an entity."""
    parser = XMLParser()
    for text in texts:
        if "<!DOCTYPE" in text:
            raise ParseError("a DTD")
        parser.feed(text)
    return parser.close()
