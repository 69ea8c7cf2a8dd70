"""XHTML trees and escaped HTML to plain text, in linear time and without recursion.

`html.parser` is not used: on hostile input (many unclosed tags) it takes quadratic time, seconds for a few
kilobytes, and a long number in a character reference makes it raise.
"""

from __future__ import annotations

import html
import re
from xml.etree.ElementTree import Element

from newsstand.analysers._payload import collapse, is_element, split_tag

XHTML = "http://www.w3.org/1999/xhtml"

_INLINE_NAMES = (
    "a abbr acronym b bdi bdo big cite code data del dfn em font i ins kbd mark q s samp small span strike"
    " strong sub sup time tt u var wbr"
)
_INLINE = frozenset(_INLINE_NAMES.split())
"""Elements inside which a word may go on; any other element ends it."""

_UNSEEN = frozenset(("script", "style", "template", "iframe", "noembed", "noframes"))
_UNSEEN_END = {name: re.compile(f"</{name}(?![a-z0-9])", re.ASCII | re.IGNORECASE) for name in _UNSEEN}

_TAG_NAME = re.compile(r"</?([A-Za-z][^\s/>]*)", re.ASCII)
_TAG_REST = re.compile(r"[^>=]*")
_VALUE_START = re.compile(r"=\s*", re.ASCII)
_ENDLESS_REFERENCE = re.compile(r"&#[0-9]{100,}", re.ASCII)


def tree_text(element: Element) -> str:
    """The text that a reader of the tree would see, white space collapsed. Elements that are not inline in
    XHTML separate words; what is in `script`, `style` and their like is left out, and so are comments."""
    out: list[str] = []
    todo: list[Element | str] = [element]
    while todo:
        what = todo.pop()
        if isinstance(what, str):
            out.append(what)
            continue
        if not is_element(what):
            continue
        namespace, name = split_tag(what.tag)
        if name in _UNSEEN and namespace == XHTML:
            continue
        edge = "" if name in _INLINE and namespace == XHTML else " "
        parts: list[Element | str] = [edge, what.text or ""]
        for child in what:
            parts += (child, child.tail or "")
        parts.append(edge)
        todo += reversed(parts)
    return collapse("".join(out))


def html_text(source: str) -> str:
    """The same for a string of HTML: tags and comments taken out, character references resolved. What is not
    closed (a tag, a comment, a script) reaches to the end, as in browsers."""
    out: list[str] = []
    position = 0
    while (start := source.find("<", position)) >= 0:
        out.append(_unescape(source[position:start]))
        shown, position = _skip_markup(source, start)
        out.append(shown)
    out.append(_unescape(source[position:]))
    return collapse("".join(out))


def _skip_markup(source: str, start: int) -> tuple[str, int]:
    """What the `<` at this place shows (a space where it ends a word), and where the text goes on."""
    tag = _TAG_NAME.match(source, start)
    if tag is None:
        if source.startswith("<!--", start):
            return "", _after(source, "-->", start + 2)
        if source[start + 1 : start + 2] in ("!", "?", "/"):
            return "", _after(source, ">", start + 2)
        return "<", start + 1
    name = tag[1].lower()
    end = _tag_end(source, tag.end())
    if name in _UNSEEN and source[start + 1] != "/":
        close = _UNSEEN_END[name].search(source, end)
        return "", _tag_end(source, close.end()) if close else len(source)
    return "" if name in _INLINE else " ", end


def _tag_end(source: str, position: int) -> int:
    """Behind the `>` that ends the tag; one inside a quoted attribute value does not."""
    while True:
        position = _TAG_REST.match(source, position).end()  # type: ignore[union-attr]  # matches nothing, too
        if not source.startswith("=", position):
            return min(position + 1, len(source))
        position = _VALUE_START.match(source, position).end()  # type: ignore[union-attr]  # there is a "="
        quote = source[position : position + 1]
        if quote in ('"', "'"):
            position = _after(source, quote, position + 1)


def _after(source: str, end: str, position: int) -> int:
    found = source.find(end, position)
    return len(source) if found < 0 else found + len(end)


def _unescape(text: str) -> str:
    return html.unescape(_ENDLESS_REFERENCE.sub("\ufffd", text)) if "&" in text else text
