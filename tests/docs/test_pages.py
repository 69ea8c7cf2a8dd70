"""How the pages are written: short lines, links that lead somewhere, for whom each is, and the words of the field."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from markdown_it import MarkdownIt
from markdown_it.token import Token

ROOT = Path(__file__).parents[2]
WIDTH = 120

# What two other changes write anew at the moment: take a page out here once it is short enough.
LATER = {"docs/decisions/018-one-driver-for-reads.md"}
PAGES = {
    name: page
    for page in [
        ROOT / "README.md",
        ROOT / "CHANGELOG.md",
        ROOT / "CONTRIBUTING.md",
        *sorted(ROOT.glob("docs/**/*.md")),
    ]
    if (name := page.relative_to(ROOT).as_posix()) not in LATER
}
LATER_WORDS = {"docs/architecture.md": {"looks around"}}  # in a row that another change writes anew

# Words that only this project used, by what is written instead. Where a word is said about, it stands in `code`.
REPLACED = {
    r"\blooks? around\b": "poll",
    r"\bput(s|ting)? (it |them |the lease )?off\b": "renew",
    r"\bst(and|ands|ood|anding) in\b(?! its| the| code| this| which)": "fall back",
    r"\bbeats?\b": "heartbeat",
    r"\bleads?\b(?! to| somewhere| nowhere)": "own",
    r"\bled by\b": "owned by",
    r"\bways of (a|the|this|its|that) service\b": "service behaviour",
    r"\bservice's ways\b": "service behaviour",
    r"\bways? (is|are) (not )?(learnt|known|unknown)\b": "service behaviour",
    r"\bportions?\b": "batch",
    r"\bjourneys?\b": "round trip",
    r"\brooms?\b": "module, package",
    r"\bhouse\b": "architecture",
    r"\bloop (that )?stands still\b": "the event loop is blocked",
}


def parsed(page: Path) -> list[Token]:
    return MarkdownIt().enable("table").parse(page.read_text())


def prose(page: Path) -> Iterator[tuple[int, str]]:
    """The lines of a page that are neither code nor in a table, with their numbers."""
    lines = page.read_text().splitlines()
    other: set[int] = set()
    for token in parsed(page):
        if token.type in ("fence", "code_block", "table_open") and token.map:
            other.update(range(*token.map))
    for number, line in enumerate(lines):
        if number not in other:
            yield number + 1, line


def inline(page: Path) -> Iterator[Token]:
    """The words and links of a page, tables' too; not of the glossary's part about older words."""
    for token in parsed(page):
        if token.type == "inline" and token.content == "Older words":
            return
        yield from token.children or ()


def anchors(page: Path) -> set[str]:
    """The headings of a page, as links name them."""
    found = set()
    tokens = parsed(page)
    for opening, heading in itertools.pairwise(tokens):
        if opening.type == "heading_open":
            found.add(re.sub(r"[^\w\- ]", "", heading.content.lower()).replace(" ", "-"))
    return found


@pytest.mark.parametrize("page", PAGES.values(), ids=PAGES)
def test_lines_of_prose_are_short(page: Path) -> None:
    assert [f"{number}: {len(line)}" for number, line in prose(page) if len(line) > WIDTH] == []


@pytest.mark.parametrize("page", PAGES.values(), ids=PAGES)
def test_links_lead_somewhere(page: Path) -> None:
    nowhere = []
    for token in inline(page):
        target = token.attrGet("href") if token.type == "link_open" else token.attrGet("src")
        if not target or re.match(r"[a-z]+:", str(target)):
            continue
        name, _, anchor = str(target).partition("#")
        there = (page.parent / name) if name else page
        if not there.exists() or (anchor and anchor not in anchors(there)):
            nowhere.append(target)
    assert nowhere == []


@pytest.mark.parametrize("page", PAGES.values(), ids=PAGES)
def test_no_word_that_only_this_project_used_is_used(page: Path) -> None:
    text = " ".join(" " if token.type == "code_inline" else token.content for token in inline(page))
    found = {said[0]: say for word, say in REPLACED.items() if (said := re.search(word, text, re.IGNORECASE))}
    assert found.keys() - LATER_WORDS.get(page.relative_to(ROOT).as_posix(), set()) == set(), found


@pytest.mark.parametrize(
    "page",
    [page for name, page in PAGES.items() if name.startswith("docs/")],
    ids=[n for n in PAGES if n[:5] == "docs/"],
)
def test_a_page_says_at_its_top_for_whom_it_is(page: Path) -> None:
    top = page.read_text().partition("\n\n")[2].partition("\n\n")[0]
    assert top.startswith("For ")
