"""XEP-0172, User Nickname."""

from __future__ import annotations

from xml.etree.ElementTree import Element

from newsstand.analysers._payload import JSON, own_text, payload_of

NAMESPACE = "http://jabber.org/protocol/nick"
NODE = NAMESPACE
NICK = f"{{{NAMESPACE}}}nick"


def parse_nick(item: Element, *, service: str, node: str) -> JSON:
    """XEP-0172, 3 and 4.3: `{nick}`. Empty text means that the nickname was taken back.

    Raises ValueError when the item does not hold one `<nick/>`.
    """
    return {"nick": own_text(payload_of(item, NICK))}
