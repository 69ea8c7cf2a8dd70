"""XEP-0292, vCard4 over XMPP (the XML form of RFC 6351)."""

from __future__ import annotations

from collections.abc import Iterator
from xml.etree.ElementTree import Element

from newsstand.analysis.builtin._dates import date_time
from newsstand.analysis.builtin._markup import tree_text
from newsstand.analysis.builtin._more import add_more, texts_around, texts_in
from newsstand.analysis.builtin._payload import JSON, add, children, integer, own_text, payload_of

NAMESPACE = "urn:ietf:params:xml:ns:vcard-4.0"
NODE = "urn:xmpp:vcard4"
VCARD = f"{{{NAMESPACE}}}vcard"

_ONCE = ("fn", "bday", "anniversary", "kind", "note", "title", "role", "tz", "geo")
"""One value: the preferred one, or else the first."""

_LISTS = ("nickname", "org", "url", "impp", "lang", "categories")
"""Every value, as text."""

_TYPED = ("tel", "email")
"""Of every property its value, with what it is for: `{value, type?, pref?}`."""

_NAME_PARTS = ("surname", "given", "additional", "prefix", "suffix")
_ADDRESS_PARTS = ("pobox", "ext", "street", "locality", "region", "code", "country")


WORDS = (
    *("fn", "nickname", "note", "title", "role", "org", "categories"),
    *("n", "gender.identity", "tel.value", "email.value"),
    *(f"adr.{name}" for name in _ADDRESS_PARTS),
    "more",
)
"""The fields that people read."""
_PROGRAMS_NAMES = (
    "anniversary bday caladruri caluri clientpidmap deathdate fburl geo impp key kind lang logo member photo prodid rev"
    " sex sound source tz uid url"  # properties
    " altid calscale language mediatype pid pref sort-as type"  # parameters
)
_FOR_PROGRAMS = frozenset(f"{{{NAMESPACE}}}{name}" for name in _PROGRAMS_NAMES.split())
"""Elements that people do not read."""


def parse_vcard4(item: Element, *, service: str, node: str) -> JSON:
    """XEP-0292, 3 and 4.1: a dict of the properties that are in use, each under its vCard name:

    - text: `fn`, `bday`, `anniversary`, `kind`, `note`, `title`, `role`, `tz`, `geo` (dates as they are
      written: vCards know days without a year);
    - lists of text: `nickname`, `org`, `url`, `impp`, `lang`, `categories`;
    - `n` `{surname?, given?, additional?, prefix?, suffix?}`; `gender` `{sex?, identity?}`;
    - `tel` and `email`, lists of `{value, type?: […], pref?}`; `adr`, a list of `{pobox?, ext?, street?,
      locality?, region?, code?, country?, type?: […], pref?}`;
    - `photo`, a list of `{uri}`, or `{inline: true, type?}` where the image is in the vCard itself;
    - `updated`, from `rev`.

    Properties not named here are not read. Raises ValueError when the item does not hold one `<vcard/>`.
    """
    properties: dict[str, list[Element]] = {}
    for element in _properties(payload_of(item, VCARD)):
        properties.setdefault(element.tag.removeprefix(f"{{{NAMESPACE}}}"), []).append(element)
    result: JSON = {}
    for name in _ONCE:
        add(result, name, _preferred(properties.get(name, [])))
    for name in _LISTS:
        values = (value for element in properties.get(name, ()) for value in _values(element))
        add(result, name, list(dict.fromkeys(values)))
    for name in _TYPED:
        add(result, name, [typed for e in properties.get(name, ()) if (typed := _typed(e))])
    add(result, "n", _parts(properties.get("n", [])[:1], _NAME_PARTS))
    add(result, "gender", _parts(properties.get("gender", [])[:1], ("sex", "identity")))
    add(result, "adr", [address for e in properties.get("adr", ()) if (address := _address(e))])
    add(result, "photo", [_photo(value) for e in properties.get("photo", ()) for value in _values(e)])
    add(result, "updated", date_time(_preferred(properties.get("rev", []))))
    return result


def parse_vcard4_and_more(item: Element, *, service: str, node: str) -> JSON:
    """The same, with what else a person wrote there at `more`, a list of texts: of properties that no field is for, and
    the further values of those of which one counts."""
    result = parse_vcard4(item, service=service, node=node)
    payload = payload_of(item, VCARD)
    return add_more(result, WORDS, [*texts_in([payload], _FOR_PROGRAMS), *texts_around(item, payload)])


def _properties(vcard: Element) -> Iterator[Element]:
    """The properties, also those inside a `<group/>` (RFC 6351, 5.4.2; groups do not nest)."""
    for child in children(vcard):
        if child.tag == f"{{{NAMESPACE}}}group":
            yield from children(child)
        else:
            yield child


def _values(element: Element) -> list[str]:
    """The texts of the value elements (`text`, `uri`, `date` …), or the text of the property itself where its
    publisher forgot to wrap it."""
    wrapped = [child for child in children(element) if child.tag != f"{{{NAMESPACE}}}parameters"]
    texts = [tree_text(child) for child in wrapped] or [own_text(element)]
    return [text for text in texts if text]


def _preferred(elements: list[Element]) -> str | None:
    """The first value of the property with the lowest `pref`; one without comes last (RFC 6350, 5.3)."""
    valued = [typed for element in elements if (typed := _typed(element))]
    best = min(valued, key=lambda typed: int(typed.get("pref", 101)), default=None)
    return None if best is None else str(best["value"])


def _parameters(element: Element) -> JSON:
    """`{type?: […], pref?}` (RFC 6351, 5). XEP-0292's examples also write `pref` without its `<integer/>`."""
    result: JSON = {}
    for parameters in children(element):
        if parameters.tag != f"{{{NAMESPACE}}}parameters":
            continue
        for parameter in children(parameters):
            if parameter.tag == f"{{{NAMESPACE}}}type":
                add(result, "type", [text.lower() for text in _values(parameter)])
            elif parameter.tag == f"{{{NAMESPACE}}}pref":
                add(result, "pref", integer(tree_text(parameter), 1, 100))
    return result


def _parts(elements: list[Element], names: tuple[str, ...]) -> JSON:
    """The components of a structured property; a component given more than once is joined by spaces."""
    result: JSON = {}
    for element in elements:
        texts: dict[str, list[str]] = {}
        for child in children(element):
            texts.setdefault(child.tag.removeprefix(f"{{{NAMESPACE}}}"), []).append(tree_text(child))
        for name in names:
            add(result, name, " ".join(filter(None, texts.get(name, ()))))
    return result


def _typed(element: Element) -> JSON:
    values = _values(element)
    return {"value": values[0], **_parameters(element)} if values else {}


def _address(element: Element) -> JSON:
    parts = _parts([element], _ADDRESS_PARTS)
    return parts | _parameters(element) if parts else {}


def _photo(value: str) -> JSON:
    """Images inside the vCard (RFC 2397) are not copied: they may be as large as the item."""
    if value[:5].lower() != "data:":
        return {"uri": value}
    photo: JSON = {"inline": True}
    add(photo, "type", value[5:105].partition(",")[0].partition(";")[0].lower())
    return photo
