from __future__ import annotations

import base64
import hashlib
import xml.etree.ElementTree as ET
from typing import TYPE_CHECKING

import pytest

from newsstand.analysis.builtin import avatar
from newsstand.analysis.builtin.avatar import DATA_NODE, NAMESPACE, is_verified, parse_avatar, parse_data

if TYPE_CHECKING:
    from tests.unit.analysis.builtin.conftest import ItemOf

WHERE = {"service": "juliet@capulet.example", "node": NAMESPACE}
DATA = {"service": "juliet@capulet.example", "node": DATA_NODE}
IMAGE = bytes(range(256)) * 3
IMAGE_ID = hashlib.sha1(IMAGE).hexdigest()
PNG = "9d3c1b0a5e7f4862a0b1c2d3e4f5061728394a5b"
GIF = "00112233445566778899aabbccddeeff00112233"


def metadata(*infos: str) -> str:
    return f'<metadata xmlns="{NAMESPACE}">{"".join(infos)}</metadata>'


def test_one_image(item_of: ItemOf) -> None:
    payload = metadata(f'<info bytes="4807" id="{PNG}" type="image/png" width="96" height="64"/>')
    image = {"sha1": PNG, "bytes": 4807, "type": "image/png", "width": 96, "height": 64}
    assert parse_avatar(item_of(payload, id=PNG), **WHERE) == {"disabled": False, **image, "infos": [image]}


def test_of_several_forms_the_one_that_the_item_is_named_after_is_repeated_at_the_top(
    item_of: ItemOf,
) -> None:
    gif = f'<info bytes="9" id="{GIF}" type="image/gif" url="https://img.capulet.example/j.gif"/>'
    payload = metadata(gif, f'<info bytes="7" id="{PNG.upper()}" type="Image/PNG"/>', "<pointer/>")
    parsed = parse_avatar(item_of(payload, id=PNG), **WHERE)
    assert parsed["sha1"] == PNG
    assert parsed["type"] == "image/png"
    assert "url" not in parsed
    assert [info["sha1"] for info in parsed["infos"]] == [GIF, PNG]
    assert parsed["infos"][0]["url"] == "https://img.capulet.example/j.gif"
    assert parse_avatar(item_of(payload, id="current"), **WHERE)["sha1"] == GIF


@pytest.mark.parametrize("inner", ["", "<stop/>", "<!-- gone -->"])
def test_an_avatar_taken_down(item_of: ItemOf, inner: str) -> None:
    assert parse_avatar(item_of(metadata(inner)), **WHERE) == {"disabled": True}


def test_numbers_out_of_range_are_left_out_and_the_rest_stays(item_of: ItemOf) -> None:
    payload = metadata(f'<info bytes="-1" id="{PNG}" width="65536" height="1e3" type="image/png"/>')
    image = {"sha1": PNG, "type": "image/png"}
    assert parse_avatar(item_of(payload), **WHERE) == {"disabled": False, **image, "infos": [image]}


@pytest.mark.parametrize("number", ["9" * 19, "9" * 100_000, "٤", "4_8", "", "0x10", "4294967296", "1.0", "nan"])
def test_what_is_no_number_of_bytes_is_none(item_of: ItemOf, number: str) -> None:
    parsed = parse_avatar(item_of(metadata(f'<info id="{PNG}" bytes="{number}"/>')), **WHERE)
    assert "bytes" not in parsed


def test_the_largest_number_of_bytes_is_one(item_of: ItemOf) -> None:
    parsed = parse_avatar(item_of(metadata(f'<info id="{PNG}" bytes=" 4294967295 "/>')), **WHERE)
    assert parsed["bytes"] == 4294967295


@pytest.mark.parametrize("url", ["javascript:alert(1)", "file:///etc/passwd", "//example.org/a", "data:,x", ""])
def test_only_addresses_of_the_web_are_kept(item_of: ItemOf, url: str) -> None:
    parsed = parse_avatar(item_of(metadata(f'<info id="{PNG}" url="{url}"/>')), **WHERE)
    assert "url" not in parsed


