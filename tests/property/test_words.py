"""Words are cut the same way, whatever the text is made of."""

from __future__ import annotations

import unicodedata
from typing import Any
from unittest import mock

from hypothesis import given
from hypothesis import strategies as st

from newsstand.analysis.words import MAX_TERMS, MAX_WORD, terms_of, words

IDEOGRAPHS = (("\u3040", "\u30ff"), ("\u3400", "\u9fff"), ("\U00020000", "\U0003ffff"))
MARKS = "a\u03b1日\u0301\u0345\u0327\u0f73\u0f75\u0344\u3099\uff9e\u093e\u0903\u20dd \u00ad\u1fb3\u00a8"
texts = st.text(st.one_of(st.characters(), st.sampled_from("aÄéß日本がｶﾞ한हिन्दี\u0301\u00ad\u200d😀 -")), max_size=40)
json = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), texts),
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(texts, inner, max_size=4)),
    max_leaves=20,
)


def of_the_whole_text(text: str) -> list[str]:
    """Words, by normalising and folding the text as a whole."""
    folded = unicodedata.normalize("NFKD", unicodedata.normalize("NFKD", text).casefold())
    found, word = [], ""
    for c in [*folded, " "]:
        ideograph = c.isalnum() and any(first <= c <= last for first, last in IDEOGRAPHS)
        if c.isalnum() and not ideograph:
            word += c
        elif unicodedata.category(c)[0] == "M":
            word += c if word and not unicodedata.combining(c) else ""
        elif unicodedata.category(c) != "Cf":
            found += [word[:MAX_WORD]] if word else []
            found += [c] if ideograph else []
            word = ""
    return found


@given(st.one_of(texts, st.text(MARKS, max_size=100)), st.integers(1, 5))
def test_a_text_that_is_folded_by_characters_and_cut_in_slices_gives_the_words_of_the_whole(
    text: str, size: int
) -> None:
    with mock.patch("newsstand.analysis.words._SLICE", size):
        assert words(text) == of_the_whole_text(text)


@given(texts)
def test_a_word_is_never_empty_nor_long_nor_cut_again(text: str) -> None:
    found = words(text)
    assert all(0 < len(word) <= MAX_WORD for word in found)
    assert words(" ".join(found)) == found


@given(texts, texts)
def test_a_space_parts_words_and_nothing_else_does(one: str, other: str) -> None:
    assert words(f"{one} {other}") == words(one) + words(other)


@given(texts)
def test_the_form_of_composition_makes_no_difference(text: str) -> None:
    forms = [unicodedata.normalize(form, text) for form in ("NFC", "NFD", "NFKC", "NFKD")]
    assert {tuple(words(form)) for form in forms} == {tuple(words(text))}


@given(texts)
def test_case_makes_no_difference(text: str) -> None:
    assert words(text.casefold()) == words(text)


@given(st.dictionaries(texts, json, max_size=4))
def test_terms_are_words_and_bounded(parsed: dict[str, Any]) -> None:
    terms = terms_of(parsed)
    assert words(terms) == terms.split()
    assert len(terms.encode("utf-8", "replace")) <= MAX_TERMS


@given(st.dictionaries(texts, json, max_size=4), json)
def test_markup_never_adds_a_word(parsed: dict[str, Any], markup: Any) -> None:
    plain = {key: value for key, value in parsed.items() if not key.endswith(("_xhtml", "_html"))}
    assert terms_of({**plain, "content_xhtml": markup, "_html": markup}) == terms_of(plain)
