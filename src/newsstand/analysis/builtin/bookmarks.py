"""XEP-0402, PEP Native Bookmarks. Nothing secret leaves the raw XML: see `parse_bookmark`."""

from __future__ import annotations

from xml.etree.ElementTree import Element

from newsstand.analysis.builtin._payload import JSON, add, boolean, children, collapse, own_text, payload_of, split_tag

NAMESPACE = "urn:xmpp:bookmarks:1"
NODE = NAMESPACE
CONFERENCE = f"{{{NAMESPACE}}}conference"
_NICK = f"{{{NAMESPACE}}}nick"

WORDS = ("name", "nick")
"""The fields that people read. There is no more: what is not read here may be secret."""

_EXTENSIONS = f"{{{NAMESPACE}}}extensions"


def parse_bookmark(item: Element, *, service: str, node: str) -> JSON:
    """XEP-0402, 2: `{jid, autojoin, name?, nick?, extensions?}`.

    `jid` is the item's id, unchanged; `autojoin` is always there, because its absence means false.
    The password is not read, and of the extensions only the namespaces are listed: clients may keep anything
    in them. Raises ValueError when the item has no id or does not hold one `<conference/>`.
    """
    conference = payload_of(item, CONFERENCE)
    jid = item.get("id")
    if not jid:
        raise ValueError("the item has no id, and a bookmark's id is the address of its room")
    result: JSON = {"jid": jid, "autojoin": boolean(conference.get("autojoin"))}
    add(result, "name", collapse(conference.get("name")))
    extensions: dict[str, None] = {}
    for child in children(conference):
        if child.tag == _NICK and "nick" not in result:
            add(result, "nick", own_text(child))
        elif child.tag == _EXTENSIONS:
            extensions |= {extension.tag: None for extension in children(child)}
    namespaces = dict.fromkeys(split_tag(tag)[0] for tag in extensions)
    add(result, "extensions", [namespace for namespace in namespaces if namespace])
    return result
