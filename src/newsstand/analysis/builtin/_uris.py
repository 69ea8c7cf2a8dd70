"""XMPP URIs that point at pubsub nodes and items."""

from __future__ import annotations

from urllib.parse import unquote


def xmpp_uri(uri: str | None) -> dict[str, str] | None:
    """`{service, node?, item?}` of an `xmpp:` URI (RFC 5122; XEP-0060, "PubSub URIs"), or None when it is
    another URI, names no JID, or cannot be decoded. The service is the JID as written: nothing is
    normalised."""
    text = (uri or "").strip()
    if text[:5].lower() != "xmpp:":
        return None
    rest = text[5:].partition("#")[0]
    if rest.startswith("//"):  # an authority: the account to act from, not the address
        rest = rest[2:].partition("/")[2]
    path, _, query = rest.partition("?")
    found = {"service": path}
    for pair in query.split(";"):
        key, equals, value = pair.partition("=")
        key = key.strip()
        if equals and key in ("node", "item"):
            found.setdefault(key, value)
    try:
        found = {key: unquote(value.strip(), errors="strict") for key, value in found.items()}
    except UnicodeDecodeError:
        return None
    if not found["service"] or any("\0" in value for value in found.values()):
        return None
    return {key: value for key, value in found.items() if value}
