"""Addresses as a person types them. Pure; slixmpp's own JID class would cost its import."""

from __future__ import annotations

import ipaddress
import unicodedata

from newsstand.errors import ConfigurationError

_NOT_IN_LOCAL = set("\"&'/:<>@")
_NOT_IN_DOMAIN = set("\"&'/<>@#?\\")
MAX_BYTES = 1023


def bare_jid(text: str) -> str:
    """The bare JID, in lower case (RFC 7622). Raises ConfigurationError saying what is wrong."""
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
    return f"{_folded(local)}{at}{_folded(domain).rstrip('.')}"


def account_jid(text: str) -> str:
    """As `bare_jid`, of an account: with a name before the @."""
    jid = bare_jid(text)
    if "@" not in jid:
        raise ConfigurationError(f"{text!r} is not an account: write name@{text}")
    return jid


def _unfit(part: str, excluded: set[str]) -> bool:
    if len(part.encode("utf-8", "surrogatepass")) > MAX_BYTES:
        return True
    return any(c in excluded or c.isspace() or unicodedata.category(c) in ("Cc", "Cs") for c in part)


def _folded(part: str) -> str:
    return unicodedata.normalize("NFKC", part.casefold())


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
