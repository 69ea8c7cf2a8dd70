"""How text is cut into words for search."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from typing import Any

import pytest

from newsstand.analysis.words import MAX_TERMS, MAX_TEXT, MAX_WORD, cut_terms, terms_of, terms_of_xml, words

TSVECTOR_BYTES = 1_048_575


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", []),
        (" \t\n", []),
        ("But soft! What light?", ["but", "soft", "what", "light"]),
        ("C++ and R&D, node:x -y NEAR(z", ["c", "and", "r", "d", "node", "x", "y", "near", "z"]),
        ('an "open quote', ["an", "open", "quote"]),
        ("snake_case", ["snake", "case"]),
        ("XEP-0060", ["xep", "0060"]),
        ("\0NUL\ud800half", ["nul", "half"]),
    ],
)
def test_a_word_is_a_run_of_letters_and_digits(text: str, expected: list[str]) -> None:
    assert words(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("CAFÉ café cafe\u0301", ["cafe", "cafe", "cafe"]),
        ("Ærøskøbing Ångström", ["ærøskøbing", "angstrom"]),
        ("Straße STRASSE", ["strasse", "strasse"]),
        ("İstanbul", ["istanbul"]),
        ("ΣΊΣΥΦΟΣ Σίσυφος", ["σισυφοσ", "σισυφοσ"]),
        ("ﬁne ½ ① \uff46\uff55\uff4c\uff4c", ["fine", "1", "2", "1", "full"]),
        ("Ёлка ёлка", ["елка", "елка"]),
        ("שָׁלוֹם", ["שלום"]),
        ("مُحَمَّد", ["محمد"]),
    ],
)
def test_case_and_diacritics_are_folded(text: str, expected: list[str]) -> None:
    assert words(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("日本語", ["日", "本", "語"]),
        ("Pub日Sub", ["pub", "日", "sub"]),
        ("がぎ ｶﾞ", ["か", "き", "カ"]),
        ("\U00020000\U0002a6df", ["\U00020000", "\U0002a6df"]),
        ("豈", ["豈"]),
    ],
)
def test_an_ideograph_is_a_word_of_its_own(text: str, expected: list[str]) -> None:
    assert words(text) == expected


@pytest.mark.parametrize("word", ["हिन्दी", "ไทยนี้", "தமிழ்", "한국어", "co\u00adoperate", "naïve"])
def test_signs_within_a_word_do_not_cut_it(word: str) -> None:
    assert len(words(word)) == 1
    assert words(f"a {word} b") == ["a", *words(word), "b"]


def test_different_words_of_a_script_with_vowel_signs_stay_different() -> None:
    assert words("दिन") != words("दान")


def test_a_long_word_is_cut_and_the_rest_of_it_is_no_word() -> None:
    assert words("x" * 1_000 + " y") == ["x" * MAX_WORD, "y"]


def test_the_texts_of_parsed_data_are_words_wherever_they_stand() -> None:
    parsed = {
        "title": "One",
        "authors": [{"name": "Two"}, "Three"],
        "n": 4,
        "no": None,
        "yes": True,
        "deep": {"er": "5"},
    }
    assert terms_of(parsed) == "one two three 5"


def test_texts_that_stand_beside_each_other_do_not_run_together() -> None:
    assert terms_of({"a": ["un", "do"]}) == "un do"


def test_markup_is_left_out_because_it_stands_there_as_text_too() -> None:
    parsed = {
        "content": "soft",
        "content_xhtml": '<div class="loud">soft</div>',
        "inner": {"summary_html": "<b>loud</b>", "html": "kept", "xhtml_": "kept"},
    }
    assert terms_of(parsed) == "soft kept kept"


def item(inner: str) -> ET.Element:
    return ET.fromstring(f'<item xmlns="http://jabber.org/protocol/pubsub" id="hidden">{inner}</item>')


def test_a_payload_that_no_parser_knows_gives_the_words_of_its_texts() -> None:
    found = terms_of_xml(item('<x xmlns="urn:x" a="attribute">one<b>two</b>three<c><d>four</d></c></x>'))
    assert sorted(found.split()) == ["four", "one", "three", "two"]


def test_attributes_that_people_read_are_found_and_others_are_not() -> None:
    attributes = {"title": "one", "alt": "two", "label": "three", "href": "no", "type": "no", "id": "no", "n": "no"}
    given = " ".join(f'{name}="{value}"' for name, value in attributes.items())
    assert terms_of_xml(item(f"<x {given}/>")) == "one two three"


def test_only_the_fields_given_are_words() -> None:
    parsed = {
        "title": "One",
        "kind": "entry",
        "author": {"name": "Two", "uri": "no"},
        "authors": [{"name": "Three", "names": ["Four", {"x": "Five"}]}, {"uri": "no"}, "no"],
        "geo": {"lat": 1.5, "place": {"here": "Six", "here_xhtml": "no"}},
        "lists": [[{"name": "no"}]],
    }
    fields = ("title", "author.name", "authors.name", "authors.names", "geo", "missing", "title.none", "lists.name")
    assert terms_of(parsed, fields) == "one two three four five six"
    assert terms_of(parsed, ()) == ""


@pytest.mark.parametrize(
    "secret",
    [
        "<passwd>hunter2</passwd>",
        "<credentials><b title='hunter2'>hunter2</b>hunter2</credentials>",
        "<api-key title='hunter2'/>",
        "<userPassword xmlns='urn:y'>hunter2</userPassword>",
        "<field var='api_token'><value>hunter2</value></field>",
        "<field type='text-private' var='x'><value>hunter2</value></field>",
        "<x otp='hunter2' password='hunter2'/>",
        "<password>hunter2</password>",
        "<Password xmlns='urn:y'>hunter2</Password>",
        "<PASSWORD><b>hunter2</b>hunter2</PASSWORD>",
        "<conference xmlns='urn:xmpp:bookmarks:1'><nick>a</nick><password>hunter2</password></conference>",
    ],
)
def test_a_password_gives_no_words_and_the_text_after_it_does(secret: str) -> None:
    found = terms_of_xml(item(f'<x xmlns="urn:x">before {secret} after</x>')).split()
    assert "hunter2" not in found
    assert {"before", "after"} <= set(found)


def test_whether_all_words_were_kept_is_told() -> None:
    fits = "x" * (MAX_TERMS // 5 - 1)
    assert cut_terms([" ".join(fits[at : at + MAX_WORD - 1] for at in range(0, len(fits), MAX_WORD))] * 5).whole
    many = [f"{number:09}" for number in range(MAX_TERMS // 10)]
    assert cut_terms(many) == (" ".join(many), True)
    assert cut_terms([*many, "x"]) == (" ".join(many), False)
    assert cut_terms([*many[:-1], f"{many[-1]} x"]) == (" ".join(many), False)


def test_a_text_beyond_a_size_has_no_words_and_those_beside_it_have() -> None:
    longest = "a " * (MAX_TEXT // 2)
    assert cut_terms(["title", longest, "tag"]) == (f"title {longest}tag", True)
    assert cut_terms(["title", f"{longest}b", "tag"]) == ("title tag", False)
    parsed: dict[str, Any] = {"title": "Moon", "body": "b" * (MAX_TEXT + 1), "tags": ["light"]}
    assert terms_of(parsed) == "moon light"
    assert terms_of_xml(item(f"<x xmlns='urn:x' title='Moon'><b>{'b ' * MAX_TEXT}</b>light</x>")) == "moon light"


@pytest.mark.parametrize("letter", ["a", "é", "한", "ह", "日", "\U00010428"])
def test_the_words_of_one_item_fit_into_what_a_database_indexes(letter: str) -> None:
    many: list[Any] = [f"{letter * 20}{number:06}" for number in range(25_000)]
    found = terms_of({"texts": many})
    assert len(found) <= MAX_TERMS
    assert len(found.encode()) <= TSVECTOR_BYTES
    assert found.split() == words(" ".join(many))[: len(found.split())]


def test_the_words_of_a_deep_payload_need_no_recursion() -> None:
    root = inner = item("")
    for _ in range(5_000):
        inner = ET.SubElement(inner, "a")
    inner.text = "bottom"
    assert terms_of_xml(root) == "bottom"
    parsed: Any = "bottom"
    for _ in range(5_000):
        parsed = [parsed]
    assert terms_of({"a": parsed}) == "bottom"
