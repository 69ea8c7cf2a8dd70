"""XEP-0172, User Nickname."""

from __future__ import annotations

from xml.etree.ElementTree import Element

from newsstand.analysis.builtin._more import add_more, texts_around, texts_in
from newsstand.analysis.builtin._payload import JSON, children, own_text, payload_of

NAMESPACE = "http://jabber.org/protocol/nick"
NODE = NAMESPACE
NICK = f"{{{NAMESPACE}}}nick"

WORDS = ("nick", "more")
"""The fields that people read."""


def parse_nick(item: Element, *, service: str, node: str) -> JSON:
    """XEP-0172, 3 and 4.3: `{nick}`. Empty text means that the nickname was taken back.

    Raises ValueError when the item does not hold one `<nick/>`.
    """
    return {"nick": own_text(payload_of(item, NICK))}


def parse_nick_and_more(item: Element, *, service: str, node: str) -> JSON:
    """The same, with what else a person wrote there at `more`, a list of texts."""
    result = parse_nick(item, service=service, node=node)
    payload = payload_of(item, NICK)
    return add_more(result, WORDS, [*texts_in(children(payload)), *texts_around(item, payload)])
