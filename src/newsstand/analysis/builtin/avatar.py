"""XEP-0084, User Avatar: the metadata; and the images, of which only their size and their hash are told."""

from __future__ import annotations

import base64
import hashlib
import re
from xml.etree.ElementTree import Element

from newsstand.analysis.builtin._more import add_more, texts_around, texts_in
from newsstand.analysis.builtin._payload import JSON, add, children, collapse, integer, own_text, payload_of

NAMESPACE = "urn:xmpp:avatar:metadata"
NODE = NAMESPACE
METADATA = f"{{{NAMESPACE}}}metadata"
_INFO = f"{{{NAMESPACE}}}info"
_STOP = f"{{{NAMESPACE}}}stop"

WORDS = ("more",)
"""The fields that people read."""

DATA_NAMESPACE = "urn:xmpp:avatar:data"
DATA_NODE = DATA_NAMESPACE
DATA = f"{{{DATA_NAMESPACE}}}data"
LONGEST_DATA = 2**23
"""Characters of base64 above which an image is not decoded. A service that has one so large would hand out 6 MB for
each avatar."""

_SHA1 = re.compile(r"[0-9a-f]{40}", re.ASCII)
_WEB = ("http://", "https://")
_SHOWN = 80


def parse_avatar(item: Element, *, service: str, node: str) -> JSON:
    """XEP-0084, 4.2 and 3.5: `{disabled, sha1?, bytes?, type?, width?, height?, url?, infos?, invalid?}`.

    `infos` lists every form of the image that was announced, each `{sha1, bytes?, type?, width?, height?,
    url?}`; the fields of one are repeated at the top, where they are easy to query: the one whose hash is the
    item's id, or else the first. `disabled` is true when the publisher wants no image shown (an empty
    element, or the older `<stop/>`). A number outside the schema's range is left out, and so is a URL that is
    not of the web; an `<info/>` without a SHA-1 hash is useless, and its id goes to `invalid`, shortened.

    Raises ValueError when the item does not hold one `<metadata/>`.
    """
    metadata = payload_of(item, METADATA)
    found = list(children(metadata))
    infos: list[JSON] = []
    invalid: list[str] = []
    for child in found:
        if child.tag != _INFO:
            continue
        info = _parse_info(child)
        if info is None:
            invalid.append(collapse(child.get("id"))[:_SHOWN])
        else:
            infos.append(info)
    result: JSON = {"disabled": not found or (not infos and any(child.tag == _STOP for child in found))}
    if infos:
        wanted = collapse(item.get("id")).lower()
        result |= next((info for info in infos if info["sha1"] == wanted), infos[0])
    add(result, "infos", infos)
    add(result, "invalid", invalid)
    return result


def parse_avatar_and_more(item: Element, *, service: str, node: str) -> JSON:
    """The same, with what a person wrote there at `more`, a list of texts."""
    result = parse_avatar(item, service=service, node=node)
    payload = payload_of(item, METADATA)
    return add_more(result, WORDS, [*texts_in([payload]), *texts_around(item, payload)])


def _parse_info(element: Element) -> JSON | None:
    sha1 = collapse(element.get("id")).lower()
    if not _SHA1.fullmatch(sha1):
        return None
    info: JSON = {"sha1": sha1}
    add(info, "bytes", integer(element.get("bytes"), 0, 2**32 - 1))
    add(info, "type", collapse(element.get("type")).lower())
    add(info, "width", integer(element.get("width"), 0, 2**16 - 1))
    add(info, "height", integer(element.get("height"), 0, 2**16 - 1))
    url = (element.get("url") or "").strip()
    if url.lower().startswith(_WEB):
        info["url"] = url
    return info


def parse_data(item: Element, *, service: str, node: str) -> JSON:
    """XEP-0084, 4.1: `{bytes, sha1, verified}`, the size and the hash of the image, which is in the raw XML alone.

    `verified` is true when the item is named by that hash: see `is_verified`. Raises ValueError when the item does not
    hold one `<data/>`, or that holds no base64, or more than 8,388,608 characters.
    """
    image = _image_in(payload_of(item, DATA))
    sha1 = _sha1_of(image)
    return {"bytes": len(image), "sha1": sha1, "verified": _is_named(item, sha1)}


def is_verified(item: Element) -> bool:
    """Whether an `<item/>` of avatar data is named by the hash of its own bytes (XEP-0084, 4.1), and holds nothing
    else. Such an item is right for ever, whoever hands it out and whenever: under its id there can be no other image.
    Never raises."""
    try:
        return _is_named(item, _sha1_of(_image_in(payload_of(item, DATA))))
    except ValueError:
        return False


def _is_named(item: Element, sha1: str) -> bool:
    """The payload is known to hold that image."""
    alone = len(item) == 1 and not len(item[0])
    return alone and (item.get("id") or "").lower() == sha1


def _image_in(data: Element) -> bytes:
    text = own_text(data)
    if len(text) > LONGEST_DATA:
        raise ValueError(f"the data is longer than {LONGEST_DATA} characters")
    try:
        return base64.b64decode(text.replace(" ", "").encode("ascii"), validate=True)
    except ValueError:
        raise ValueError("the data is no base64") from None


def _sha1_of(image: bytes) -> str:
    return hashlib.sha1(image, usedforsecurity=False).hexdigest()
