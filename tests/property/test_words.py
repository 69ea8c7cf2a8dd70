"""Words are cut the same way, whatever the text is made of."""

from __future__ import annotations

import unicodedata
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from newsstand.words import MAX_TERMS, MAX_WORD, terms_of, words

texts = st.text(st.one_of(st.characters(), st.sampled_from("aÄéß日本がｶﾞ한हिन्दี\u0301\u00ad\u200d😀 -")), max_size=40)
json = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), texts),
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(texts, inner, max_size=4)),
    max_leaves=20,
)


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
