"""What a person reads of an item: its title, author, date, text, tags and links. Pure; nothing here is made safe to
print, which is `newsstand.cli.output`'s part."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any
from xml.etree.ElementTree import Element, ParseError

from newsstand.cli import payloads
from newsstand.xmpp import xmltext

_SHOWN = frozenset(
    (
        *("kind", "atom_id", "lang", "title", "published", "updated", "author", "authors", "publisher", "categories"),
        *("links", "content", "content_xhtml", "summary", "summary_xhtml", "title_xhtml", "more", "comments"),
        *("subtitle", "subtitle_xhtml", "rights_xhtml"),
    )
)
"""Parsed fields of a post that have a place of their own, or tell a reader nothing."""
_TEXTS = ("content", "summary", "subtitle")
_INLINE_NAMES = (
    "a abbr acronym b bdi bdo big cite code data del dfn em font i img ins kbd mark q s samp small span strike strong"
    " sub sup time tt u var wbr"
)
_INLINE = frozenset(_INLINE_NAMES.split())
"""Elements of XHTML in which a paragraph goes on."""
_TITLE = 80
"""Characters of a text that stands for a title."""
_BULLET = "\N{BULLET}"
_UNSEEN = frozenset(("script", "style", "template"))


@dataclass(frozen=True, slots=True)
class Link:
    """An address that a post names. `relation` says what it is to the post; empty where it is of its text."""

    relation: str
    address: str
    title: str = ""


@dataclass(frozen=True, slots=True)
class Post:
    """An item as a person reads it. What the item does not say is empty. Dates are RFC 3339, as the item has them."""

    title: str
    author: str
    published: str
    updated: str
    paragraphs: tuple[str, ...]
    tags: tuple[str, ...]
    links: tuple[Link, ...]
    others: tuple[tuple[str, str], ...]
    """Other parsed fields, by name."""

    @classmethod
    def of(cls, parsed: Mapping[str, Any] | None) -> Post:
        """A post made of parsed data, which any parser may have made: of another form than is usual, it is left out."""
        parsed = parsed or {}
        title = payloads.title(parsed)
        paragraphs, addresses = _text_of(parsed)
        if title in (_string(parsed.get(key)) for key in _TEXTS):  # it has no title of its own
            if paragraphs == (title,) and len(title) <= _TITLE:
                paragraphs = ()
            title = title if len(title) <= _TITLE else f"{title[: _TITLE - 1].rstrip()}…"
        links = tuple(_links(parsed))
        known = {link.address for link in links}
        return cls(
            title,
            _author(parsed),
            _string(parsed.get("published")),
            _string(parsed.get("updated")),
            paragraphs,
            tuple(tag for tag in _list(parsed.get("categories")) if isinstance(tag, str)),
            links + tuple(Link("", address) for address in dict.fromkeys(addresses) if address not in known),
            tuple(_others(parsed, title)),
        )


def _string(value: object) -> str:
    return value if isinstance(value, str) else ""


def _list(value: object) -> list[Any]:
    return value if isinstance(value, list) else []


def _author(parsed: Mapping[str, Any]) -> str:
    """The names of the authors, or what else they are known by; else who published."""
    authors = _list(parsed.get("authors")) or [parsed.get("author")]
    names = [_name(author) for author in authors]
    return ", ".join(name for name in names if name) or _string(parsed.get("publisher"))


def _name(author: object) -> str:
    if isinstance(author, str):
        return author
    if not isinstance(author, Mapping):
        return ""
    return next((name for key in ("name", "jid", "uri", "email") if (name := _string(author.get(key)))), "")


def _links(parsed: Mapping[str, Any]) -> Iterator[Link]:
    for link in _list(parsed.get("links")):
        if isinstance(link, Mapping) and (address := _string(link.get("href"))):
            relation = _string(link.get("rel"))
            yield Link("" if relation == "alternate" else relation, address, _string(link.get("title")))


def _text_of(parsed: Mapping[str, Any]) -> tuple[tuple[str, ...], list[str]]:
    """The paragraphs of the text, and the addresses in it. Plain text has lost its paragraphs; XHTML has them."""
    for key in _TEXTS:
        plain, markup = _string(parsed.get(key)), _string(parsed.get(f"{key}_xhtml"))
        if markup:
            with contextlib.suppress(ParseError, ValueError):
                paragraphs, addresses = _paragraphs(xmltext.parse([markup]))
                if paragraphs:
                    return paragraphs, addresses
        if plain:
            return (plain,), []
    return (), []


def _paragraphs(root: Element) -> tuple[tuple[str, ...], list[str]]:
    """Of a tree of XHTML. Without recursion: it may be deep."""
    found: list[str] = []
    addresses: list[str] = []
    current: list[str] = []
    todo: list[Element | str | Callable[[], None]] = [root]

    def end() -> None:
        if (text := " ".join("".join(current).split())) != _BULLET:
            found.extend([text] if text else [])
            current.clear()

    while todo:
        part = todo.pop()
        if isinstance(part, str):
            current.append(part)
            continue
        if not isinstance(part, Element):
            part()
            continue
        name = part.tag.rpartition("}")[2].lower()
        if name in _UNSEEN:
            continue
        if name == "a" and (address := part.get("href")):
            addresses.append(address)
        if name == "img":
            current.append(part.get("alt") or "")
        if name not in _INLINE:
            end()
            todo.append(end)
            if name == "li":
                todo.insert(-1, current.clear)  # of one without text, the bullet
                current[:] = [_BULLET, " "]
        for child in reversed(part):
            todo += [child.tail or "", child]
        todo.append(part.text or "")
    end()
    return tuple(found), addresses


def _others(parsed: Mapping[str, Any], title: str) -> Iterator[tuple[str, str]]:
    for key, value in parsed.items():
        if key in _SHOWN or value in (None, "", [], {}) or value == title:
            continue
        yield key, value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
