"""The command line at a PostgreSQL that asks for a password: it never stands among the arguments."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from urllib.parse import quote

import pytest

from tests.contract._copied import fill, held
from tests.databases import PASSWORD, Guarded, Login
from tests.integration._cli import Cli, run_process


@pytest.fixture
async def cli(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Cli:
    cli = Cli(tmp_path, capsys, monkeypatch)
    await fill(f"sqlite:///{cli.database}")
    return cli


@pytest.fixture
async def login(guarded: Guarded) -> Login:
    return await guarded.new()


def know(folder: Path, logins: Iterable[Login]) -> Path:
    """The password file in the home folder."""
    file = folder / ".pgpass"
    file.write_text("".join(login.line for login in logins), encoding="utf-8")
    file.chmod(0o600)
    return file


async def test_a_database_moves_between_servers_of_different_passwords_and_back(
    cli: Cli, guarded: Guarded, login: Login
) -> None:
    other = await guarded.new("an0ther")
    know(cli.folder, (login, other))
    back = f"sqlite:///{cli.folder}/back.db"
    for argv in (("-", login.url), (login.url, other.url), (other.url, back)):
        run = await cli("db", "copy", *argv, "-v")
        assert run.code == 0, run.err
        assert not any(each.password in run.out + run.err for each in (login, other))
    assert await held(back) == await held(f"sqlite:///{cli.database}")
    for each in (login, other):
        assert (await cli("db", "current", "--database", each.url)).out.endswith("up to date\n")
        assert (await cli("db", "check", "--database", each.url)).out == "nothing wrong was found\n"


async def test_a_role_that_may_only_read_can_be_copied_from(
    cli: Cli, guarded: Guarded, login: Login, monkeypatch: pytest.MonkeyPatch
) -> None:
    reader = await guarded.new()
    monkeypatch.setenv("PGPASSWORD", PASSWORD)  # of both
    assert (await cli("db", "copy", "-", login.url)).code == 0
    url = login.url.replace(login.role, reader.role)
    new = f"sqlite:///{cli.folder}/new.db"
    refused = (await cli("db", "copy", url, new)).error
    assert "permission denied" in refused
    await guarded.run(
        *(f"GRANT SELECT ON ALL {kind} IN SCHEMA public TO {reader.role}" for kind in ("TABLES", "SEQUENCES")),
        database=login.database,
    )
    run = await cli("db", "copy", url, new)
    assert run.code == 0, run.err


async def test_a_password_among_the_arguments_is_refused_and_may_be_in_the_environment(
    cli: Cli, login: Login, monkeypatch: pytest.MonkeyPatch
) -> None:
    spelt = quote(PASSWORD, safe="")
    url = login.url.replace("@", f":{spelt}@")
    for argv in (
        ("db", "copy", "-", url),
        ("db", "copy", url, "-"),
        ("db", "copy", "-", f"{login.url}?password={spelt}"),
        ("db", "upgrade", "--database", url),
        ("nodes", "--database", url),
    ):
        refused = (await cli(*argv)).error
        assert "a command's arguments: leave it to ~/.pgpass" in refused
        assert not any(secret in refused for secret in (PASSWORD, spelt))
    copied = await cli("db", "copy", "-", f"sqlite:///{cli.folder}/other.db")
    assert copied.code == 0, copied.err
    monkeypatch.setenv("NEWSSTAND_DATABASE", url)
    copied = await cli("db", "copy", f"sqlite:///{cli.folder}/other.db", "-")
    assert copied.code == 0, copied.err
    assert "up to date" in (await cli("db", "current")).out


async def test_a_wrong_password_is_one_line_and_in_no_traceback(
    cli: Cli, login: Login, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PGPASSWORD", "n0t-mine")
    for verb in ("current", "upgrade", "check"):
        assert "is taken from ~/.pgpass" in (await cli("db", verb, "--database", login.url)).error
    for argv in (("-", login.url), (login.url, f"sqlite:///{cli.folder}/new.db")):
        assert f'user "{login.role}"; a password is taken' in (await cli("db", "copy", *argv)).error
        run = await cli("db", "copy", *argv, "-v")
        assert (run.code, "Traceback" in run.err, "n0t-mine" in run.err) == (1, True, False)


@pytest.mark.usefixtures("guarded")
async def test_which_of_two_servers_is_not_there_is_told(cli: Cli) -> None:
    error = (await cli("db", "copy", "-", "postgresql://juliet@127.0.0.1:1/news")).error
    assert "the PostgreSQL database 'news' on 127.0.0.1: " in error
    assert "is the server running there" in error


async def test_a_password_file_that_others_can_read_is_passed_over_and_said_in_one_line(cli: Cli, login: Login) -> None:
    know(cli.folder, [login]).chmod(0o644)
    run = await run_process("db", "current", "--database", login.url)
    assert "in a file that only you can read" in run.error
