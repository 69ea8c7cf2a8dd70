"""XEP-0490, Message Displayed Synchronization: up to where each chat was read."""

from __future__ import annotations

from xml.etree.ElementTree import Element

from newsstand.analysis.builtin._payload import JSON, add, children, collapse, payload_of

NAMESPACE = "urn:xmpp:mds:displayed:0"
NODE = NAMESPACE
DISPLAYED = f"{{{NAMESPACE}}}displayed"
_STANZA_ID = "{urn:xmpp:sid:0}stanza-id"


def parse_displayed(item: Element, *, service: str, node: str) -> JSON:
    """XEP-0490, 3: `{jid, stanza_id?, by?}`.

    `jid` is the chat, which is the item's id, unchanged; `stanza_id` is the message that was displayed last, by the id
    that `by` gave it (XEP-0359): the first `<stanza-id/>` that has one. Raises ValueError when the item has no id or
    does not hold one `<displayed/>`.
    """
    displayed = payload_of(item, DISPLAYED)
    jid = item.get("id")
    if not jid:
        raise ValueError("the item has no id, which would be the address of its chat")
    result: JSON = {"jid": jid}
    for child in children(displayed):
        if child.tag == _STANZA_ID and collapse(child.get("id")):
            add(result, "stanza_id", collapse(child.get("id")))
            add(result, "by", collapse(child.get("by")))
            break
    return result
