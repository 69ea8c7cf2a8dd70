"""CONTRIBUTING.md's table of packages and their tests is whole, and names files that there are."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
TESTS = ROOT / "tests"
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


def named_tests() -> list[str]:
    """What the table names, as patterns below tests/: a folder counts for the names after it."""
    patterns = []
    for _, named in rows():
        folder = ""
        for name in named:
            if "/" in name and name.endswith(".py"):
                folder = name.rpartition("/")[0]
            patterns.append(f"{folder}/{name}" if "/" not in name and name.endswith(".py") else name)
    return patterns


def test_the_tests_that_are_named_are_there() -> None:
    assert [pattern for pattern in named_tests() if not list(TESTS.glob(pattern))] == []


def test_each_file_of_tests_is_named() -> None:
    named = {path for pattern in named_tests() for path in TESTS.glob(pattern)}
    text = (ROOT / "CONTRIBUTING.md").read_text()
    missing = []
    for path in TESTS.rglob("test_*.py"):
        name = path.relative_to(TESTS).as_posix()
        if name.startswith(("docs/", "contract/services/")) or f"`{name}`" in text:
            continue
        if named.isdisjoint({path, *path.parents}):
            missing.append(name)
    assert sorted(missing) == []
