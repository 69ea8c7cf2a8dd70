"""Canonical spellings, whatever comes."""

from __future__ import annotations

import unicodedata

from hypothesis import example, given
from hypothesis import strategies as st
from slixmpp.jid import JID, InvalidJID

from newsstand.jid import bare, canonical, canonical_bare, prepared, usual_bare

LETTERS = "aAzZ0-.éÉe\u0301ßẞıİſﬁΣσςΩ\u2126\u212aǅдДａＡｶﾞカ゛ガ例ა\u00ad\u200d＠．。／ \\xn"
texts = st.one_of(st.text(alphabet=LETTERS, max_size=12), st.text(max_size=8))
domains = st.one_of(
    texts,
    st.lists(st.sampled_from(["Example", "org", "xn--bcher-kva", "XN--STRAE-OQA", "BÜCHER", "", "x"]), max_size=3).map(
        ".".join
    ),
)
jids = st.one_of(
    st.text(max_size=20),
    domains,
    st.builds("{}@{}".format, texts, domains),
    st.builds("{}@{}/{}".format, texts, domains, texts),
)


def spellings(jid: str) -> st.SearchStrategy[str]:
    """Of the same JID perhaps, and perhaps not."""
    return st.sampled_from(
        [
            jid,
            jid.upper(),
            jid.lower(),
            jid.title(),
            jid.casefold(),
            *(unicodedata.normalize(form, jid) for form in ("NFC", "NFD", "NFKC", "NFKD")),
            jid + ".",
            jid.replace("ü", "ue"),
        ]
    )


def by_slixmpp(jid: str) -> str | None:
    """As slixmpp spells it: by RFC 6122, as most servers do. None where it is no JID."""
    try:
        return str(JID(jid)).removesuffix(".")  # which it leaves behind an IPv4 address
    except (InvalidJID, UnicodeEncodeError):
        return None


@given(jids)
def test_a_canonical_spelling_is_its_own(jid: str) -> None:
    spelt = canonical(jid)
    assert canonical(spelt) == spelt
    assert canonical_bare(jid) == bare(spelt) == canonical(bare(jid))
    assert prepared(prepared(jid)) == prepared(jid)


@given(jids)
def test_the_resource_is_left_alone(jid: str) -> None:
    assert canonical(jid).partition("/")[2] == jid.partition("/")[2]


@given(jids.flatmap(lambda jid: st.tuples(st.just(jid), spellings(jid))))
@example(("straße@x", "STRASSE@x"))
@example(("xn--strae-oqa.de", "strasse.de"))
def test_what_is_one_for_us_is_one_for_slixmpp(pair: tuple[str, str]) -> None:
    """And so for the servers that go by RFC 6122, but that they do not decode the labels of DNS. The other way round it
    need not be: they take for one what those that go by RFC 7622 keep apart."""
    one, two = pair
    if usual_bare(one) == usual_bare(two):
        assert by_slixmpp(bare(one)) == by_slixmpp(bare(two)) or _is_refused(one) or _is_refused(two)


def _is_refused(jid: str) -> bool:
    """slixmpp refuses one spelling of some JIDs and takes another: it looks whether labels are fit for DNS before they
    are mapped."""
    return by_slixmpp(bare(jid)) is None


@given(jids)
def test_slixmpp_takes_the_usual_spelling_for_the_same(jid: str) -> None:
    if (theirs := by_slixmpp(bare(jid))) is not None:
        assert by_slixmpp(usual_bare(jid)) == theirs


@given(jids)
@example("juliet@xn--bcher-kva.example")
def test_but_for_labels_of_dns_the_usual_spelling_is_the_canonical_one(jid: str) -> None:
    usual, spelt = usual_bare(jid), canonical_bare(jid)
    assert usual_bare(usual) == usual
    assert canonical_bare(usual) == spelt
    assert usual == spelt or "xn--" in usual


@given(st.text(alphabet=st.characters(max_codepoint=127), max_size=20))
def test_in_ascii_slixmpp_spells_as_we_do(jid: str) -> None:
    if (theirs := by_slixmpp(bare(jid))) is not None:
        assert usual_bare(jid) == theirs
