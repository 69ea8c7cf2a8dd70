"""XEP-0384, OMEMO: the lists of devices and the bundles of keys, in today's form and in the one before it."""

from __future__ import annotations

import base64
from typing import NamedTuple
from xml.etree.ElementTree import Element

from newsstand.analysis.builtin._more import add_more, texts_around, texts_in
from newsstand.analysis.builtin._payload import (
    JSON,
    add,
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

BUNDLES_NODE = "urn:xmpp:omemo:2:bundles"
BUNDLE = f"{{{NAMESPACE}}}bundle"
LEGACY_BUNDLES_NODE = "eu.siacs.conversations.axolotl.bundles:"
"""The id of the device comes behind it."""
LEGACY_BUNDLE = f"{{{LEGACY_NAMESPACE}}}bundle"

WORDS = ("devices.label", "more")
"""The fields that people read."""
_DEVICE_TAGS = (f"{{{NAMESPACE}}}device", f"{{{LEGACY_NAMESPACE}}}device")

MAX_DEVICE_ID = 2**31 - 1
_SHOWN = 80
_IDENTITY_BYTES = (32, 33)
"""Of an identity key; the older form puts the kind of the key before it."""
_LONGEST_KEY = 200


class _Form(NamedTuple):
    """The elements of a bundle, and the attribute that names its signed prekey, in one of the two forms."""

    identity_key: str
    signed_prekey: str
    signed_prekey_id: str
    prekeys: str
    prekey: str

    @classmethod
    def of(cls, namespace: str, identity: str, signed: str, signed_id: str, prekey: str) -> _Form:
        tag = f"{{{namespace}}}"
        return cls(f"{tag}{identity}", f"{tag}{signed}", signed_id, f"{tag}prekeys", f"{tag}{prekey}")


_FORMS = {
    BUNDLE: _Form.of(NAMESPACE, "ik", "spk", "id", "pk"),
    LEGACY_BUNDLE: _Form.of(LEGACY_NAMESPACE, "identityKey", "signedPreKeyPublic", "signedPreKeyId", "preKeyPublic"),
}


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


def parse_bundle(item: Element, *, service: str, node: str) -> JSON:
    """XEP-0384, 5.3.2, and its version 0.3, 4.3: `{namespace, prekeys, device?, identity_key?, signed_prekey?}`.

    `namespace` tells which of the two it is. `device` is the id of the device: the item's id, or in the older form
    what the node's name ends with; it is left out where that is no id. `prekeys` counts the prekeys that are offered,
    `signed_prekey` is the id of the one that is signed, and `identity_key` is the public key of the device, in base64:
    by these a program sees that a device was replaced, or runs short. The other keys are in the raw XML, and no key
    was checked. Raises ValueError when the item does not hold one bundle (a list of devices is none).
    """
    bundle = payload_of(item, BUNDLE, LEGACY_BUNDLE)
    form = _FORMS[bundle.tag]
    if bundle.tag == BUNDLE:
        device = item.get("id")
    else:
        device = node[len(LEGACY_BUNDLES_NODE) :] if node.startswith(LEGACY_BUNDLES_NODE) else None
    result: JSON = {"namespace": split_tag(bundle.tag)[0], "prekeys": 0}
    add(result, "device", integer(device, 1, MAX_DEVICE_ID))
    for child in children(bundle):
        if child.tag == form.identity_key and "identity_key" not in result:
            add(result, "identity_key", _identity_key(own_text(child)))
        elif child.tag == form.signed_prekey and "signed_prekey" not in result:
            add(result, "signed_prekey", integer(child.get(form.signed_prekey_id), 0, 2**32 - 1))
        elif child.tag == form.prekeys:
            result["prekeys"] += sum(1 for key in children(child) if key.tag == form.prekey)
    return result


def _identity_key(text: str) -> str | None:
    """None for what is no such key."""
    if len(text) > _LONGEST_KEY:
        return None
    try:
        key = base64.b64decode(text.replace(" ", "").encode("ascii"), validate=True)
    except ValueError:
        return None
    return base64.b64encode(key).decode() if len(key) in _IDENTITY_BYTES else None
