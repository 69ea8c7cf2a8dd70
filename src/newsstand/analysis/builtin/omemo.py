"""XEP-0384, OMEMO: the lists of devices, in today's form and in the one before it. Bundles are not parsed."""

from __future__ import annotations

from xml.etree.ElementTree import Element

from newsstand.analysis.builtin._more import add_more, texts_around, texts_in
from newsstand.analysis.builtin._payload import (
    JSON,
    add_attributes,
    children,
    collapse,
    integer,
    own_text,
    payload_of,
    split_tag,
)

NAMESPACE = "urn:xmpp:omemo:2"
NODE = "urn:xmpp:omemo:2:devices"
DEVICES = f"{{{NAMESPACE}}}devices"

LEGACY_NAMESPACE = "eu.siacs.conversations.axolotl"
LEGACY_NODE = "eu.siacs.conversations.axolotl.devicelist"
LEGACY_LIST = f"{{{LEGACY_NAMESPACE}}}list"

WORDS = ("devices.label", "more")
"""The fields that people read."""
_DEVICE_TAGS = (f"{{{NAMESPACE}}}device", f"{{{LEGACY_NAMESPACE}}}device")

MAX_DEVICE_ID = 2**31 - 1
_SHOWN = 80


def parse_device_list(item: Element, *, service: str, node: str) -> JSON:
    """XEP-0384, 5.3.1 (`<devices/>`), and its version 0.3, 4.3 (`<list/>`): `{namespace, devices, invalid?}`.

    `namespace` tells which of the two it is; `devices` lists `{id, label?, labelsig?}` in the order given,
    and is empty when the account has none. A label counts only with a signature; whether that is right cannot
    be told without the device's identity key, so both are handed on, unchecked. Ids run from 1 to 2^31-1:
    others go to `invalid`, shortened, and do not spoil the list; of a repeated id the first counts.

    Raises ValueError when the item does not hold one list of devices (a bundle is none).
    """
    payload = payload_of(item, DEVICES, LEGACY_LIST)
    namespace, _ = split_tag(payload.tag)
    devices: dict[int, JSON] = {}
    invalid: list[str] = []
    for child in children(payload):
        if child.tag != f"{{{namespace}}}device":
            continue
        number = integer(child.get("id"), 1, MAX_DEVICE_ID)
        if number is None:
            invalid.append(collapse(child.get("id"))[:_SHOWN])
        elif number not in devices:
            devices[number] = _device(number, child)
    result: JSON = {"namespace": namespace, "devices": list(devices.values())}
    if invalid:
        result["invalid"] = invalid
    return result


def parse_device_list_and_more(item: Element, *, service: str, node: str) -> JSON:
    """The same, with what else a person wrote there at `more`, a list of texts; not the labels without a signature,
    which count for nothing."""
    result = parse_device_list(item, service=service, node=node)
    payload = payload_of(item, DEVICES, LEGACY_LIST)
    rest = [own_text(payload), *texts_around(item, payload)]
    for child in children(payload):
        if child.tag in _DEVICE_TAGS:
            rest += (_label(child), own_text(child), *texts_in(children(child)))
        else:
            rest += texts_in([child])
    return add_more(result, WORDS, rest)


def _device(number: int, element: Element) -> JSON:
    device: JSON = {"id": number}
    if _label(element):
        add_attributes(device, element, "label", "labelsig")
    return device


def _label(element: Element) -> str:
    """Empty where there is none, or it counts for nothing."""
    return collapse(element.get("label")) if collapse(element.get("labelsig")) else ""
