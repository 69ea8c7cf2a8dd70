"""XEP-0356, Privileged Entity: requests that a program makes in the name of another entity's account, the answers to
them, and what a server allows. Pure."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from xml.etree.ElementTree import Element

from newsstand.model import ItemsRequest, WriteKind, WriteRequest
from newsstand.xmpp.requests import read_request
from newsstand.xmpp.senders import is_from

NAMESPACES = ("urn:xmpp:privilege:2", "urn:xmpp:privilege:1")
NS_FORWARD = "urn:xmpp:forward:0"
NS_CLIENT = "jabber:client"

WRAPPERS = frozenset(f"{{{namespace}}}privileged_iq" for namespace in NAMESPACES)
"""Tags of what wraps the account's request."""
_PRIVILEGES = frozenset(f"{{{namespace}}}privilege" for namespace in NAMESPACES)
_FORWARDED = f"{{{NS_FORWARD}}}forwarded"
_IQ = f"{{{NS_CLIENT}}}iq"
_DENIED = frozenset(("bad-request", "forbidden", "not-allowed", "not-authorized"))


def unwrap(iq: Element) -> Element | None:
    """The account's own `<iq/>` within a privileged one. None where it holds anything else, or names another account
    or type than that: the server refuses it, or does what we do not know."""
    if len(iq) != 1 or iq[0].tag not in WRAPPERS or len(iq[0]) != 1:
        return None
    account, inner = iq.get("to"), iq[0][0]
    if not account or inner.tag != _IQ or inner.get("type") != iq.get("type"):
        return None
    return inner if inner.get("from", account) == account else None


def read_privileged(iq: Element) -> ItemsRequest | WriteRequest | None:
    """What is asked of a pubsub node in another account's name, as by `read_request`; the key's account is that one."""
    inner, account = unwrap(iq), iq.get("to") or ""
    request = None if inner is None or "/" in account else read_request(inner, account)
    if request is None:
        return None
    if isinstance(request, WriteRequest) and request.kind is WriteKind.UNSUBSCRIBE:
        request = dataclasses.replace(request, kind=WriteKind.OTHER)  # the account's other programs may read the node
    return dataclasses.replace(request, privileged=True)


def is_about(iq: Element, account: str) -> bool:
    """Whether the answer to a privileged request is the account's, or its server's for it: nobody else's counts."""
    return is_from(iq, account, account)


def forwarded(iq: Element) -> Element | None:
    """The service's own answer within the server's; None where the server itself answered."""
    for child in iq:
        if child.tag in _PRIVILEGES:
            for inner in child:
                if inner.tag == _FORWARDED and len(inner) == 1 and inner[0].tag == _IQ:
                    return inner[0]
    return None


def is_denial(condition: str) -> bool:
    """Whether an error of the server's own says that it did not pass the account's request on."""
    return condition in _DENIED


def read_permissions(message: Element) -> Mapping[str, str] | None:
    """What a server's message allows: by namespace, "get", "set", "both" or "none". None where the
    message is about something else."""
    for child in message:
        if child.tag not in _PRIVILEGES:
            continue
        own = child.tag[: child.tag.index("}") + 1]
        permissions = [perm for perm in child if perm.tag == f"{own}perm"]
        if not permissions:
            return None
        return {
            namespace: allowed
            for perm in permissions
            if perm.get("access") == "iq"
            for inner in perm
            if inner.tag == f"{own}namespace" and (namespace := inner.get("ns")) and (allowed := inner.get("type"))
        }
    return None
