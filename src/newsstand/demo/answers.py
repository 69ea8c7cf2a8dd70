"""Examines answers for the demo: where they came from, whether they are equal, what their posts say."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from xml.etree.ElementTree import Element, canonicalize, tostring

from slixmpp.stanza import Iq

from newsstand.demo.claims import difference, first, items_of
from newsstand.demo.content import NS_ATOM, Publication
from newsstand.demo.program import TimedRead
from newsstand.model import NS_PUBSUB, Answer, Origin


def answer_of(iq: Iq) -> Answer | None:
    """What the answer was made of; None when the service sent it."""
    return getattr(iq, "newsstand", None)


def is_marked_stale(iq: Iq) -> bool:
    answer = answer_of(iq)
    return answer is not None and answer.origin is Origin.COPY and answer.stale


def not_fresh(readings: Mapping[str, TimedRead]) -> str:
    """The first answer that is not from a live copy, in words."""
    for look, reading in readings.items():
        for answer in map(answer_of, reading.answers):
            if answer is None:
                return f"{look}: the service answered"
            if answer.stale or not answer.complete:
                return f"{look}: the answer was stale or not complete"
    return ""


def differs(look: str, expected: TimedRead, found: TimedRead) -> str:
    """The first difference between two readings of the same, in words."""
    if len(expected.answers) != len(found.answers):
        return f"{look}: {len(found.answers)} answers instead of {len(expected.answers)}"
    differing = first(
        difference(items_of(mine.xml), items_of(theirs.xml))
        for mine, theirs in zip(expected.answers, found.answers, strict=True)
    )
    return f"{look}: {differing}" if differing else ""


def shows(items: Sequence[Element], expected: Publication | None) -> bool:
    """Whether what was found of one item is exactly this payload; None: no item."""
    payloads = [_canonical(payload) for item in items for payload in item]
    return payloads == ([] if expected is None else [_canonical(expected.payload)])


def _canonical(element: Element) -> str:
    return canonicalize(tostring(element, encoding="unicode"), rewrite_prefixes=True)


# Posts, read without Newsstand's help


def elements(answer: Iq) -> list[Element]:
    """The `<item/>`s of an answer."""
    return answer.xml.findall(f"{{{NS_PUBSUB}}}pubsub/{{{NS_PUBSUB}}}items/{{{NS_PUBSUB}}}item")


def has(post: Element, *wanted: str) -> bool:
    """Whether all of these words are among a post's texts and tags."""
    said = " ".join([*post.itertext(), *tags_of(post)]).lower()
    return set(wanted) <= set(re.findall(r"\w+", said))


def author_of(post: Element) -> str | None:
    return post.findtext(f".//{{{NS_ATOM}}}author/{{{NS_ATOM}}}name")


def tags_of(post: Element) -> list[str]:
    return [category.get("term", "") for category in post.iter(f"{{{NS_ATOM}}}category")]


def published_at(post: Element) -> str:
    """As text, which sorts as the dates do: all are written alike."""
    return post.findtext(f".//{{{NS_ATOM}}}published") or ""


def not_found(name: str, expected: Sequence[str], found: Sequence[str]) -> str:
    """How a search's result differs from what should have been found, in words."""
    if not expected:
        return f"{name}: nothing to find"
    if list(expected) == list(found):
        return ""
    if set(expected) == set(found):
        return f"{name}: not in the order of their dates"
    return f"{name}: {len(found)} found instead of {len(expected)}, or other ones"
