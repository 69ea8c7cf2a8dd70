"""Which elements and attributes are named like secrets: passwords, tokens, keys to something. Pure.

What they hold is kept in the raw XML, and nowhere else: it is not parsed, not indexed, and not found by a search.
"""

from __future__ import annotations

import re
from itertools import pairwise
from xml.etree.ElementTree import Element

from newsstand.analysis.folding import fold

_NAMES = (
    "password passwords passwd passwort passphrase passcode pass pwd pw kennwort contrasena senha"
    " secret secrets roomsecret token tokens credential credentials creds otp totp hotp pin puk cvv cvc"
    " apikey apikeys privatekey secretkey accesskey psk jwt bearer cookie mnemonic"
)
_WORDS = frozenset(_NAMES.split())
_PAIRS = frozenset(
    {
        ("api", "key"),
        ("api", "keys"),
        ("private", "key"),
        ("secret", "key"),
        ("access", "key"),
        ("auth", "key"),
        ("recovery", "key"),
        ("recovery", "code"),
        ("pass", "word"),
        ("pass", "phrase"),
        ("seed", "phrase"),
        ("text", "private"),  # XEP-0004, 3.3: a field of a form that is not shown while it is written
    }
)
_NAMING_ATTRIBUTES = ("name", "var", "key", "type", "field")
"""Attributes that may say what an element holds, as in `<field var="password"/>`."""

_PART = re.compile(r"[^\W\d_]+")
_CAMEL = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")
_LONGEST = 200
"""Characters that are examined of a name, from its start and from its end."""


def is_secret_name(name: str) -> bool:
    """Whether one of the parts of a name is a word for a secret: `password`, `api-key`, `accessToken`, `DB_PASSWD`;
    not `passage`, nor `pinned`. Case makes no difference, but where it parts words."""
    if len(name) > 2 * _LONGEST:
        name = f"{name[:_LONGEST]} {name[-_LONGEST:]}"
    return any(map(_has_secret_part, {name, _CAMEL.sub(" ", name)}))


def _has_secret_part(name: str) -> bool:
    parts = _PART.findall(fold(name))
    return not _WORDS.isdisjoint(parts) or not _PAIRS.isdisjoint(pairwise(parts))


class Naming:
    """Finds the elements of payloads that are named like secrets. Each name is examined once, and remembered: what
    strangers sent decides how many there are, so one object serves one batch of items at most."""

    def __init__(self) -> None:
        self._known: dict[str, bool] = {}

    def is_secret(self, element: Element) -> bool:
        """Whether it holds a secret, as its name says, or an attribute that says what it holds."""
        if self._is(element.tag):
            return True
        if not element.attrib:
            return False
        return any(
            self._is_told(value) for name in _NAMING_ATTRIBUTES if (value := element.attrib.get(name)) is not None
        )

    def _is(self, tag: str) -> bool:
        known = self._known.get(tag)
        if known is None:
            known = self._known[tag] = is_secret_name(tag[tag.rfind("}") + 1 :])
        return known

    @staticmethod
    def _is_told(value: str) -> bool:
        """A value with white space in it is a text, not a name."""
        return len(value) <= _LONGEST and not any(map(str.isspace, value)) and is_secret_name(value)
