"""Makes docs/services.md from `tests.servers.quirks`; run by `python -m tests.servers.services_page`."""

from __future__ import annotations

import ast
import re
from itertools import pairwise
from pathlib import Path

from tests.servers import quirks
from tests.servers.quirks import QUIRKS, RACES, Quirk

PAGE = Path(__file__).parents[2] / "docs" / "services.md"
NAMES = {
    "prosody": "Prosody",
    "ejabberd-mnesia": "ejabberd, Mnesia",
    "ejabberd-sql": "ejabberd, SQL",
    "libervia-pubsub": "Libervia",
}
"""The columns of the tables, by the names of the services in the tests."""
HEAD = """\
# What the tested services do

For whoever wonders why one service is read otherwise than another, or why a test is skipped on one.

XEP-0060, XEP-0059 and XEP-0030 leave much to the service, and services deviate from them besides. Each line of the
tables is something that at least one tested service does. It is about pubsub nodes unless it names PEP. The tests try
each line on each service, and fail where the service does otherwise (`tests/contract/services/test_quirks.py`).

The services are Prosody 0.12, ejabberd 23.01 with each of its two kinds of databases, and Libervia Pubsub 0.4.
Newsstand asks no service for its name. What matters to a copy it learns from the answers
([decision 003](decisions/003-behaviour-is-learnt.md)).

- **yes**: the service does so.
- **at times**: the service does so when it is busy, or by chance.
- An empty field: the service does not do so.

This page is made from `tests/servers/quirks.py`: change that, and run `python -m tests.servers.services_page`.
"""


def page() -> str:
    """The whole page."""
    return "\n".join([HEAD, *(_section(title, group) for title, group in _groups())])


def _section(title: str, group: list[Quirk]) -> str:
    rows = [
        ("What the service does", "name", *NAMES.values()),
        ("---",) * (2 + len(NAMES)),
        *((_words_of()[quirk], f"`{quirk.value}`", *(_mark(service, quirk) for service in NAMES)) for quirk in group),
    ]
    return "\n".join([f"## {title}", "", *(f"| {' | '.join(row)} |" for row in rows), ""])


def _mark(service: str, quirk: Quirk) -> str:
    if quirk not in QUIRKS[service]:
        return ""
    return "at times" if quirk in RACES else "yes"


def _source() -> str:
    return Path(quirks.__file__).read_text(encoding="utf-8")


def _words_of() -> dict[Quirk, str]:
    """By quirk, the text that stands below it in the class, on one line."""
    (found,) = (node for node in ast.parse(_source()).body if isinstance(node, ast.ClassDef))
    words: dict[Quirk, str] = {}
    for member, text in pairwise(found.body):
        if isinstance(member, ast.Assign) and isinstance(text, ast.Expr) and isinstance(text.value, ast.Constant):
            (name,) = member.targets
            assert isinstance(name, ast.Name)
            words[Quirk[name.id]] = _linked(" ".join(str(text.value.value).split()))
    return words


def _linked(text: str) -> str:
    """A text with the names of other quirks as they stand in the tables."""
    return re.sub(r"\b[A-Z]+(?:_[A-Z]+)+\b", lambda found: f"`{Quirk[found[0]].value}`", text)


def _groups() -> list[tuple[str, list[Quirk]]]:
    """The quirks in the order of the class, below the comments that part them."""
    groups: list[tuple[str, list[Quirk]]] = []
    for line in _source().partition("class Quirk")[2].splitlines():
        if title := re.fullmatch(r"    # (\w+)", line):
            groups.append((title[1], []))
        elif member := re.fullmatch(r"    ([A-Z_]+) = .*", line):
            groups[-1][1].append(Quirk[member[1]])
    return groups


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
