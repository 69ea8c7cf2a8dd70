from __future__ import annotations

import base64
from typing import TYPE_CHECKING

import pytest

from newsstand.analysis.builtin.omemo import (
    BUNDLES_NODE,
    LEGACY_BUNDLES_NODE,
    LEGACY_NAMESPACE,
    LEGACY_NODE,
    MAX_DEVICE_ID,
    NAMESPACE,
    NODE,
    parse_bundle,
    parse_device_list,
)

if TYPE_CHECKING:
    from tests.unit.analysis.builtin.conftest import ItemOf

WHERE = {"service": "juliet@capulet.example", "node": NODE}


def devices(*inner: str) -> str:
    return f'<devices xmlns="{NAMESPACE}">{"".join(inner)}</devices>'


def test_a_list_of_devices(item_of: ItemOf) -> None:
    payload = devices('<device id="31415"/>', '<device id="27182" label="Balcony phone" labelsig="c2ln"/>')
    assert parse_device_list(item_of(payload, id="current"), **WHERE) == {
        "namespace": NAMESPACE,
        "devices": [{"id": 31415}, {"id": 27182, "label": "Balcony phone", "labelsig": "c2ln"}],
    }


def test_the_older_list(item_of: ItemOf) -> None:
    item = item_of(f'<list xmlns="{LEGACY_NAMESPACE}"><device id="7"/><device id="8"/></list>')
    parsed = parse_device_list(item, service="juliet@capulet.example", node=LEGACY_NODE)
    assert parsed == {"namespace": LEGACY_NAMESPACE, "devices": [{"id": 7}, {"id": 8}]}


def test_an_account_without_devices_has_an_empty_list(item_of: ItemOf) -> None:
    assert parse_device_list(item_of(devices()), **WHERE) == {"namespace": NAMESPACE, "devices": []}


def test_a_label_that_nobody_signed_is_ignored(item_of: ItemOf) -> None:
    payload = devices('<device id="1" label="Trust me"/>', '<device id="2" label="Me too" labelsig=" "/>')
    assert parse_device_list(item_of(payload), **WHERE)["devices"] == [{"id": 1}, {"id": 2}]


def test_ids_out_of_range_are_listed_apart_and_do_not_spoil_the_list(item_of: ItemOf) -> None:
    wrong = ["0", "-1", str(MAX_DEVICE_ID + 1), "9" * 20, "1.5", "one", "", "٣", "9" * 5000]
    payload = devices(*(f'<device id="{id}"/>' for id in wrong), "<device/>", f'<device id="{MAX_DEVICE_ID}"/>')
    parsed = parse_device_list(item_of(payload), **WHERE)
    assert parsed["devices"] == [{"id": MAX_DEVICE_ID}]
    assert parsed["invalid"] == [id[:80] for id in wrong] + [""]


def test_a_repeated_id_is_one_device(item_of: ItemOf) -> None:
    payload = devices('<device id="5"/>', '<device id="005" label="b" labelsig="c"/>', '<device id="4"/>')
    assert parse_device_list(item_of(payload), **WHERE)["devices"] == [{"id": 5}, {"id": 4}]


def test_other_elements_are_no_devices(item_of: ItemOf) -> None:
    payload = devices('<device xmlns="urn:other" id="1"/>', '<x><device id="2"/></x>', "<!-- 3 -->")
    assert parse_device_list(item_of(payload), **WHERE)["devices"] == []


@pytest.mark.parametrize(
    "payload",
    [
        f'<bundle xmlns="{NAMESPACE}"><ik>a2V5</ik></bundle>',
        f'<bundle xmlns="{LEGACY_NAMESPACE}"/>',
        f'<list xmlns="{NAMESPACE}"/>',
        devices() + f'<list xmlns="{LEGACY_NAMESPACE}"/>',
    ],
)
def test_what_is_no_single_list_is_refused(item_of: ItemOf, payload: str) -> None:
    with pytest.raises(ValueError, match="payload"):
        parse_device_list(item_of(payload), **WHERE)


KEY = base64.b64encode(bytes(range(32))).decode()
LEGACY_KEY = base64.b64encode(bytes([5, *range(32)])).decode()
BUNDLES = {"service": "juliet@capulet.example", "node": BUNDLES_NODE}


