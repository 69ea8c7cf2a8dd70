"""JIDs, and when two spellings mean the same one (RFC 7622; docs/decisions/014-addresses.md). Pure.

A server hands on what others wrote: `PubSub.Example.org` in a message is the service that a program calls
`pubsub.example.org`. So JIDs are compared by their canonical spelling, everywhere. Rules:

- Two JIDs have one canonical spelling only if both kinds of server take them for one: those that follow RFC 7622
  (PRECIS, IDNA2008), and those that follow RFC 6122 (stringprep, IDNA2003), as most do. `straße` and `strasse` are
  two, for the first kind keeps them apart; `ΟΔΟΣ` and `οδοσ` are, for the first kind may.
- But the two forms of a label that is not ASCII, `bücher` and `xn--bcher-kva`, are one: they are one name in DNS.
- What is no JID, or too long for one, stays as it is. Nothing here raises.
- The resource is left alone: it is case-sensitive.

Servers of the second kind know no character that came after Unicode 3.2, and so a canonical spelling does not depend on
the version that Python knows: it may be stored.
"""

from __future__ import annotations

import unicodedata
from functools import lru_cache

MAX_PART = 1023
"""Bytes of a localpart, and of a domainpart (RFC 7622, 3.1)."""
_LONGEST = 2 * MAX_PART + 1
_MAX_NAME = 253
"""Characters of a name in DNS. Only in such are labels decoded, which takes time."""
_MAX_MARKS = 30
"""Combining marks in a row: of more, as no language has, nothing is normalised, which takes quadratic time."""
_CACHED = 4096
_NOT_IN_LOCAL = frozenset("\"&'/:<>@ ")
_NOT_IN_LABEL = frozenset("\"&'/:<>@ .")
_ACE = "xn--"
"""What the ASCII form of a label that is not ASCII begins with (RFC 5890, 2.3.2.1)."""
_MAX_ACE = 63
"""Characters of a label in DNS: no longer one is decoded."""


def bare(jid: str) -> str:
    """Without the resource, spelt as it was."""
    return jid.partition("/")[0]


def canonical(jid: str) -> str:
    """The spelling that stands for all spellings of this JID. A resource stays as it is."""
    address, slash, resource = jid.partition("/")
    return canonical_bare(address) + slash + resource


def canonical_bare(jid: str) -> str:
    """The canonical spelling of the bare JID."""
    address = jid.partition("/")[0]
    return _canonical(address) if len(address) <= _LONGEST else address


def usual_bare(jid: str) -> str:
    """The bare JID as servers spell it that go by RFC 6122: canonical, but for labels in the ASCII form of DNS, which
    they leave. Such a server knows itself, and others, by one of the two forms only."""
    address = jid.partition("/")[0]
    return _usual(address) if len(address) <= _LONGEST else address


@lru_cache(_CACHED)
def _canonical(address: str) -> str:
    """RFC 7622, 3.2: as U-labels."""
    usual = _usual(address)
    local, at, domain = usual.rpartition("@")
    if _ACE not in domain or len(domain) > _MAX_NAME or "@" in local:
        return usual
    return f"{local}{at}{'.'.join(map(_decoded, domain.split('.')))}"


def _decoded(label: str) -> str:
    if not label.startswith(_ACE) or len(label) > _MAX_ACE:
        return label
    import encodings.idna  # costs 10 ms: only programs that meet such names pay

    try:
        decoded = encodings.idna.ToUnicode(label)
    except UnicodeError:
        return label  # it stands for something else in IDNA2003 than in IDNA2008, or for nothing
    sure = decoded == _mapped(decoded) and _is_old(decoded) and not _NOT_IN_LABEL.intersection(decoded)
    return decoded if sure else label


@lru_cache(_CACHED)
def _usual(address: str) -> str:
    local, at, domain = address.partition("@")
    if not at:
        local, domain = "", address
    labels = domain.removesuffix(".").split(".")  # RFC 7622, 3.2: a final dot does not count
    if not all(labels) or "@" in domain or (at and not local) or max(map(_size, (local, domain))) > MAX_PART:
        return address
    domain = ".".join(_mapped_surely(label, _NOT_IN_LABEL) for label in labels)
    return f"{_mapped_surely(local, _NOT_IN_LOCAL)}{at}{domain}"


def _size(part: str) -> int:
    return len(part) if part.isascii() else len(part.encode("utf-8", "surrogatepass"))


def _mapped_surely(part: str, excluded: frozenset[str]) -> str:
    """A localpart, or a label, as all servers map it; as it is where they may differ."""
    if part.isascii():
        return part.lower()
    if _has_many_marks(part):
        return part
    mapped = _mapped(part)
    if mapped is None or _mapped(mapped) != mapped or not _is_old(part + mapped):
        return part
    if excluded.intersection(mapped) - excluded.intersection(part):
        return part  # the wide form of a sign that means something
    return mapped if _prepared(mapped) == _prepared(part) else part


def _has_many_marks(part: str) -> bool:
    marks = 0
    for character in part:
        marks = marks + 1 if unicodedata.category(character).startswith("M") else 0
        if marks > _MAX_MARKS:
            return True
    return False


def _mapped(part: str) -> str | None:
    """By the mappings of UsernameCaseMapped (RFC 8265, 3.3), which are those of U-labels, too: width, case, NFC. None
    where the profile does not allow a character, or implementations differ in how they map it: a final sigma, and
    what is more than one character in lower case."""
    wide = "".join(_of_usual_width(character) for character in part)
    lower = [character.lower() for character in wide]
    mapped = "".join(lower)
    if any(len(character) != 1 for character in lower) or mapped != wide.lower():
        return None
    if any(unicodedata.normalize("NFKC", character) != character for character in wide if not character.isascii()):
        return None  # RFC 8264, 9.17: what is only a form of something else
    return unicodedata.normalize("NFC", mapped)


def _of_usual_width(character: str) -> str:
    if character.isascii():
        return character
    kind, _, codes = unicodedata.decomposition(character).partition(" ")
    return "".join(chr(int(code, 16)) for code in codes.split()) if kind in ("<wide>", "<narrow>") else character


def _is_old(part: str) -> bool:
    """Whether all of it was assigned in Unicode 3.2, which stringprep and IDNA2003 know. What came later, servers of
    the other kind map alone."""
    import stringprep  # costs 10 ms: only programs that meet such names pay

    return part.isascii() or not any(map(stringprep.in_table_a1, part))


def prepared(jid: str) -> str:
    """The bare JID as servers and libraries that go by RFC 6122 map it: what slixmpp makes of an account that it logs
    in to. Coarser than `canonical`: only for what a person types."""
    address = bare(jid)
    local, at, domain = address.rpartition("@")
    if max(map(_size, (local, domain))) > MAX_PART:
        return address
    return canonical_bare(f"{_prepared(local)}{at}{_prepared(domain)}")


def _prepared(part: str) -> str:
    """By the mappings of Nodeprep and Nameprep (RFC 3454, B.1 and B.2, NFKC of Unicode 3.2)."""
    if part.isascii():
        return part.lower()
    import stringprep

    mapped = "".join(stringprep.map_table_b2(character) for character in part if not stringprep.in_table_b1(character))
    return unicodedata.ucd_3_2_0.normalize("NFKC", mapped)


def host_of(service: str) -> str:
    """What a service, by its bare JID, is one with: `@domain` for the PEP services of a domain's accounts, which are
    one piece of software on one machine; for any other the service itself."""
    local, at, domain = service.rpartition("@")
    return f"@{domain}" if at and local else service
