"""XEP-0080 locations, as blog posts carry them."""

from __future__ import annotations

from xml.etree.ElementTree import Element

from newsstand.analysis.builtin._dates import date_time
from newsstand.analysis.builtin._payload import JSON, XML_LANG, add, children, collapse, decimal, own_text

NAMESPACE = "http://jabber.org/protocol/geoloc"
_PREFIX = f"{{{NAMESPACE}}}"
GEOLOC = f"{_PREFIX}geoloc"
_TEXT_NAMES = (
    "area building country countrycode datum description floor locality postalcode region regioncode room"
    " street text tzo uri"
)
_TEXTS = frozenset(_TEXT_NAMES.split())
_PROGRAMS_TEXT_NAMES = ("countrycode", "datum", "regioncode", "tzo", "uri")
_NUMBERS = {
    "accuracy": (0.0, 1e9),
    "alt": (-1e9, 1e9),
    "altaccuracy": (0.0, 1e9),
    "bearing": (-360.0, 360.0),
    "error": (0.0, 1e9),
    "lat": (-90.0, 90.0),
    "lon": (-180.0, 180.0),
    "speed": (-1e9, 1e9),
}

FOR_PEOPLE = tuple(sorted(_TEXTS.difference(_PROGRAMS_TEXT_NAMES)))
"""The fields that people read."""
FOR_PROGRAMS = tuple(f"{_PREFIX}{name}" for name in (*_PROGRAMS_TEXT_NAMES, *_NUMBERS, "timestamp"))
"""The tags of the elements that they do not."""


def parse_geoloc(geoloc: Element) -> JSON:
    """The fields of a `<geoloc/>` under their own names (XEP-0080, 3): numbers as floats, `timestamp` as a
    date, the others as text, and `lang`. A number out of its range, or none, is left out. Of several elements
    of a kind the first usable one counts."""
    result: JSON = {}
    for child in children(geoloc):
        if not child.tag.startswith(_PREFIX) or (name := child.tag.removeprefix(_PREFIX)) in result:
            continue
        if name in _NUMBERS:
            add(result, name, decimal(own_text(child), *_NUMBERS[name]))
        elif name in _TEXTS:
            add(result, name, own_text(child))
        elif name == "timestamp":
            add(result, name, date_time(own_text(child)))
    if result:
        add(result, "lang", collapse(geoloc.get(XML_LANG)))
    return result
