"""Addresses as a person types them: checked, in lower case, and in the spelling that they are compared by. Pure;
slixmpp's own JID class would cost its import."""

from __future__ import annotations

import ipaddress
import unicodedata

from newsstand.errors import ConfigurationError
from newsstand.jid import MAX_PART, canonical_bare, prepared

_NOT_IN_LOCAL = set("\"&'/:<>@")
_NOT_IN_DOMAIN = set("\"&'/<>@#?\\")


def bare_jid(text: str) -> str:
    """The bare JID, in lower case and canonical spelling. Raises ConfigurationError saying what is wrong."""
    _check(text)
    jid = canonical_bare("".join(character.lower() for character in text))
    _check(jid)
    return jid


def _check(text: str) -> None:
    if "/" in text:
        raise ConfigurationError(f"{text!r} has a resource: give it without what comes after the slash")
    local, at, domain = text.rpartition("@")
    wrong = (
        (bool(at) and not local)
        or not domain.strip(".")
        or _unfit(local, _NOT_IN_LOCAL)
        or _unfit(domain, _NOT_IN_DOMAIN)
        or (":" in domain and not domain.startswith("["))
    )
    if wrong:
        raise ConfigurationError(f"{text!r} is not a JID: write name@example.org, or pubsub.example.org")


def account_jid(text: str) -> str:
    """As `bare_jid`, of an account: with a name before the @, and spelt as slixmpp does when it logs in."""
    jid = prepared(bare_jid(text))
    _check(jid)
    if "@" not in jid:
        raise ConfigurationError(f"{text!r} is not an account: write name@{text}")
    return jid


def _unfit(part: str, excluded: set[str]) -> bool:
    if len(part.encode("utf-8", "surrogatepass")) > MAX_PART:
        return True
    return any(c in excluded or c.isspace() or unicodedata.category(c) in ("Cc", "Cs") for c in part)


def server_address(text: str) -> tuple[str, int]:
    """`HOST:PORT`, an IPv6 address in brackets. Raises ConfigurationError."""
    host, _, port = text.rpartition(":")
    number = int(port) if port.isascii() and port.isdigit() and len(port) < 6 else 0
    if host.startswith("[") and host.endswith("]"):
        host = host[1:-1]
    elif ":" in host:
        host = ""
    if not host or not 0 < number < 65536 or any(c.isspace() for c in host):
        raise ConfigurationError(f"--server {text!r} is not HOST:PORT: write example.org:5222 or [::1]:5222")
    return host, number


def is_loopback(host: str) -> bool:
    """Whether what is sent there stays on this machine."""
    if host.rstrip(".").lower() == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
