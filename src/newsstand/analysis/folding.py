"""Text folded for comparing and searching: case, diacritics and compatible forms make no difference. Pure.

Unicode's own normalisation must not be given what a stranger sent: it sorts each run of combining marks by insertion,
so that 40,000 marks in a row take it seconds, while it holds the interpreter's lock. Therefore only single characters
are normalised here, and each once. That gives the same words: a character's decomposition does not depend on its
neighbours, and all that sorting changes is the order of marks, which are left out.
"""

from __future__ import annotations

import unicodedata

_REMEMBERED = 20_000
"""Characters whose folding is remembered."""


class Folded(dict[int, str]):
    """A table of folded characters, by code point: the character itself, folded; nothing; or a space, which ends a
    word. It is filled as characters are met; a text of all there are does not make it large."""

    def __missing__(self, code: int) -> str:
        folded = _fold(chr(code))
        if len(self) < _REMEMBERED:
            self[code] = folded
        return folded


def _fold(character: str) -> str:
    """Case and diacritics folded, and compatible forms made one."""
    out: list[str] = []
    for c in unicodedata.normalize("NFKD", unicodedata.normalize("NFKD", character).casefold()):
        if c.isalnum():
            out.append(f" {c} " if _is_ideograph(c) else c)
        elif unicodedata.category(c) in ("Mc", "Mn", "Me"):
            # Accents are folded away; a vowel sign of combining class 0 belongs to its word.
            if not unicodedata.combining(c):
                out.append(c)
        elif unicodedata.category(c) != "Cf":  # a soft hyphen, say, does not end a word
            out.append(" ")
    return "".join(out)


def _is_ideograph(c: str) -> bool:
    return "\u3040" <= c <= "\u30ff" or "\u3400" <= c <= "\u9fff" or "\U00020000" <= c <= "\U0003ffff"


_FOLDED = Folded()


def fold(text: str) -> str:
    """The text folded: letters, digits, signs that belong to letters, and spaces between the words."""
    return text.translate(_FOLDED)
