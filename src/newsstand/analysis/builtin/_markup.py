"""XHTML trees and escaped HTML to plain text, in linear time and without recursion.

`html.parser` is not used: on hostile input (many unclosed tags) it takes quadratic time, seconds for a few
kilobytes, and a long number in a character reference makes it raise.

What a reader does not see, but a person wrote, is not lost: it is handed over beside the text, so that it can be
found. These are the titles of elements, and what an unclosed tag or comment swallows.
"""

from __future__ import annotations

import html
import re
from xml.etree.ElementTree import Element

from newsstand.analysis.builtin._payload import collapse, is_element

XHTML = "http://www.w3.org/1999/xhtml"
_ATOM = "http://www.w3.org/2005/Atom"
_NAMESPACES = (f"{{{XHTML}}}", f"{{{_ATOM}}}", "")
"""In which names are read as those of HTML: publishers forget to declare it."""

_INLINE_NAMES = (
    "a abbr acronym b bdi bdo big cite code data del dfn em font i ins kbd mark q s samp small span strike"
    " strong sub sup time tt u var wbr"
)
_INLINE = frozenset(_INLINE_NAMES.split())
"""Elements inside which a word may go on; any other element ends it."""
_BLOCK_NAMES = (
    "article aside audio blockquote body br button center dd details dialog div dl dt figcaption figure footer form"
    " h1 h2 h3 h4 h5 h6 head header hr html img input label li link main meta nav ol option p picture pre section"
    " select source summary svg table tbody td textarea tfoot th thead title tr ul video"
)

_UNSEEN = frozenset(("script", "style", "template", "iframe", "noembed", "noframes"))
_UNSEEN_END = {name: re.compile(f"</{name}(?![a-z0-9])", re.ASCII | re.IGNORECASE) for name in _UNSEEN}
_NAMES = _INLINE | _UNSEEN | frozenset(_BLOCK_NAMES.split())

# Whole tags: a namespace may be as long as the item, and is the namespace of many elements.
_INLINE_TAGS = frozenset(namespace + name for namespace in _NAMESPACES for name in _INLINE)
_UNSEEN_TAGS = frozenset(namespace + name for namespace in _NAMESPACES for name in _UNSEEN)
_IMAGE_TAGS = frozenset(namespace + "img" for namespace in _NAMESPACES)

_TAG_NAME = re.compile(r"</?([A-Za-z][^\s/>]*)", re.ASCII)
_TAG_REST = re.compile(r"[^>=]*")
_VALUE_START = re.compile(r"=\s*", re.ASCII)
_ENDLESS_REFERENCE = re.compile(r"&#[0-9]{100,}", re.ASCII)
_READ_ATTRIBUTE = re.compile(r"""[\s"'/](alt|title)\s*=\s*(?:"([^"]*)"|'([^']*)'|([^\s"'>]+))""", re.IGNORECASE)
_ANY_TAG = re.compile(r"<[^<>]*>")


def tree_text(element: Element, unseen: list[str] | None = None) -> str:
    """The text that a reader of the tree would see, white space collapsed. Elements that are not inline in
    XHTML separate words; what is in `script`, `style` and their like is left out, and so are comments. Of an image,
    the text in its place is seen. The titles of elements are added to `unseen`."""
    out: list[str] = []
    add_tree(element, out, unseen)
    return collapse("".join(out))


def add_tree(element: Element, out: list[str], unseen: list[str] | None) -> None:
    todo: list[Element | str] = [element]
    while todo:
        what = todo.pop()
        if isinstance(what, str):
            out.append(what)
            continue
        if not is_element(what) or what.tag in _UNSEEN_TAGS:
            continue
        edge = "" if what.tag in _INLINE_TAGS else " "
        alternative = what.get("alt", "") if what.tag in _IMAGE_TAGS else ""
        if unseen is not None and what.attrib and (title := what.get("title")):
            unseen.append(title)
        parts: list[Element | str] = [edge, alternative, what.text or ""]
        for child in what:
            parts += (child, child.tail or "")
        parts.append(edge)
        todo += reversed(parts)


