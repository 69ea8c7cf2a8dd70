"""How text is cut into words for search: the same on every database, because we do it. Pure.

The work is linear in the length of the text, whatever is in it (`newsstand.analysis.folding`), and is done a slice at a
time, so that a thread that does it lets others run.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from itertools import accumulate, chain
from typing import Any, NamedTuple
from xml.etree.ElementTree import Element

from newsstand.analysis.folding import fold
from newsstand.analysis.secret_names import Naming

MAX_WORD = 64
MAX_TERMS = 500_000
"""Bytes of terms kept of one item: below what PostgreSQL's tsvector holds (1,048,575)."""
MAX_TEXT = 100_000
"""Characters of one text above which it has no words: what a field holds, or an element. That is a book, a log or
data, some twenty times as long as a long article: nearly every search would find it, and its words cost more than all
others of its node. The title and the other fields of such an item have theirs. It is no setting: programs that share a
database must cut alike."""
NOT_ALL_WORDS = (
    f"only some of its words are found by a search: none of a text of more than {MAX_TEXT} characters, and no more "
    f"than {MAX_TERMS} bytes of all"
)
"""The parse error of an item of which not all words were kept."""
XML_VERSION = 3
"""Of `terms_of_xml`: a higher number has the items cut again that no parser knows."""

_SLICE = 16_384
"""Characters that are cut at a time."""
_MARKUP_SUFFIXES = ("_xhtml", "_html")
_READ_ATTRIBUTES = frozenset(
    ("alt", "caption", "desc", "description", "label", "nick", "nickname", "subject", "summary", "title")
)
"""Attributes whose values people read, in whatever payload; the values of others are for programs."""


def words(text: str) -> list[str]:
    """The words of a text, case and diacritics folded, in order. An ideograph is a word of its own, because its
    scripts put no spaces between words."""
    return list(iter_words(text))


def iter_words(text: str) -> Iterator[str]:
    """The same, cut as they are asked for."""
    return chain.from_iterable(_slices(text))


def _slices(text: str) -> Iterator[list[str]]:
    """The words, a slice of the text at a time."""
    begun = ""  # the word that the slice before ended in
    for start in range(0, len(text), _SLICE):
        folded = begun + fold(text[start : start + _SLICE])
        found = [run if len(run) <= MAX_WORD and run[0].isalnum() else _word(run) for run in folded.split()]
        begun = found.pop() if found and folded[-1] != " " else ""
        yield [word for word in found if word]
    if begun:
        yield [begun]


def _word(run: str) -> str:
    """Signs that begin it belong to no letter; what is too long is cut off."""
    if run[0].isalnum():
        return run[:MAX_WORD]
    first = next((at for at, c in enumerate(run) if c.isalnum()), len(run))
    return run[first : first + MAX_WORD]


# The words of an item ----------------------------------------------------------------------------------------------


def terms_of(parsed: Mapping[str, Any], fields: Sequence[str] | None = None) -> str:
    """The words of parsed data, joined by spaces: of the texts in these fields, or, None, in any; but not of markup
    (`…_xhtml`, `…_html`), which stands there as plain text too.

    A field is a dotted path, such as `author.name`. A list within the path stands for each of its elements, and what a
    field holds is searched as a whole."""
    return cut_terms(texts_of(parsed, fields)).text


def texts_of(parsed: Mapping[str, Any], fields: Sequence[str] | None) -> Iterator[str]:
    """The texts in these fields, as in `terms_of`."""
    if fields is None:
        return _texts([parsed])
    return _texts(value for field in fields for value in _values(parsed, field))


def _values(parsed: Mapping[str, Any], field: str) -> list[Any]:
    first, *more = field.split(".")
    found = [parsed[first]] if first in parsed else []
    for key in more if found else ():
        inside = (inner for value in found for inner in (value if isinstance(value, list) else (value,)))
        found = [inner[key] for inner in inside if isinstance(inner, Mapping) and key in inner]
    return found


def terms_of_xml(item: Element) -> str:
    """The words of a payload that no parser knows: of the texts of its elements, and of attributes that people read
    (such as `title`). What is named like a secret (such as `<api-key/>`) is left out, with all that is inside it."""
    return cut_xml(item, Naming()).text


def cut_xml(item: Element, naming: Naming) -> Terms:
    """The same, and whether these are all of its words. `naming` may be that of other payloads, too."""
    return cut_terms(xml_texts(item, naming))


def xml_texts(root: Element, naming: Naming, skip: Collection[str] = ()) -> Iterator[str]:
    """The texts in the tree, in its order; those of secrets, and of elements with these tags, left out."""
    todo: list[Element | str] = [root]
    while todo:
        what = todo.pop()
        if isinstance(what, str):
            yield what
            continue
        tag: object = what.tag
        if not isinstance(tag, str) or tag in skip or naming.is_secret(what):  # no text: a comment, an instruction
            continue
        yield from (value for name, value in what.attrib.items() if name in _READ_ATTRIBUTES)
        if what.text:
            yield what.text
        for child in reversed(what):
            if child.tail:
                todo.append(child.tail)
            todo.append(child)


def _texts(values: Iterable[Any]) -> Iterator[str]:
    for value in values:
        todo: list[Any] = [value]
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


class Terms(NamedTuple):
    """The words of an item, as the full-text index stores them."""

    text: str
    """The words, joined by spaces."""
    whole: bool
    """Whether these are all of them: no text was longer than MAX_TEXT, and all together took no more than MAX_TERMS."""


def cut_terms(texts: Iterable[str]) -> Terms:
    """The words of texts, but of those that are longer than MAX_TEXT."""
    kept: list[str] = []
    size = 0
    whole = True
    for text in texts:
        if len(text) > MAX_TEXT:
            whole = False
            continue
        for found in filter(None, _slices(text)):
            joined = " ".join(found)
            more = _size(joined)
            if size + more > MAX_TERMS:
                sizes = accumulate(map(_size, found), initial=size)
                next(sizes)
                kept += (word for word, so_far in zip(found, sizes, strict=True) if so_far <= MAX_TERMS)
                return Terms(" ".join(kept), whole=False)
            size += more
            kept.append(joined)
    return Terms(" ".join(kept), whole=whole)


def _size(terms: str) -> int:
    """In bytes, with the space after them."""
    return (len(terms) if terms.isascii() else len(terms.encode("utf-8", "replace"))) + 1
