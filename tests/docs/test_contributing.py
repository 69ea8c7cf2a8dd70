"""CONTRIBUTING.md's table of packages and their tests is whole, and names files that there are."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
CODE = re.compile(r"`([^`]+)`")


def rows() -> list[tuple[list[str], list[str]]]:
    """Packages and modules, and the tests that are named beside them."""
    table = (ROOT / "CONTRIBUTING.md").read_text().partition("| package or module |")[2].partition("\n\n")[0]
    cells = [line.split("|") for line in table.splitlines()[2:]]
    return [(CODE.findall(row[1]), CODE.findall(row[3])) for row in cells]


def test_each_package_and_module_has_a_row() -> None:
    source = ROOT / "src/newsstand"
    there = {f"{path.name}/" for path in source.iterdir() if (path / "__init__.py").exists()}
    there |= {path.name for path in source.glob("*.py")} - {"__init__.py", "version.py"}
    assert {name for names, _ in rows() for name in names} == there


def test_the_tests_that_are_named_are_there() -> None:
    missing = []
    for _, named in rows():
        folder = ""
        for name in named:
            if "/" in name:
                folder = name.rpartition("/")[0] if name.endswith(".py") else folder
                path = name
            else:
                path = f"{folder}/{name}" if name.endswith(".py") else name
            if not list((ROOT / "tests").glob(path)):
                missing.append(path)
    assert missing == []
