"""Bookmarks: of XEP-0402, an item each, and the older list of XEP-0048. Nothing secret leaves the raw XML: see
`parse_bookmark` and `parse_bookmarks`."""

from __future__ import annotations

import re
from xml.etree.ElementTree import Element

from newsstand.analysis.builtin._payload import JSON, add, boolean, children, collapse, own_text, payload_of, split_tag

NAMESPACE = "urn:xmpp:bookmarks:1"
NODE = NAMESPACE
CONFERENCE = f"{{{NAMESPACE}}}conference"
_NICK = f"{{{NAMESPACE}}}nick"

WORDS = ("name", "nick")
"""The fields that people read. There is no more: what is not read here may be secret."""

_EXTENSIONS = f"{{{NAMESPACE}}}extensions"

LEGACY_NAMESPACE = "storage:bookmarks"
LEGACY_NODE = LEGACY_NAMESPACE
STORAGE = f"{{{LEGACY_NAMESPACE}}}storage"
_LEGACY_CONFERENCE = f"{{{LEGACY_NAMESPACE}}}conference"
_LEGACY_NICK = f"{{{LEGACY_NAMESPACE}}}nick"
_URL = f"{{{LEGACY_NAMESPACE}}}url"

LEGACY_WORDS = ("conferences.name", "conferences.nick", "urls.name")
"""The same of the older list, and for the same reason no more."""

_AUTHORITY = re.compile(r"[a-z][a-z0-9+.-]{0,30}://([^/?#]*)", re.IGNORECASE)


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


def parse_bookmarks(item: Element, *, service: str, node: str) -> JSON:
    """XEP-0048, in a private node of PEP (XEP-0223): `{conferences, urls?}`.

    `conferences` lists `{jid, autojoin, name?, nick?}`, `urls` lists `{url, name?}`, both in the order given; what has
    no address is left out. Addresses are as written, but for a user and a password within a URL. Passwords are not
    read, nor is anything that XEP-0048 does not know: clients may keep anything there. Raises ValueError when the item
    does not hold one `<storage/>`.
    """
    conferences: list[JSON] = []
    urls: list[JSON] = []
    for child in children(payload_of(item, STORAGE)):
        if child.tag == _LEGACY_CONFERENCE and (jid := collapse(child.get("jid"))):
            conferences.append(_legacy_conference(jid, child))
        elif child.tag == _URL and (url := _without_user(collapse(child.get("url")))):
            found: JSON = {"url": url}
            add(found, "name", collapse(child.get("name")))
            urls.append(found)
    result: JSON = {"conferences": conferences}
    add(result, "urls", urls)
    return result


def _legacy_conference(jid: str, element: Element) -> JSON:
    result: JSON = {"jid": jid, "autojoin": boolean(element.get("autojoin"))}
    add(result, "name", collapse(element.get("name")))
    nick = next((child for child in children(element) if child.tag == _LEGACY_NICK), None)
    add(result, "nick", None if nick is None else own_text(nick))
    return result


def _without_user(url: str) -> str:
    """The URL without what stands before the host (RFC 3986, 3.2.1): it may hold a password."""
    found = _AUTHORITY.match(url)
    if found is None or "@" not in found[1]:
        return url
    return url[: found.start(1)] + found[1].rpartition("@")[2] + url[found.end(1) :]
