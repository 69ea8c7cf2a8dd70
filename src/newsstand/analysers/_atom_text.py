"""Atom text constructs (RFC 4287, 3.1) and content (4.1.3)."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Self
from xml.etree.ElementTree import Element

from newsstand.analysers._markup import XHTML, html_text, tree_text
from newsstand.analysers._payload import children, own_text
from newsstand.xmltext import Limits, Unfit, to_text

MAX_XHTML_BYTES = 2**20
"""Longer XHTML is left to the raw item. A limit is needed: one long namespace, declared once and used by many
elements, is written out for each of them."""

_DIV = f"{{{XHTML}}}div"
_PREFERENCE = ("text", "html", "xhtml", "markup")


@dataclass(frozen=True, slots=True)
class Construct:
    """What one or several elements of the same name say: publishers of XHTML add a plain text twin (XEP-0277,
    2.3). `plain` is the text's own where there is one, else what is seen of the HTML or XHTML."""

    plain: str | None = None
    xhtml: str | None = None

    @classmethod
    def read(cls, elements: Iterable[Element]) -> Self:
        typed = [(kind, element) for element in elements if (kind := _kind(element.get("type"))) is not None]
        typed.sort(key=lambda pair: _PREFERENCE.index(pair[0]))
        plain = next((text for kind, element in typed if (text := _plain(kind, element))), None)
        trees = (e for kind, e in typed if kind == "xhtml" and next(children(e), None) is not None)
        tree = next(trees, None)
        return cls(plain, None if tree is None else _xhtml(tree))


def _kind(type: str | None) -> str | None:
    """How to read it; None for media that are not text. Media types are read by RFC 4287, 4.1.3.3."""
    name = (type or "text").partition(";")[0].strip().lower()
    if name in ("xhtml", "application/xhtml+xml"):
        return "xhtml"
    if name in ("html", "text/html"):
        return "html"
    if name.endswith(("+xml", "/xml")):
        return "markup"
    return "text" if name == "text" or name.startswith("text/") else None


def _plain(kind: str, element: Element) -> str:
    if kind == "html":
        return html_text("".join(_character_data(element)))
    return tree_text(element)


def _character_data(element: Element) -> Iterable[str]:
    yield element.text or ""
    for child in element:
        yield child.tail or ""


def _xhtml(element: Element) -> str | None:
    """The one `<div/>` that belongs there, or one put around what is there instead."""
    inner = list(children(element))
    if len(inner) == 1 and inner[0].tag == _DIV and not own_text(element):
        div = inner[0]
    else:
        div = Element(_DIV)
        div.text = element.text
        div.extend(element)
    try:
        return to_text(div, Limits(bytes=MAX_XHTML_BYTES))
    except Unfit:
        return None
