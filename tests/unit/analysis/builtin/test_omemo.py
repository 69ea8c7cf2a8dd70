from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from newsstand.analysis.builtin.omemo import (
    LEGACY_NAMESPACE,
    LEGACY_NODE,
    MAX_DEVICE_ID,
    NAMESPACE,
    NODE,
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
