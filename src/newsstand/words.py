"""How text is cut into words for search: the same on every database, because we do it. Pure."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator, Mapping
from typing import Any
from xml.etree.ElementTree import Element

MAX_WORD = 64
MAX_TERMS = 500_000
"""Bytes of terms kept of one item: below what PostgreSQL's tsvector holds (1,048,575)."""

_MARKUP_SUFFIXES = ("_xhtml", "_html")


def words(text: str) -> list[str]:
    """The words of a text, case and diacritics folded, in order. An ideograph is a word of its own, because its
    scripts put no spaces between words."""
    folded = unicodedata.normalize("NFKD", text).casefold()
    found: list[str] = []
    word: list[str] = []
    for c in unicodedata.normalize("NFKD", folded):
        if c.isalnum():
            if _is_ideograph(c):
                _flush(word, found)
                found.append(c)
            else:
                word.append(c)
        elif unicodedata.category(c) in ("Mc", "Mn", "Me"):
            # Accents are folded away; a vowel sign of combining class 0 belongs to its word.
            if not unicodedata.combining(c) and word:
                word.append(c)
        elif unicodedata.category(c) != "Cf":  # a soft hyphen, say, does not end a word
            _flush(word, found)
    _flush(word, found)
    return found


def _flush(word: list[str], found: list[str]) -> None:
    if word:
        found.append("".join(word)[:MAX_WORD])
        word.clear()


def _is_ideograph(c: str) -> bool:
    return "\u3040" <= c <= "\u30ff" or "\u3400" <= c <= "\u9fff" or "\U00020000" <= c <= "\U0003ffff"


def terms_of(parsed: Mapping[str, Any]) -> str:
    """The words of parsed data, joined by spaces: of all texts in it but markup, which stands there as plain text
    too."""
    return _joined(_texts(parsed))


def terms_of_xml(item: Element) -> str:
    """The words of a payload that no parser knows: of the texts of its elements, passwords left out."""
    texts = []
    todo = [item]
    while todo:
        element = todo.pop()
        if element.tag.rpartition("}")[2].lower() == "password":
            continue
        texts += [text for text in (element.text, *(child.tail for child in element)) if text]
        todo += reversed(element)
    return _joined(texts)


def _texts(parsed: Mapping[str, Any]) -> Iterator[str]:
    todo: list[Any] = [parsed]
    while todo:
        match todo.pop():
            case str() as text:
                yield text
            case Mapping() as inner:
                todo += [v for k, v in reversed(list(inner.items())) if not k.endswith(_MARKUP_SUFFIXES)]
            case list() as inner:
                todo += reversed(inner)
            case _:
                pass


def _joined(texts: Iterator[str] | list[str]) -> str:
    kept: list[str] = []
    size = 0
    for text in texts:
        for word in words(text):
            size += len(word.encode("utf-8", "replace")) + 1
            if size > MAX_TERMS:
                return " ".join(kept)
            kept.append(word)
    return " ".join(kept)
