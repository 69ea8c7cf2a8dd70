"""Where a password comes from, and what is said where there is none."""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import keyring
import pytest
from keyring.backend import KeyringBackend
from keyring.backends import fail

from newsstand.cli.password import find_password
from newsstand.errors import ConfigurationError
from tests.fakes.keyrings import FILE, FileKeyring, LockedKeyring

JULIET = "juliet@capulet.example"
ROMEO = "romeo@montague.example"

Use = Callable[[KeyringBackend], None]


@pytest.fixture(autouse=True)
def use(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Use]:
    """Puts another keyring in the place of this machine's, which is none; nobody sits at a terminal."""
    before = keyring.get_keyring()
    monkeypatch.setenv(FILE, str(tmp_path / "keyring.json"))
    monkeypatch.delenv("CREDENTIALS_DIRECTORY", raising=False)
    monkeypatch.setattr(sys, "stdin", io.StringIO())
    keyring.set_keyring(fail.Keyring())
    yield keyring.set_keyring
    keyring.set_keyring(before)


@pytest.fixture
def credentials(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "credentials"
    folder.mkdir()
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(folder))
    return folder


@pytest.fixture
def file(tmp_path: Path) -> Path:
    file = tmp_path / "password"
    file.write_text("from the file\nnot this\n", encoding="utf-8")
    file.chmod(0o600)
    return file


@pytest.fixture
def ring(use: Use) -> FileKeyring:
    """A keyring with juliet's password."""
    ring = FileKeyring()
    ring.set_password("newsstand", JULIET, "from the keyring")
    use(ring)
    return ring


def no_password() -> str:
    with pytest.raises(ConfigurationError) as raised:
        find_password(JULIET, None)
    message = str(raised.value)
    assert message.startswith(f"no password for {JULIET}: give --password-file FILE")
    return message


def test_the_file_comes_first_then_the_credential_then_the_keyring(
    file: Path, credentials: Path, ring: FileKeyring
) -> None:
    credential = credentials / "newsstand-password"
    credential.write_text("from systemd", encoding="utf-8")
    assert find_password(JULIET, str(file)) == "from the file"
    assert find_password(JULIET, None) == "from systemd"
    credential.unlink()
    assert find_password(JULIET, None) == "from the keyring"


def test_an_account_s_own_credential_comes_before_the_one_for_all(credentials: Path) -> None:
    (credentials / "newsstand-password").write_text("for all", encoding="utf-8")
    (credentials / f"newsstand-password.{JULIET}").write_text("juliet's", encoding="utf-8")
    assert find_password(JULIET, None) == "juliet's"
    assert find_password(ROMEO, None) == "for all"


def test_the_keyring_gives_an_account_only_its_own(ring: FileKeyring) -> None:
    ring.set_password("another program", ROMEO, "for something else")
    ring.set_password("newsstand", ROMEO, "")
    with pytest.raises(ConfigurationError, match=f"it holds none: keyring set newsstand {ROMEO}"):
        find_password(ROMEO, None)


def test_a_keyring_that_is_missing_locked_or_broken_is_named_and_not_fatal(
    use: Use, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "this machine has none" in no_password()
    use(LockedKeyring())
    assert "(KeyringLocked: the collection is locked)" in no_password()

    class Broken(FileKeyring):
        def get_password(self, service: str, username: str) -> str | None:
            raise OSError("no bus")

    use(Broken())
    assert "(OSError: no bus)" in no_password()
    monkeypatch.setitem(sys.modules, "keyring", None)
    assert "pip install 'newsstand[keyring]'" in no_password()


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_at_a_terminal_a_locked_keyring_is_told_of_and_the_person_is_asked(
    use: Use, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    asked: list[str] = []

    def getpass(prompt: str) -> str:
        asked.append(prompt)
        return "typed"

    monkeypatch.setattr(sys, "stdin", Terminal())
    monkeypatch.setattr("getpass.getpass", getpass)
    assert find_password(JULIET, None) == "typed"
    assert capsys.readouterr().err == "", "having no keyring is no trouble"
    use(LockedKeyring())
    assert find_password(JULIET, None) == "typed"
    assert "KeyringLocked: the collection is locked" in capsys.readouterr().err
    assert asked == [f"Password of {JULIET}: "] * 2


@pytest.mark.parametrize("mode", [0o644, 0o640, 0o604])
def test_a_file_that_others_can_read_is_used_and_warned_of(
    file: Path, mode: int, capsys: pytest.CaptureFixture[str]
) -> None:
    file.chmod(mode)
    assert find_password(JULIET, str(file)) == "from the file"
    (line,) = capsys.readouterr().err.splitlines()
    assert str(file) in line
    assert "chmod 600" in line
    assert "from the file" not in line


def test_a_file_of_one_s_own_a_pipe_and_a_credential_are_not_warned_of(
    file: Path, credentials: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    find_password(JULIET, str(file))
    reading, writing = os.pipe()
    os.write(writing, b"through a pipe\n")
    os.close(writing)
    assert find_password(JULIET, f"/dev/fd/{reading}") == "through a pipe"
    os.close(reading)
    credential = credentials / "newsstand-password"
    credential.write_text("from systemd", encoding="utf-8")
    credential.chmod(0o644)  # as its access list makes it look
    find_password(JULIET, None)
    assert capsys.readouterr().err == ""


def test_a_credential_that_is_there_and_cannot_be_used_is_an_error(credentials: Path, ring: FileKeyring) -> None:
    (credentials / "newsstand-password").touch()
    with pytest.raises(ConfigurationError, match=r"the first line of .* is empty"):
        find_password(JULIET, None)
