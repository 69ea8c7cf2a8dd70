"""Alembic's own command line in the migrations folder, as README.md there says: on a copy of the package, so that
nothing is written into the checkout."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import newsstand
from newsstand.storage.schema import versioning
from tests.databases import Databases
from tests.migration._contents import contents, execute, fill, is_file, schema_of

HEAD = versioning.revisions()[-1]
NEXT = f"{int(HEAD) + 1:04d}"
OWN_TABLES = (
    "CREATE TABLE recipe (id INTEGER PRIMARY KEY, name TEXT NOT NULL)",
    "CREATE INDEX by_name ON recipe (name)",
    "CREATE TABLE alembic_version (version_num VARCHAR(32) NOT NULL)",
    "INSERT INTO alembic_version VALUES ('feedbeef')",
)
FTS5_TABLES = ("CREATE VIRTUAL TABLE recipe_fts USING fts5(name)",)


class Copy:
    """A copy of the package that a developer works on."""

    def __init__(self, folder: Path) -> None:
        self.package = folder / "newsstand"
        shutil.copytree(
            Path(newsstand.__file__).parent, self.package, ignore=shutil.ignore_patterns("__pycache__", "*.pyc")
        )
        self.storage = self.package / "storage"
        self.migrations = self.storage / "migrations"
        self.versions = self.migrations / "versions"

    def alembic(self, *arguments: str, fails: bool = False) -> str:
        """What it printed."""
        told = subprocess.run(
            [sys.executable, "-m", "alembic", *arguments],
            cwd=self.migrations,
            env={**os.environ, "PYTHONPATH": str(self.package.parent), "PYTHONDONTWRITEBYTECODE": "1"},
            capture_output=True,
            text=True,
            check=False,
        )
        printed = told.stdout + told.stderr
        assert (told.returncode != 0) == fails, printed
        return printed

    def revisions(self) -> list[str]:
        return sorted(file.name for file in self.versions.glob("*.py"))

    def add_column(self) -> None:
        mapping = self.storage / "mapping.py"
        text = mapping.read_text()
        column = "    position: Mapped[int] = mapped_column(Big)\n"
        assert text.count(column) == 1
        mapping.write_text(text.replace(column, f"{column}    language: Mapped[str | None] = mapped_column(Text)\n"))


@pytest.fixture
def copy(tmp_path: Path) -> Copy:
    return Copy(tmp_path / "work")


@pytest.fixture
async def filled(empty: str) -> str:
    """The URL of a database with rows in every table, and a program's own beside them."""
    await fill(empty)
    execute(empty, *OWN_TABLES, *(FTS5_TABLES if is_file(empty) else ()))
    return empty


def columns_of(where: str, table: str) -> set[str]:
    if is_file(where):
        return {column[1] for column in execute(where, f"PRAGMA table_info({table})")}
    names = f"SELECT column_name FROM information_schema.columns WHERE table_name = '{table}'"
    return {name for (name,) in execute(where, names)}


def test_autogenerate_finds_nothing_to_do_on_a_fresh_database(copy: Copy) -> None:
    before = copy.revisions()
    copy.alembic("revision", "--autogenerate", "-m", "nothing")
    (made,) = set(copy.revisions()) - set(before)
    assert made == f"{NEXT}_nothing.py"
    text = (copy.versions / made).read_text()
    assert re.findall(r"^    (?!#)(.+)$", text, re.MULTILINE) == ["pass", "pass"]


def test_check_finds_nothing_to_do_with_or_without_a_programs_tables_beside_ours(copy: Copy, filled: str) -> None:
    assert "No new upgrade operations detected" in copy.alembic("check")
    assert "No new upgrade operations detected" in copy.alembic("-x", f"url={filled}", "check")


def test_check_tells_of_a_mapping_that_no_revision_made(copy: Copy, filled: str) -> None:
    copy.add_column()
    for where in ((), ("-x", f"url={filled}")):
        assert "language" in copy.alembic(*where, "check", fails=True)


@pytest.mark.parametrize("beside_own_tables", [False, True])
def test_a_column_added_to_the_mapping_becomes_a_revision_that_goes_up_and_down(
    copy: Copy, filled: str, beside_own_tables: bool
) -> None:
    copy.add_column()
    url = f"url={filled}"
    where = ("-x", url) if beside_own_tables else ()
    copy.alembic(*where, "revision", "--autogenerate", "-m", "The language of an item")
    assert copy.revisions()[-1] == f"{NEXT}_the_language_of_an_item.py"
    text = (copy.versions / copy.revisions()[-1]).read_text()
    assert f'revision = "{NEXT}"' in text.replace("'", '"')
    assert f'down_revision = "{HEAD}"' in text.replace("'", '"')
    assert "language" in text
    assert "recipe" not in text
    assert "fts" not in text

    before, own = contents(filled), contents(filled, "recipe")
    copy.alembic("-x", url, "upgrade", "head")
    assert "language" in columns_of(filled, "newsstand_item")
    assert contents(filled)["newsstand_version"] == [(NEXT,)]
    assert "No new upgrade operations detected" in copy.alembic("-x", url, "check")
    copy.alembic("-x", url, "downgrade", HEAD)
    assert contents(filled) == before
    assert contents(filled, "recipe") == own


async def test_upgrade_and_downgrade_by_hand_are_those_of_opening(
    copy: Copy, filled: str, backend: str, databases: Databases, tmp_path: Path
) -> None:
    made_by_opening = schema_of(filled)
    (tmp_path / "by hand").mkdir()
    made = await databases.new(backend, tmp_path / "by hand", empty=True)
    url = f"url={made}"
    copy.alembic("-x", url, "upgrade", "head")
    assert schema_of(made) == made_by_opening
    if is_file(made):
        assert (tmp_path / "by hand" / "news.db").stat().st_mode & 0o777 == 0o600
    assert HEAD in copy.alembic("-x", url, "current")
    copy.alembic("-x", url, "downgrade", "base")
    assert schema_of(made) == []
    copy.alembic("-x", f"url={filled}", "downgrade", "base")
    assert columns_of(filled, "recipe") == {"id", "name"}
    assert contents(filled, "alembic") == {"alembic_version": [("feedbeef",)]}
    await databases.drop(made)


def test_a_database_must_be_named_to_be_changed(copy: Copy) -> None:
    assert "-x url=" in copy.alembic("upgrade", "head", fails=True)


def test_a_newer_database_is_refused_by_the_command_line_too(copy: Copy, filled: str) -> None:
    execute(filled, "UPDATE newsstand_version SET version_num = '7777'")
    assert "7777" in copy.alembic("-x", f"url={filled}", "upgrade", "head", fails=True)


def test_the_readme_names_the_commands_that_are_tested_here() -> None:
    text = (versioning.MIGRATIONS / "README.md").read_text()
    assert 'alembic revision --autogenerate -m "' in text
    assert "alembic -x url=sqlite:///" in text
    assert "-x url=postgresql://" in text
    assert "downgrade <previous>" in text
