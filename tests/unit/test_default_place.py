"""Where the database is when nobody says where."""

from __future__ import annotations

from pathlib import Path

import pytest

from newsstand.cli.arguments import parser
from newsstand.cli.places import database_url
from newsstand.default_place import default_database
from newsstand.errors import DatabaseError
from newsstand.slixmpp import Newsstand


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.delenv("NEWSSTAND_DATABASE", raising=False)
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "share"))
    return tmp_path / "share" / "newsstand"


def test_it_is_in_the_users_data_folder_and_looking_makes_none(folder: Path) -> None:
    assert default_database() == f"sqlite:///{folder}/newsstand.db"
    assert not folder.exists()
    assert default_database(make_folder=True) == f"sqlite:///{folder}/newsstand.db"
    assert folder.stat().st_mode & 0o777 == 0o700


def test_a_relative_data_folder_counts_as_none(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", "share")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert default_database() == f"sqlite:///{tmp_path}/.local/share/newsstand/newsstand.db"


def test_a_variable_names_another(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NEWSSTAND_DATABASE", "postgresql://me@host/news")
    assert default_database(make_folder=True) == "postgresql://me@host/news"


def test_a_folder_that_cannot_be_made_is_told(folder: Path) -> None:
    folder.parent.touch()
    with pytest.raises(DatabaseError, match="cannot make"):
        default_database(make_folder=True)


def test_programs_and_commands_have_the_same() -> None:
    assert Newsstand.default_config["database"] is None  # so that it asks for the default place
    assert database_url(parser().parse_args(["nodes"])) == default_database()
