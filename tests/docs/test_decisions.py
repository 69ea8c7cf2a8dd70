"""The index of the decisions names each of them, by number, title and state."""

from __future__ import annotations

import re
from pathlib import Path

FOLDER = Path(__file__).parents[2] / "docs/decisions"
INDEX = FOLDER / "README.md"
ROW = re.compile(
    r"\| \[(?P<number>\d{3})\]\((?P<file>[^)]+)\) \| (?P<title>[^|]+) \| (?P<what>[^|]+) \| (?P<state>[^|]+) \|"
)
STATES = re.compile(r"holds|being built|replaced by \d{3}")


def test_the_index_has_each_decision_once_and_in_order() -> None:
    listed = [row["file"] for row in ROW.finditer(INDEX.read_text())]
    assert listed == sorted(page.name for page in FOLDER.glob("[0-9]*.md"))


def test_a_row_says_the_number_and_the_title_of_its_page() -> None:
    for row in ROW.finditer(INDEX.read_text()):
        heading = (FOLDER / row["file"]).read_text().partition("\n")[0]
        number, _, title = heading.removeprefix("# ").partition(" ")
        assert (number.rstrip(":"), title) == (row["number"], row["title"])
        assert row["file"].startswith(f"{row['number']}-")


def test_a_row_says_in_one_line_what_was_decided_and_whether_it_holds() -> None:
    for row in ROW.finditer(INDEX.read_text()):
        assert row["what"].endswith("."), row["file"]
        assert STATES.fullmatch(row["state"]), row["file"]