def bundle(*inner: str) -> str:
    return f'<bundle xmlns="{NAMESPACE}">{"".join(inner)}</bundle>'


def test_a_bundle_is_its_item_s_device(item_of: ItemOf) -> None:
    prekeys = "".join(f'<pk id="{number}">a2V5</pk>' for number in range(100))
    payload = bundle(
        '<spk id="7">a2V5</spk><spks>c2ln</spks>',
        f"<ik>\n {KEY[:20]}\n {KEY[20:]}</ik>",
        f"<prekeys>{prekeys}</prekeys>",
    )
    assert parse_bundle(item_of(payload, id="31415"), **BUNDLES) == {
        "namespace": NAMESPACE,
        "device": 31415,
        "identity_key": KEY,
        "signed_prekey": 7,
        "prekeys": 100,
    }


def test_a_bundle_of_the_older_form_is_its_node_s_device_whatever_its_item_is_named(item_of: ItemOf) -> None:
    payload = f"""
        <bundle xmlns="{LEGACY_NAMESPACE}">
          <signedPreKeyPublic signedPreKeyId="3">a2V5</signedPreKeyPublic>
          <signedPreKeySignature>c2ln</signedPreKeySignature>
          <identityKey>{LEGACY_KEY}</identityKey>
          <prekeys><preKeyPublic preKeyId="1">a2V5</preKeyPublic><preKeyPublic preKeyId="2"/></prekeys>
        </bundle>"""
    where = {"service": "juliet@capulet.example", "node": f"{LEGACY_BUNDLES_NODE}27182"}
    for id in ("current", "1", None):
        assert parse_bundle(item_of(payload, id=id), **where) == {
            "namespace": LEGACY_NAMESPACE,
            "device": 27182,
            "identity_key": LEGACY_KEY,
            "signed_prekey": 3,
            "prekeys": 2,
        }


def test_a_bundle_with_nothing_in_it_has_no_prekeys(item_of: ItemOf) -> None:
    assert parse_bundle(item_of(bundle(), id="5"), **BUNDLES) == {"namespace": NAMESPACE, "device": 5, "prekeys": 0}


@pytest.mark.parametrize("id", [None, "", "current", "0", str(MAX_DEVICE_ID + 1), "٣"])
def test_a_bundle_under_what_is_no_device_s_id_is_nobody_s(item_of: ItemOf, id: str | None) -> None:
    assert "device" not in parse_bundle(item_of(bundle(), id=id), **BUNDLES)


@pytest.mark.parametrize("node", ["31415", LEGACY_BUNDLES_NODE, f"{LEGACY_BUNDLES_NODE}x", f"x{LEGACY_BUNDLES_NODE}7"])
def test_a_node_that_is_not_named_by_a_device_is_nobody_s(item_of: ItemOf, node: str) -> None:
    item = item_of(f'<bundle xmlns="{LEGACY_NAMESPACE}"/>', id="31415")
    assert "device" not in parse_bundle(item, service="juliet@capulet.example", node=node)


@pytest.mark.parametrize("key", ["", "hunter2", "a2V5", KEY[:-1], KEY * 2, "A" * 100_000, "٣" * 44])
def test_what_is_no_identity_key_is_left_out(item_of: ItemOf, key: str) -> None:
    assert "identity_key" not in parse_bundle(item_of(bundle(f"<ik>{key}</ik>"), id="5"), **BUNDLES)


def test_elements_of_the_other_form_are_none_of_its_own(item_of: ItemOf) -> None:
    payload = bundle(f'<identityKey>{KEY}</identityKey><prekeys><preKeyPublic/><pk xmlns="urn:x"/></prekeys>')
    parsed = parse_bundle(item_of(payload, id="5"), **BUNDLES)
    assert parsed == {"namespace": NAMESPACE, "device": 5, "prekeys": 0}


@pytest.mark.parametrize("payload", [devices(), bundle() * 2, "<bundle xmlns='urn:x'/>", ""])
def test_what_is_no_single_bundle_is_refused(item_of: ItemOf, payload: str) -> None:
    with pytest.raises(ValueError, match="payload"):
        parse_bundle(item_of(payload), **BUNDLES)
