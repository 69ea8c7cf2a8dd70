"""Says whose word a stanza is, so that nobody can speak for a service: answers that somebody else sent are refused, and
what a spoofed notification says is about a node of its own sender, which nobody follows. Pure."""

from __future__ import annotations

from typing import NamedTuple
from xml.etree.ElementTree import Element

from newsstand.jid import canonical, canonical_bare
from newsstand.model import NodeKey
from newsstand.xmpp.tags import PUBSUB

MOST_PARTS = 10
"""Elements of a `<pubsub/>` that are read; there are two at most."""


class Addresses(NamedTuple):
    """Between whom a message passed, both in canonical spelling."""

    account: str
    service: str


def read_addresses(message: Element, own_jid: str) -> Addresses:
    """The account to which a message is addressed, and the service that sent it. XEP-0060, 12.5 leaves it to the
    receiver to check that it follows this service: the copy of a notification is found by both, and by the node. What
    names no sender is from the account itself (RFC 6120, 8.1.2.1)."""
    account = canonical_bare(message.get("to") or own_jid)
    return Addresses(account, canonical_bare(message.get("from") or account))


def is_from(iq: Element, service: str, account: str) -> bool:
    """Whether a result, or an error, is this service's own word to this account, both in canonical spelling (RFC 6120,
    8.1.2.1 and 10.3). What names no sender is from the account; its server may answer for it under its own name."""
    sender = iq.get("from")
    if service != account:
        return sender is not None and canonical(sender) == service
    return not sender or canonical_bare(sender) in (account, account.rpartition("@")[2])


def find_objection(iq: Element, key: NodeKey) -> str | None:
    """Why an answer is not to be believed: somebody else sent it, or it is about another node. None where it is the
    service's, about what was asked for."""
    if not is_from(iq, key.service, key.account):
        return f"{iq.get('from') or 'the own server'} answered instead of {key.service}"
    for child in iq:
        for part in child[:MOST_PARTS] if child.tag == PUBSUB else (child,):
            if part.get("node", key.node) != key.node:
                return f"{key.service} answered about node {part.get('node')!r} instead of {key.node!r}"
    return None