def test_images_without_a_hash_are_listed_apart_and_shortened(item_of: ItemOf) -> None:
    payload = metadata('<info bytes="1"/>', f'<info id="{"z" * 100_000}"/>', f'<info id="{GIF}"/>')
    parsed = parse_avatar(item_of(payload), **WHERE)
    assert parsed["invalid"] == ["", "z" * 80]
    assert parsed["sha1"] == GIF
    assert parse_avatar(item_of(metadata('<info id="x"/>')), **WHERE) == {"disabled": False, "invalid": ["x"]}


def test_the_image_itself_is_another_payload(item_of: ItemOf) -> None:
    with pytest.raises(ValueError, match="urn:xmpp:avatar:data"):
        parse_avatar(item_of('<data xmlns="urn:xmpp:avatar:data">aGk=</data>', id=PNG), **WHERE)


def data(image: bytes = IMAGE) -> str:
    """As many clients write it: in lines."""
    return f'<data xmlns="{DATA_NODE}">\n{base64.encodebytes(image).decode()}</data>'


def test_of_an_image_its_size_and_its_hash_are_told(item_of: ItemOf) -> None:
    assert parse_data(item_of(data(), id=IMAGE_ID), **DATA) == {"bytes": 768, "sha1": IMAGE_ID, "verified": True}
    one_line = base64.b64encode(IMAGE).decode()
    item = item_of(f'<data xmlns="{DATA_NODE}">{one_line}</data>', id=IMAGE_ID.upper())
    assert parse_data(item, **DATA)["verified"]
    assert is_verified(item)


@pytest.mark.parametrize("id", [None, "", "current", PNG, IMAGE_ID[:-1], f" {IMAGE_ID}"])
def test_an_image_under_another_id_is_not_verified(item_of: ItemOf, id: str | None) -> None:
    item = item_of(data(), id=id)
    assert parse_data(item, **DATA) == {"bytes": 768, "sha1": IMAGE_ID, "verified": False}
    assert not is_verified(item)


def test_an_image_with_a_changed_byte_is_not_verified(item_of: ItemOf) -> None:
    item = item_of(data(IMAGE[:-1] + b"x"), id=IMAGE_ID)
    assert not parse_data(item, **DATA)["verified"]
    assert not is_verified(item)


@pytest.mark.parametrize("beside", ['<note xmlns="urn:x">new</note>', "<!-- new -->"])
def test_what_stands_beside_an_image_is_vouched_for_by_no_hash(item_of: ItemOf, beside: str) -> None:
    item = item_of(data() + beside, id=IMAGE_ID)
    if beside.startswith("<!"):
        item.append(ET.Comment("new"))
    assert not parse_data(item, **DATA)["verified"]
    inside = item_of(data().replace("</data>", f"{beside}<x/></data>"), id=IMAGE_ID)
    assert not parse_data(inside, **DATA)["verified"]
    assert not is_verified(item)
    assert not is_verified(inside)


def test_an_empty_image_is_one(item_of: ItemOf) -> None:
    empty = hashlib.sha1(b"").hexdigest()
    parsed = parse_data(item_of(f'<data xmlns="{DATA_NODE}"/>', id=empty), **DATA)
    assert parsed == {"bytes": 0, "sha1": empty, "verified": True}


@pytest.mark.parametrize("text", ["hunter2", "aGk", "aGk==", "aG=k", "=", "a-_k", "٣٣٣٣", "aGk=aGk="])
def test_what_is_no_base64_is_refused_and_not_repeated(item_of: ItemOf, text: str) -> None:
    item = item_of(f'<data xmlns="{DATA_NODE}">{text}</data>', id=PNG)
    with pytest.raises(ValueError, match=r"^the data is no base64$"):
        parse_data(item, **DATA)
    assert not is_verified(item)


def test_an_image_beyond_all_measure_is_not_decoded(item_of: ItemOf, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(avatar, "LONGEST_DATA", 1_000)
    item = item_of(data(), id=IMAGE_ID)
    with pytest.raises(ValueError, match="longer than 1000"):
        parse_data(item, **DATA)
    assert not is_verified(item)


@pytest.mark.parametrize("payload", ["", "<x xmlns='urn:x'/>", metadata(), data() * 2])
def test_another_payload_is_no_image(item_of: ItemOf, payload: str) -> None:
    with pytest.raises(ValueError, match="payload"):
        parse_data(item_of(payload, id=IMAGE_ID), **DATA)
    assert not is_verified(item_of(payload, id=IMAGE_ID))
