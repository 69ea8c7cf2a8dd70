"""What was perhaps meant by a name that is none. Pure."""

from __future__ import annotations

from collections.abc import Iterable


def did_you_mean(given: str, known: Iterable[str]) -> str:
    """`: did you mean 'get'?`, to go behind a message; empty where nothing known is like it."""
    from difflib import get_close_matches  # costs a few milliseconds, which only who mistyped pays

    by_folded = {name.casefold(): name for name in known}
    close = get_close_matches(given.casefold(), by_folded, n=1, cutoff=0.6)
    return f": did you mean {by_folded[close[0]]!r}?" if close else ""
