"""When two spellings of a JID mean the same one."""

from __future__ import annotations

import itertools
import sys

import pytest

from newsstand.jid import MAX_PART, bare, canonical, canonical_bare, prepared

ALIKE = [
    ("pubsub.example.org", ["PUBSUB.EXAMPLE.ORG", "PubSub.Example.org", "pubsub.example.org.", "PubSub.Example.org."]),
    ("juliet@example.org", ["Juliet@Example.org", "JULIET@EXAMPLE.ORG", "juliet@example.org.", "Ｊuliet@example.org"]),
    ("roméo@example.org", ["ROMÉO@example.org", "rome\u0301o@example.org", "ROME\u0301O@Example.ORG"]),
    ("bücher.example", ["BÜCHER.example", "Bu\u0308cher.Example", "xn--bcher-kva.example", "XN--Bcher-KVA.Example"]),
    ("romeo@bücher.example", ["Romeo@xn--bcher-kva.example", "romeo@BÜCHER.EXAMPLE."]),
    ("ﾃｽﾄ@例え.jp", ["テスト@例え.jp", "テスト@xn--r8jz45g.jp"]),
    ("джульетта@example.org", ["ДЖУЛЬЕТТА@example.org", "Джульетта@Example.org"]),
    ("[::1]", ["[::1]"]),
    ("user@[fe80::1]", ["User@[FE80::1]"]),
    ("rom\\20eo@example.org", ["Rom\\20eo@example.org"]),
]
APART = [
    # One kind of server, or both, keep them apart.
    ("straße@example.org", "strasse@example.org"),
    ("straße.example", "strasse.example"),
    ("xn--strae-oqa.example", "strasse.example"),
    ("STRAẞE@example.org", "straße@example.org"),
    ("ODOS@example.org", "ΟΔΟΣ@example.org"),
    ("οδος@example.org", "οδοσ@example.org"),
    ("ΟΔΟΣ@example.org", "οδοσ@example.org"),
    ("ΟΔΟΣ@example.org", "οδος@example.org"),
    ("ılk@example.org", "ilk@example.org"),
    ("İlk@example.org", "ilk@example.org"),
    ("İlk@example.org", "i\u0307lk@example.org"),
    ("ﬁn@example.org", "fin@example.org"),
    ("ſ@example.org", "s@example.org"),
    ("\u212a@example.org", "k@example.org"),
    ("Ⅷ@example.org", "viii@example.org"),
    ("x²@example.org", "x2@example.org"),
    ("Ⴀ@example.org", "ⴀ@example.org"),
    ("ro\u00admeo@example.org", "romeo@example.org"),
    ("ro\u200dmeo.example", "romeo.example"),
    # Look alike.
    ("а@example.org", "a@example.org"),
    ("ο@example.org", "o@example.org"),
    ("e\u0301@example.org", "e@example.org"),
    # Are parted otherwise.
    ("romeo@example.org", "example.org"),
    ("romeo＠example.org", "romeo@example.org"),
    ("romeo@example.org", "romeo@pubsub.example.org"),
    ("example．org", "example.org"),
    ("example。org", "example.org"),
    ("romeo@example.org／x", "romeo@example.org"),
    ("a.b@example.org", "a@b.example.org"),
    # Nothing is stripped but the final dot of a domain.
    (" romeo@example.org", "romeo@example.org"),
    ("romeo @example.org", "romeo@example.org"),
    ("romeo.@example.org", "romeo@example.org"),
    ("romeo@example.org ", "romeo@example.org"),
    ("romeo@example.org\n", "romeo@example.org"),
    ("romeo@example.org..", "romeo@example.org"),
    ("romeo@.example.org", "romeo@example.org"),
    ("romeo@example.org:5222", "romeo@example.org"),
    ("\\20romeo@example.org", " romeo@example.org"),
    # Resources.
    ("romeo@example.org/Balcony", "romeo@example.org/balcony"),
    ("romeo@example.org/x", "romeo@example.org"),
    ("romeo@example.org/", "romeo@example.org"),
    ("romeo@example.org/x.", "romeo@example.org/x"),
    ("romeo@example.org/ｘ", "romeo@example.org/x"),
    ("romeo@example.org/e\u0301", "romeo@example.org/é"),
]
NONE = ["", ".", "..", "@", "@example.org", "romeo@", "Romeo@a@B", "/", "/X", "x..Y", "xn--", "xn--a", "\ud800", "\0"]


@pytest.mark.parametrize(("jid", "other"), [(jid, other) for jid, others in ALIKE for other in (jid, *others)])
def test_spellings_that_mean_the_same_jid_are_one(jid: str, other: str) -> None:
    assert canonical(other) == canonical(jid)
    assert canonical(f"{other}/Balcony") == f"{canonical(jid)}/Balcony"


@pytest.mark.parametrize(("jid", "other"), APART)
def test_two_jids_that_a_server_keeps_apart_stay_two(jid: str, other: str) -> None:
    assert canonical(jid) != canonical(other)


def test_no_spelling_means_two_jids() -> None:
    for (one, others), (two, _) in itertools.permutations(ALIKE, 2):
        assert canonical(two) not in {canonical(jid) for jid in (one, *others)}


@pytest.mark.parametrize("jid", [*NONE, *(jid for pair in APART for jid in pair), *(jid for jid, _ in ALIKE)])
def test_a_canonical_spelling_stays_as_it_is(jid: str) -> None:
    assert canonical(canonical(jid)) == canonical(jid)
    assert canonical_bare(jid) == canonical(bare(jid))


@pytest.mark.parametrize("jid", ["@Example.org", "Romeo@", "Romeo@a@B", "x..Y", "Y.", "Ü" * MAX_PART, "A" * 5000])
def test_what_is_no_jid_or_may_be_none_is_left_or_only_put_in_lower_case(jid: str) -> None:
    assert canonical(jid) in (jid, jid.lower().removesuffix("."))


def test_what_is_too_long_for_a_jid_is_left_alone() -> None:
    for jid in ("É" * MAX_PART + "@example.org", "romeo@" + "É." * MAX_PART, "A" * (3 * MAX_PART)):
        assert canonical(jid) == jid


def test_a_run_of_marks_that_no_language_has_is_left_alone() -> None:
    """Normalising sorts them, in quadratic time."""
    few, many = "a" + "\u0301\u0323" * 15, "a" + "\u0301\u0323" * 16
    assert canonical(f"{few}@example.org") != f"{few}@example.org"
    for marks in (many, "A" + "\u0f73" * 31):
        assert canonical(f"{marks}@example.org") == f"{marks}@example.org"


def test_ascii_needs_no_tables(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in ("stringprep", "encodings.idna"):
        monkeypatch.setitem(sys.modules, module, None)  # importing it would fail
    assert canonical("Tables@Are-Not.Needed/Here") == "tables@are-not.needed/Here"


@pytest.mark.parametrize(
    ("typed", "as_logged_in"),
    [
        ("Straße@example.org", "strasse@example.org"),
        ("ΟΔΟΣ@example.org", "οδοσ@example.org"),
        ("juliet@Straße.example", "juliet@strasse.example"),
        ("Juliet@xn--bcher-kva.example", "juliet@bücher.example"),
        ("pubsub.example.org", "pubsub.example.org"),
        ("É" * MAX_PART + "@x", "É" * MAX_PART + "@x"),
    ],
)
def test_what_a_person_types_is_spelt_as_slixmpp_does(typed: str, as_logged_in: str) -> None:
    assert prepared(typed) == as_logged_in
