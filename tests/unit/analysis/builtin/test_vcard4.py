from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from newsstand.analysis.builtin.vcard4 import NAMESPACE, NODE, parse_vcard4, parse_vcard4_and_more

if TYPE_CHECKING:
    from tests.unit.analysis.builtin.conftest import ItemOf

FULL = """
    <fn><text>Juliet  Capulet</text></fn>
    <n><surname>Capulet</surname><given>Juliet</given><additional>A.</additional><additional>B.</additional></n>
    <nickname><text>Jule</text><text>the lark</text></nickname>
    <nickname><text>Jule</text></nickname>
    <photo><uri>https://capulet.example/juliet.jpg</uri></photo>
    <bday><date>--0731</date></bday>
    <adr>
      <parameters><type><text>Home</text></type><pref><integer>1</integer></pref></parameters>
      <pobox/><street>Via Cappello 23</street><locality>Verona</locality><code>37121</code>
      <country>Italy</country>
    </adr>
    <adr><parameters><type><text>work</text></type></parameters><street/></adr>
    <tel>
      <parameters><type><text>home</text><text>voice</text></type><pref>2</pref></parameters>
      <uri>tel:+39-045-555-0100</uri>
    </tel>
    <tel><text>ask the nurse</text></tel>
    <email><parameters><pref><integer>1000</integer></pref></parameters><text>j@capulet.example</text></email>
    <url><uri>https://capulet.example/</uri></url>
    <impp><uri>xmpp:juliet@capulet.example</uri><uri>sip:juliet@capulet.example</uri></impp>
    <org><text>House of Capulet</text></org>
    <gender><sex><text>F</text></sex></gender>
    <note><text>
        Wherefore
        indeed
    </text></note>
    <rev><timestamp>20240309T170500Z</timestamp></rev>
    <key><uri>data:application/pgp-keys;base64,a2V5</uri></key>
"""


def vcard(item_of: ItemOf, inner: str) -> dict[str, Any]:
    item = item_of(f'<vcard xmlns="{NAMESPACE}">{inner}</vcard>')
    return parse_vcard4(item, service="juliet@capulet.example", node=NODE)


def test_a_whole_card(item_of: ItemOf) -> None:
    assert vcard(item_of, FULL) == {
        "fn": "Juliet Capulet",
        "n": {"surname": "Capulet", "given": "Juliet", "additional": "A. B."},
        "nickname": ["Jule", "the lark"],
        "photo": [{"uri": "https://capulet.example/juliet.jpg"}],
        "bday": "--0731",
        "adr": [
            {
                "street": "Via Cappello 23",
                "locality": "Verona",
                "code": "37121",
                "country": "Italy",
                "type": ["home"],
                "pref": 1,
            }
        ],
        "tel": [
            {"value": "tel:+39-045-555-0100", "type": ["home", "voice"], "pref": 2},
            {"value": "ask the nurse"},
        ],
        "email": [{"value": "j@capulet.example"}],
        "url": ["https://capulet.example/"],
        "impp": ["xmpp:juliet@capulet.example", "sip:juliet@capulet.example"],
        "org": ["House of Capulet"],
        "gender": {"sex": "F"},
        "note": "Wherefore indeed",
        "updated": "2024-03-09T17:05:00Z",
    }


def test_an_empty_card_says_nothing(item_of: ItemOf) -> None:
    assert vcard(item_of, "") == {}
    assert vcard(item_of, "<fn/><n/><adr/><tel><parameters/></tel><nickname><text> </text></nickname>") == {}


def test_the_preferred_of_several_names_counts_and_else_the_first(item_of: ItemOf) -> None:
    unmarked = "<fn><text>One</text></fn><fn><text>Two</text></fn>"
    marked = "<fn><parameters><pref><integer>3</integer></pref></parameters><text>Three</text></fn>"
    assert vcard(item_of, unmarked)["fn"] == "One"
    assert vcard(item_of, unmarked + marked)["fn"] == "Three"
    assert vcard(item_of, "<fn><text/></fn>" + unmarked)["fn"] == "One"


def test_an_image_inside_the_card_is_only_mentioned(item_of: ItemOf) -> None:
    image = "QUJD" * 10_000
    parsed = vcard(
        item_of, f"<photo><uri>data:Image/JPEG;base64,{image}</uri></photo><photo><uri>data:,x</uri></photo>"
    )
    assert parsed == {"photo": [{"inline": True, "type": "image/jpeg"}, {"inline": True}]}


def test_values_that_were_not_wrapped_are_read_too(item_of: ItemOf) -> None:
    parsed = vcard(item_of, "<fn>Juliet</fn><adr><locality><text>Verona</text></locality></adr>")
    assert parsed == {"fn": "Juliet", "adr": [{"locality": "Verona"}]}


def test_properties_in_a_group_count(item_of: ItemOf) -> None:
    parsed = vcard(item_of, '<group name="home"><email><text>j@capulet.example</text></email></group>')
    assert parsed == {"email": [{"value": "j@capulet.example"}]}


def test_properties_of_other_namespaces_do_not(item_of: ItemOf) -> None:
    assert vcard(item_of, '<fn xmlns="urn:other"><text>Romeo</text></fn>') == {}


def test_parameters_are_no_value(item_of: ItemOf) -> None:
    assert vcard(item_of, "<tel><parameters><type><text>home</text></type></parameters></tel>") == {}


def test_what_no_field_holds_is_kept_beside_them(item_of: ItemOf) -> None:
    inner = f"""{FULL}<note><text>Another</text></note><hobby><text>larks</text></hobby>
        <adr><parameters><label><text>By the orchard wall</text></label></parameters></adr>
        <x-api-token><text>secret</text></x-api-token><fn xmlns="urn:other"><text>Romeo</text></fn>"""
    item = item_of(f'<vcard xmlns="{NAMESPACE}">{inner}</vcard>')
    parsed = parse_vcard4_and_more(item, service="juliet@capulet.example", node=NODE)
    assert parsed.pop("more") == ["Another", "larks", "By the orchard wall", "Romeo"]
    assert parsed == vcard(item_of, inner)


def test_many_values_with_many_types_do_not_multiply(item_of: ItemOf) -> None:
    types = "".join(f"<text>t{n}</text>" for n in range(500))
    values = "".join(f"<uri>tel:{n}</uri>" for n in range(500))
    parsed = vcard(item_of, f"<tel><parameters><type>{types}</type></parameters>{values}</tel>")
    assert len(str(parsed)) < 10_000


def test_the_list_of_cards_of_rfc_6351_is_another_payload(item_of: ItemOf) -> None:
    with pytest.raises(ValueError, match="vcards"):
        parse_vcard4(item_of(f'<vcards xmlns="{NAMESPACE}"><vcard/></vcards>'), service="s", node=NODE)
