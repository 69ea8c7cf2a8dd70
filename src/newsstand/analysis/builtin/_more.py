"""What a person wrote into a payload, and no field of its parser holds: so that it can be found.

A payload may hold more than its parser knows: elements of other namespaces, a second title, text where none belongs.
That is collected in one more field, `more`, which is a list of texts. Left out is what only programs read, as far as
that can be told (addresses, dates, data in base64), and what is named like a secret."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Sequence
from xml.etree.ElementTree import Element

from newsstand.analysis.builtin._dates import date_time
from newsstand.analysis.builtin._payload import JSON, add, children, collapse, own_text
from newsstand.analysis.secret_names import Naming
from newsstand.analysis.words import MAX_TEXT, iter_words, texts_of, xml_texts

_LONGEST_ADDRESS = 5_000
_ADDRESS = re.compile(r"[a-z][a-z0-9+.-]{1,30}://|(?:xmpp|urn|tag|mailto|data|cid|geo|sip|tel):", re.IGNORECASE)
_BASE64 = re.compile(r"[A-Za-z0-9+/]+={0,2}", re.ASCII)
_LONG_RUN = 40
"""Characters of base64 that no word is as long as."""


def is_base64(text: str) -> bool:
    """Whether it is data rather than words: whole groups of four, padded, or longer than words are."""
    runs = text.split()
    whole = "".join(runs)
    if len(whole) % 4 or not _BASE64.fullmatch(whole):
        return False
    return whole.endswith("=") or len(runs[0]) >= _LONG_RUN


def is_for_programs(text: str) -> bool:
    """Whether it is an address, a date, or data: for text of elements that nobody told what they hold."""
    if not any(map(str.isspace, text)) and (_ADDRESS.match(text) or len(text) > _LONGEST_ADDRESS):
        return True
    return date_time(text) is not None or is_base64(text)


def texts_in(elements: Iterable[Element], skip: Collection[str] = ()) -> Iterator[str]:
    """Of elements that nobody told what they hold, what a person may have written. `skip`: tags of those that only
    programs read."""
    naming = Naming()
    for element in elements:
        for given in xml_texts(element, naming, skip):
            if not is_for_programs(text := collapse(given)):
                yield text


def texts_around(item: Element, payload: Element) -> Iterator[str]:
    """The texts in an item beside its payload."""
    yield own_text(item)
    yield from texts_in(child for child in children(item) if child is not payload)


def add_more(result: JSON, fields: Sequence[str], rest: Iterable[str]) -> JSON:
    """Add as `more` those of the texts that hold a word which the fields do not."""
    texts = list(dict.fromkeys(text for given in rest if (text := collapse(given))))
    if not texts:
        return result
    held = list(texts_of(result, fields))
    same = set(held)
    texts = [text for text in texts if text not in same]
    # What is too long for the index holds no word that is found.
    known = {word for one in held if len(one) <= MAX_TEXT for word in iter_words(one)} if texts else set()
    more: list[str] = []
    for text in texts:
        words = set(iter_words(text))
        if not words <= known:
            known |= words
            more.append(text)
    add(result, "more", more)
    return result