def html_text(source: str, unseen: list[str] | None = None) -> str:
    """The same for a string of HTML: tags and comments taken out, character references resolved. What is not
    closed (a tag, a comment, a script) reaches to the end, as in browsers; what a person may have written there is
    added to `unseen`."""
    out: list[str] = []
    add_html(source, out, unseen)
    return collapse("".join(out))


def add_html(source: str, out: list[str], unseen: list[str] | None) -> None:
    position = 0
    while (start := source.find("<", position)) >= 0:
        out.append(_unescape(source[position:start]))
        shown, position = _skip_markup(source, start, unseen)
        out.append(shown)
    out.append(_unescape(source[position:]))


def _skip_markup(source: str, start: int, unseen: list[str] | None) -> tuple[str, int]:
    """What the `<` at this place shows (a space where it ends a word), and where the text goes on."""
    tag = _TAG_NAME.match(source, start)
    if tag is None:
        if source.startswith("<!--", start):
            return "", _after(source, "-->", start + 2, start, unseen)
        if source[start + 1 : start + 2] in ("!", "?", "/"):
            return "", _after(source, ">", start + 2, start, unseen)
        return "<", start + 1
    name = tag[1][:20].lower()
    end = _tag_end(source, tag.end())
    if end > len(source):
        _keep_swallowed(source[start:], unseen)
        return "" if name in _INLINE else " ", len(source)
    if name in _UNSEEN and source[start + 1] != "/":
        close = _UNSEEN_END[name].search(source, end)
        return "", min(_tag_end(source, close.end()), len(source)) if close else len(source)
    edge = "" if name in _INLINE else " "
    if unseen is None and name != "img":
        return edge, end
    return edge + _read_attributes(name, source, tag.end(), end, unseen), end


def _read_attributes(name: str, source: str, start: int, end: int, unseen: list[str] | None) -> str:
    """Keeps a title; returns the text in an image's place."""
    alternative = ""
    for found in _READ_ATTRIBUTE.finditer(source, start, end):
        value = _unescape(found[2] or found[3] or found[4] or "")
        if found[1][0] in "tT":
            if unseen is not None:
                unseen.append(value)
        elif name == "img":
            alternative = value + " "
    return alternative


def _tag_end(source: str, position: int) -> int:
    """Behind the `>` that ends the tag; one inside a quoted attribute value does not. Behind the end of the source
    where the tag is not closed."""
    while True:
        position = _TAG_REST.match(source, position).end()  # type: ignore[union-attr]  # matches nothing, too
        if not source.startswith("=", position):
            return position + 1
        position = _VALUE_START.match(source, position).end()  # type: ignore[union-attr]  # there is a "="
        quote = source[position : position + 1]
        if quote in ('"', "'"):
            closing = source.find(quote, position + 1)
            position = len(source) if closing < 0 else closing + 1


def _after(source: str, end: str, position: int, start: int, unseen: list[str] | None) -> int:
    found = source.find(end, position)
    if found < 0:
        _keep_swallowed(source[start:], unseen)
        return len(source)
    return found + len(end)


def _keep_swallowed(source: str, unseen: list[str] | None) -> None:
    """What begins with an unclosed tag or comment: a cut-off end, or a person who wrote `a<b`. Names of tags, and
    attributes with a value, are not what a person wrote."""
    if unseen is None:
        return
    head, closed, tail = source.partition(">")
    words = [] if closed and _TAG_NAME.match(head) else head.lstrip("</!-?").split()
    if words and words[0].lower() in _NAMES and not source.startswith("<!"):  # in a comment, it is no tag's name
        del words[0]
    words = [word for word in words if "=" not in word]
    unseen.append(_unescape(" ".join(words) + " " + _ANY_TAG.sub(" ", tail)))


def _unescape(text: str) -> str:
    return html.unescape(_ENDLESS_REFERENCE.sub("\ufffd", text)) if "&" in text else text
