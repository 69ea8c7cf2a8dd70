"""Requests as they reach the fake service, and its answers as XML."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal, NamedTuple
from xml.etree.ElementTree import Element, SubElement

from newsstand.model import NS_DATA, NS_DISCO_INFO, NS_DISCO_ITEMS, NS_OWNER, NS_PUBSUB, NS_RSM

Kind = Literal[
    "items",
    "ids",
    "info",
    "subscribe",
    "unsubscribe",
    "subscriptions",
    "publish",
    "retract",
    "create",
    "configure",
    "purge",
    "delete",
    "affiliations",
]
_KINDS: dict[str, Kind] = {
    "items": "items",
    "subscribe": "subscribe",
    "unsubscribe": "unsubscribe",
    "subscriptions": "subscriptions",
    "publish": "publish",
    "retract": "retract",
    "create": "create",
    "configure": "configure",
    "purge": "purge",
    "delete": "delete",
    "affiliations": "affiliations",
}


class Request(NamedTuple):
    """What reached the service."""

    kind: Kind
    node: str
    account: str
    action: Element
    rsm: Element | None = None
    form: dict[str, str] | None = None
    """The fields of a form that came with it, without `pubsub#`."""


def read(payload: Element, account: str) -> Request:
    account = account.partition("/")[0]
    namespace = payload.tag[1:].partition("}")[0]
    if namespace == NS_DISCO_ITEMS:
        return Request("ids", payload.get("node", ""), account, payload)
    if namespace == NS_DISCO_INFO:
        return Request("info", payload.get("node", ""), account, payload)
    assert namespace in (NS_PUBSUB, NS_OWNER)
    action = payload[0]
    fields = {
        field.get("var", "").removeprefix("pubsub#"): field.findtext(f"{{{NS_DATA}}}value", "")
        for field in payload.iter(f"{{{NS_DATA}}}field")
    }
    fields.pop("FORM_TYPE", None)
    rsm = payload.find(f"{{{NS_RSM}}}set")
    return Request(_KINDS[action.tag.partition("}")[2]], action.get("node", ""), account, action, rsm, fields or None)


def result(service: str, account: str) -> Element:
    return Element("{jabber:client}iq", {"type": "result", "from": service, "to": account})


def add_pubsub(iq: Element, action: str, **attributes: str) -> Element:
    """The action of a result."""
    return SubElement(SubElement(iq, f"{{{NS_PUBSUB}}}pubsub"), f"{{{NS_PUBSUB}}}{action}", attributes)


def add_info(
    iq: Element, node: str, kind: tuple[str, str], features: Iterable[str], meta_data: dict[str, str] | None = None
) -> None:
    query = SubElement(iq, f"{{{NS_DISCO_INFO}}}query", {"node": node} if node else {})
    SubElement(query, f"{{{NS_DISCO_INFO}}}identity", {"category": kind[0], "type": kind[1]})
    for feature in features:
        SubElement(query, f"{{{NS_DISCO_INFO}}}feature", {"var": feature})
    if meta_data is not None:
        form = SubElement(query, f"{{{NS_DATA}}}x", {"type": "result"})
        for name, value in meta_data.items():
            SubElement(SubElement(form, f"{{{NS_DATA}}}field", {"var": name}), f"{{{NS_DATA}}}value").text = value


def add_set(iq: Element, first: str | None, last: str | None, index: int, count: int) -> None:
    """The `<set/>` of a page (XEP-0059, 2)."""
    rsm = SubElement(iq[0], f"{{{NS_RSM}}}set")
    if first is not None:
        SubElement(rsm, f"{{{NS_RSM}}}first", {"index": str(index)}).text = first
        SubElement(rsm, f"{{{NS_RSM}}}last").text = last
    SubElement(rsm, f"{{{NS_RSM}}}count").text = str(count)
