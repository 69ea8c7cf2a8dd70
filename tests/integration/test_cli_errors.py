"""The command line says in one line what is wrong and what to do, and ends with 1 (2 for wrong usage)."""

from __future__ import annotations

import asyncio
import os
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from newsstand.demo.servers.prosody import Prosody
from newsstand.storage.sqlite import connections
from tests.conftest import Connect
from tests.integration._cli import Cli, SilentServer, make_node


@pytest.fixture
def cli(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Cli:
    return Cli(tmp_path, capsys, monkeypatch)


@pytest.mark.parametrize("jid", ["@localhost", "romeo@", "romeo@verona/balcony", "ro meo@verona", "a@b@c", "."])
async def test_a_wrong_jid_is_named(cli: Cli, jid: str) -> None:
    for argv in (["get", jid, "n", "--offline"], ["sync", jid, "n"], ["search", "--service", jid]):
        assert repr(jid) in (await cli(*argv)).error
    for argv in (["sync", "pubsub.x", "n"], ["get", "pubsub.x", "n"], ["nodes"], ["search"]):
        assert repr(jid) in (await cli(*argv, "--account", jid)).error


async def test_an_account_is_needed_to_connect(cli: Cli) -> None:
    assert "no account: give --account JID, or set NEWSSTAND_ACCOUNT" in (await cli("sync", "pubsub.x", "n")).error
    domain = await cli("sync", "pubsub.x", "n", "--account", "localhost")
    assert "'localhost' is not an account: write name@localhost" in domain.error


async def test_a_password_is_needed_to_connect(cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sync = ("sync", "pubsub.localhost", "n", "--account", "romeo@localhost")
    with open(os.devnull, encoding="utf-8") as nobody:
        monkeypatch.setattr("sys.stdin", nobody)
        assert "no password for romeo@localhost: give --password-file FILE" in (await cli(*sync)).error
    missing = await cli(*sync, "--password-file", str(tmp_path / "none"))
    assert "cannot read the password" in missing.error
    assert "No such file" in missing.error
    (tmp_path / "empty").touch()
    assert "the first line of" in (await cli(*sync, "--password-file", str(tmp_path / "empty"))).error


async def test_the_password_may_be_a_credential_of_systemd(
    cli: Cli, prosody: Prosody, connect: Connect, node: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    await make_node(await connect("romeo"), prosody, node, a="Balcony")
    (tmp_path / "newsstand-password").write_text(prosody.password, encoding="utf-8")
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path))
    address = f"{prosody.host}:{prosody.port}"
    monkeypatch.setenv("NEWSSTAND_ACCOUNT", prosody.jid("juliet"))

    synced = await cli("sync", prosody.pubsub, node, "--server", address, "--plaintext")

    assert synced.code == 0, synced.err


async def test_a_server_that_refuses_connections_is_given_up_at_once(cli: Cli, prosody: Prosody) -> None:
    async with SilentServer() as server:
        port = server.port  # nobody listens there any more
    login = [*cli.login(prosody), "--server", f"127.0.0.1:{port}", "--timeout", "60"]
    async with asyncio.timeout(20):
        run = await cli("sync", prosody.pubsub, "n", *login)
    assert f"cannot reach 127.0.0.1:{port} (connection refused)" in run.error


async def test_a_server_that_says_nothing_is_given_up_after_the_time_out(cli: Cli, prosody: Prosody) -> None:
    async with SilentServer() as server:
        login = [*cli.login(prosody), "--server", f"127.0.0.1:{server.port}", "--timeout", "0.3"]
        run = await cli("get", prosody.pubsub, "n", *login)
    assert f"no session with 127.0.0.1:{server.port} within 0.3 s" in run.error


async def test_a_refused_login_is_told(cli: Cli, prosody: Prosody) -> None:
    for verb in ("get", "sync"):
        run = await cli(verb, prosody.pubsub, "n", *cli.login(prosody, password="Rosaline"))
        assert "refused the login of juliet@localhost (not-authorized)" in run.error
        assert "Rosaline" not in run.error


async def test_a_server_of_another_domain_is_told(cli: Cli, prosody: Prosody) -> None:
    run = await cli("sync", prosody.pubsub, "n", *cli.login(prosody), "--account", "juliet@verona.example")
    assert "ended the stream (host-unknown" in run.error


async def test_a_password_is_not_sent_without_encryption(cli: Cli, prosody: Prosody) -> None:
    login = [option for option in cli.login(prosody) if option != "--plaintext"]
    run = await cli("sync", prosody.pubsub, "n", *login)
    assert "offers no safe way to log in" in run.error


@pytest.mark.parametrize("server", [["--server", "192.0.2.1:5222"], ["--server", "example.org:5222"], []])
async def test_plain_text_is_only_for_loopback(cli: Cli, prosody: Prosody, server: list[str]) -> None:
    file = cli.login(prosody)[2:4]
    run = await cli("sync", "pubsub.x", "n", "--account", "a@b", *file, "--plaintext", *server)
    assert "--plaintext would show the password to the network" in run.error


async def test_the_address_and_the_certificates_must_be_right(cli: Cli, tmp_path: Path) -> None:
    account = ("sync", "pubsub.x", "n", "--account", "a@b")
    assert "is not HOST:PORT" in (await cli(*account, "--server", "example.org")).error
    assert "cannot read --ca-file" in (await cli(*account, "--ca-file", str(tmp_path / "none"))).error
    (tmp_path / "text").write_text("no certificate", encoding="utf-8")
    assert "holds no certificates" in (await cli(*account, "--ca-file", str(tmp_path / "text"))).error


async def test_a_missing_node_is_told(cli: Cli, prosody: Prosody) -> None:
    for verb in ("get", "sync"):
        run = await cli(verb, prosody.pubsub, "elsewhere", *cli.login(prosody))
        assert f"{prosody.pubsub} has no node 'elsewhere' (cancel/item-not-found)" in run.error
        assert run.out == ""


async def test_a_refused_node_is_told(cli: Cli, prosody: Prosody, connect: Connect, node: str) -> None:
    romeo = await connect("romeo")
    form = romeo.plugin["xep_0004"].make_form(ftype="submit")
    form.add_field(var="FORM_TYPE", ftype="hidden", value="http://jabber.org/protocol/pubsub#node_config")
    form.add_field(var="pubsub#access_model", value="whitelist")
    await romeo.plugin["xep_0060"].create_node(prosody.pubsub, node, config=form)
    for verb in ("get", "sync"):
        run = await cli(verb, prosody.pubsub, node, "--account", "juliet@localhost", *cli.login(prosody)[2:])
        assert f"{prosody.pubsub} does not let juliet@localhost read {node!r} (auth/forbidden" in run.error


async def test_a_node_without_a_complete_copy_is_told(cli: Cli, prosody: Prosody, connect: Connect, node: str) -> None:
    await make_node(await connect("romeo"), prosody, node, a="Balcony")
    await cli("sync", prosody.pubsub, node, *cli.login(prosody))
    run = await cli("get", prosody.pubsub, f"{node}-2", "--offline", "--json")
    assert "without --offline, or `newsstand sync` it first" in run.error
    assert run.out == ""


# The database ----------------------------------------------------------------------------------------------------


async def test_reading_makes_no_database(cli: Cli) -> None:
    for argv in (["nodes"], ["search", "x"], ["get", "pubsub.x", "n", "--offline"]):
        run = await cli(*argv)
        assert f"there is no database at {cli.database} yet" in run.error
    assert not cli.database.exists()


async def test_what_is_no_database_is_told_and_left_alone(cli: Cli, prosody: Prosody) -> None:
    text = "Two households, both alike in dignity, in fair Verona, where we lay our scene. " * 9
    cli.database.write_text(text, encoding="utf-8")
    for argv in (["nodes"], ["db", "current"], ["db", "upgrade"]):
        run = await cli(*argv)
        assert f"{cli.database} is no database" in run.error
    assert cli.database.read_text(encoding="utf-8") == text


async def test_what_is_no_database_is_set_aside_by_what_can_fill_a_new_one(
    cli: Cli, prosody: Prosody, node: str
) -> None:
    """The command goes on, here to an error of its own."""
    cli.database.write_text("Two households, both alike in dignity. " * 20, encoding="utf-8")
    run = await cli("sync", prosody.pubsub, node, *cli.login(prosody))
    told, error = run.err.splitlines()
    assert f"{cli.database} is no database" in told
    assert "item-not-found" in error
    (aside,) = cli.database.parent.glob(f"{cli.database.name}.damaged-*")
    assert str(aside) in told
    assert aside.read_text(encoding="utf-8").startswith("Two households")
    assert (await cli("db", "check")).code == 0


async def test_a_newer_database_is_told_and_left_alone(cli: Cli, prosody: Prosody) -> None:
    assert (await cli("db", "upgrade")).code == 0
    with closing(sqlite3.connect(cli.database)) as conn, conn:
        conn.execute("UPDATE newsstand_version SET version_num = '9876'")
    for argv in (["nodes"], ["search"], ["db", "upgrade"], ["sync", "pubsub.x", "n", *cli.login(prosody)]):
        run = await cli(*argv)
        assert "revision 9876" in run.error
        assert "newer" in run.error
    assert "newer than this Newsstand" in (await cli("db", "current")).out


async def test_a_locked_database_can_be_read_and_its_writers_are_told(
    cli: Cli, prosody: Prosody, connect: Connect, node: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    await make_node(await connect("romeo"), prosody, node, a="Balcony")
    assert (await cli("sync", prosody.pubsub, node, *cli.login(prosody))).code == 0
    monkeypatch.setattr(connections, "BUSY_SECONDS", 0.2)
    with closing(sqlite3.connect(cli.database, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        assert [row[3] for row in (await cli("search", "Balcony")).rows] == ["a"]
        assert [row[3] for row in (await cli("get", prosody.pubsub, node, "--offline")).rows] == ["a"]
        for argv in (["sync", prosody.pubsub, node, *cli.login(prosody)], ["db", "downgrade", "base", "--yes"]):
            run = await cli(*argv)
            assert f"another process holds {cli.database}" in run.error
        other.execute("ROLLBACK")
    assert (await cli("sync", prosody.pubsub, node, *cli.login(prosody))).code == 0


async def test_a_database_is_not_made_while_another_process_holds_the_file(
    cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connections, "BUSY_SECONDS", 0.2)
    with closing(sqlite3.connect(cli.database, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        assert "another process holds" in (await cli("db", "upgrade")).error


@pytest.mark.parametrize("verb", ["upgrade", "sync"])
async def test_a_missing_or_unwritable_folder_is_told(cli: Cli, prosody: Prosody, tmp_path: Path, verb: str) -> None:
    argv = ["db", "upgrade"] if verb == "upgrade" else ["sync", "pubsub.x", "n", *cli.login(prosody)]
    missing = await cli(*argv, "--database", f"sqlite:///{tmp_path}/none/news.db")
    assert f"the folder {tmp_path}/none does not exist" in missing.error
    # Not even root may make a file there.
    unwritable = await cli(*argv, "--database", "sqlite:////proc/news.db")
    assert "cannot open /proc/news.db" in unwritable.error


async def test_a_database_that_is_no_sqlite_url_is_told(cli: Cli) -> None:
    for url in ("news.db", "sqlite://", "mysql://localhost/news"):
        for argv in (["nodes"], ["db", "current"], ["db", "upgrade"]):
            assert "sqlite:///path/to/news.db" in (await cli(*argv, "--database", url)).error


# Usage -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "argv",
    [
        [],
        ["gett"],
        ["get", "pubsub.x"],
        ["get", "pubsub.x", "n", "--offline", "--refresh"],
        ["get", "pubsub.x", "n", "--id", "a", "--max", "1"],
        ["get", "pubsub.x", "n", "--max", "0"],
        ["get", "pubsub.x", "n", "--password", "x"],
        ["sync", "pubsub.x", "n", "--timeout", "nan"],
        ["search", "--where", "a", "="],
        ["search", "--after", "x"],
        ["db"],
    ],
)
async def test_wrong_usage_is_one_line_and_exit_code_2(cli: Cli, argv: list[str]) -> None:
    run = await cli(*argv)
    assert (run.code, run.out) == (2, "")
    (line,) = run.err.splitlines()
    assert line.startswith("newsstand: ")
    assert line.endswith(" --help")


@pytest.mark.parametrize(
    ("argv", "told"),
    [
        (["--where", "year", ">", "1590"], "--where knows no '>' yet, only ="),
        (["--where", "a", "=", "1", "--where", "a", "=", "2"], "names 'a' twice"),
        (["--where", "a..b", "=", "1"], "'a..b' is not a field"),
        (["--limit", "5000"], "limit must be between 1 and 1000"),
    ],
)
async def test_a_search_that_cannot_be_is_told(cli: Cli, argv: list[str], told: str) -> None:
    await cli("db", "upgrade")
    assert told in (await cli("search", *argv)).error


async def test_the_traceback_is_shown_only_when_asked_for(cli: Cli) -> None:
    assert "Traceback" not in (await cli("nodes")).error
    verbose = await cli("nodes", "-v")
    assert "Traceback" in verbose.err
    assert verbose.err.splitlines()[-1].startswith("newsstand: there is no database")


async def test_neither_log_nor_traceback_shows_the_login(cli: Cli, prosody: Prosody) -> None:
    run = await cli("sync", prosody.pubsub, "elsewhere", "-v", *cli.login(prosody))
    assert run.code == 1
    assert "JID set to" in run.err  # the log is there
    assert prosody.password not in run.err
    assert "urn:ietf:params:xml:ns:xmpp-sasl" not in run.err  # nor what SASL makes of it
