"""The databases differ in few modules, and the docstring of `newsstand.storage.schema.dialects` names them all."""

from __future__ import annotations

import ast
from pathlib import Path

import newsstand
from newsstand.storage.schema import dialects

SOURCES = Path(newsstand.__file__).parent
OF_DIFFERENCES = {f"storage/schema/{name}.py" for name in ("columns", "dialects", "full_text", "ids")}
"""The modules whose purpose it is to know what each database does."""
OTHERS = {"storage/mapping.py", "storage/statements/answers.py"}
REVISIONS = "storage/migrations/versions/"


def asks(text: str) -> bool:
    """Whether a module asks a connection, or an engine, which dialect it has."""
    return any(
        isinstance(node, ast.Attribute)
        and node.attr == "name"
        and (
            (isinstance(node.value, ast.Attribute) and node.value.attr == "dialect")
            or (isinstance(node.value, ast.Name) and node.value.id == "dialect")
        )
        for node in ast.walk(ast.parse(text))
    )


def test_only_the_modules_that_say_so_ask_which_database_they_have() -> None:
    files = {path.relative_to(SOURCES).as_posix(): path for path in SOURCES.rglob("*.py")}
    asking = {name for name, path in files.items() if asks(path.read_text(encoding="utf-8"))}
    assert {name for name in asking if not name.startswith(REVISIONS)} == OF_DIFFERENCES | OTHERS


def test_the_docstring_names_every_one_of_them() -> None:
    text = dialects.__doc__ or ""
    for name in OF_DIFFERENCES - {"storage/schema/dialects.py"}:
        assert f"`{Path(name).stem}`" in text
    for name in OTHERS:
        assert f"`newsstand.{name.removesuffix('.py').replace('/', '.')}" in text
    assert f"`newsstand.{REVISIONS.rstrip('/').replace('/', '.')}`" in text


def test_asking_is_found_in_every_form_that_is_used() -> None:
    assert asks('if conn.dialect.name == "sqlite": ...')
    assert asks("kind = op.get_bind().dialect.name")
    assert asks('def load(dialect): return dialect.name != "postgresql"')
    assert not asks("conn.dialect.detect_autocommit_setting(adapter)")
