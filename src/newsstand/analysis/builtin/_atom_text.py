"""Atom text constructs (RFC 4287, 3.1) and content (4.1.3), as they are and as they should be."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Self
from xml.etree.ElementTree import Element

from newsstand.analysis.builtin._markup import XHTML, add_html, add_tree, tree_text
from newsstand.analysis.builtin._more import is_base64
from newsstand.analysis.builtin._payload import children, collapse, own_text
from newsstand.xmpp.xmltext import Limits, Unfit, to_text

MAX_XHTML_BYTES = 2**20
"""Longer XHTML is left to the raw item. A limit is needed: one long namespace, declared once and used by many
elements, is written out for each of them."""

_DIV = f"{{{XHTML}}}div"
_PREFERENCE = ("text", "html", "xhtml", "markup", "media")
_LONGEST_TYPE = 200


@dataclass(frozen=True, slots=True)
class Construct:
    """The text of one or several elements of the same name: publishers of XHTML add a plain text twin (XEP-0277,
    2.3). `plain` is the text's own where there is one, else what is seen of the HTML or XHTML. `rest` is what else a
    person wrote there: the other texts, and what is not seen of them."""

    plain: str | None = None
    xhtml: str | None = None
    rest: list[str] = field(default_factory=list)

    @classmethod
    def read(cls, elements: Sequence[Element]) -> Self:
        if not elements:
            return cls()
        by_kind: dict[str, list[Element]] = {kind: [] for kind in _PREFERENCE}
        for element in elements:
            by_kind[_kind(element)].append(element)
        rest: list[str] = []
        texts = [text for kind, some in by_kind.items() for e in some if (text := _plain(kind, e, rest))]
        trees = (e for e in by_kind["xhtml"] if next(children(e), None) is not None)
        tree = next(trees, None)
        return cls(texts[0] if texts else None, None if tree is None else _xhtml(tree), texts[1:] + rest)


def _kind(element: Element) -> str:
    """How to read it, by its type (media types: RFC 4287, 4.1.3.3) and by what is in it: many say `html` of a tree of
    XHTML, or `xhtml` of escaped HTML. A type that nobody knows is one of text."""
    name = (element.get("type") or "text")[:_LONGEST_TYPE].partition(";")[0].strip().lower()
    if name in ("xhtml", "application/xhtml+xml"):
        return "xhtml" if next(children(element), None) is not None else "html"
    if name in ("html", "text/html"):
        return "xhtml" if _lone_div(element) is not None else "html"
    if name.endswith(("+xml", "/xml")):
        return "markup"
    return "text" if "/" not in name or name.startswith("text/") else "media"


def _plain(kind: str, element: Element, rest: list[str]) -> str:
    if kind == "html":
        return _mixed_text(element, rest)
    text = tree_text(element, rest)
    return "" if kind == "media" and is_base64(text) else text


def _mixed_text(element: Element, rest: list[str]) -> str:
    """Escaped HTML with real elements in it, which are what they are."""
    out: list[str] = []
    add_html(element.text or "", out, rest)
    for child in element:
        add_tree(child, out, rest)
        add_html(child.tail or "", out, rest)
    return collapse("".join(out))


def _lone_div(element: Element) -> Element | None:
    """The one `<div/>` that belongs into XHTML, if there is nothing else."""
    inner = children(element)
    first, second = next(inner, None), next(inner, None)
    if first is None or second is not None or first.tag != _DIV or own_text(element):
        return None
    return first


def _xhtml(element: Element) -> str | None:
    """The `<div/>` that belongs there, or one put around what is there."""
    div = _lone_div(element)
    if div is None:
        div = Element(_DIV)
        div.text = element.text
        div.extend(element)
    try:
        return to_text(div, Limits(bytes=MAX_XHTML_BYTES))
    except Unfit:
        return None
