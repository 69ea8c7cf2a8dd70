"""Every module and class says at its top what it is, for somebody who opens this one file only."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

import newsstand

SOURCES = Path(newsstand.__file__).parent
PLACES = (
    *("analysis", "demo", "model", "rules", "state", "storage", "sync", "upkeep", "workers", "xmpp"),
    *("config.py", "engine.py", "errors.py", "jid.py"),
)
REVISIONS = SOURCES / "storage" / "migrations" / "versions"
FEWEST = 3
"""Words of a docstring."""
FRAGMENT = re.compile(r"(Of|By|For|As|With|See|The same|It is|They are) ", re.ASCII)


def files() -> list[Path]:
    found = [path for place in PLACES for path in ([SOURCES / place, *(SOURCES / place).rglob("*.py")])]
    return sorted(path for path in found if path.is_file() and REVISIONS not in path.parents)


def is_a_fragment(docstring: str | None) -> bool:
    return docstring is None or len(docstring.split()) < FEWEST or FRAGMENT.match(docstring) is not None


@pytest.mark.parametrize("path", files(), ids=lambda path: path.relative_to(SOURCES).as_posix())
def test_every_module_and_class_says_what_it_is(path: Path) -> None:
    module = ast.parse(path.read_text(encoding="utf-8"))
    classes = [node for node in ast.walk(module) if isinstance(node, ast.ClassDef)]
    assert [node.name for node in classes if is_a_fragment(ast.get_docstring(node))] == []
    assert not is_a_fragment(ast.get_docstring(module))


@pytest.mark.parametrize("docstring", [None, "", "Of one replica.", "By it.", "It is us.", "See the port."])
def test_what_says_nothing_is_found(docstring: str | None) -> None:
    assert is_a_fragment(docstring)
