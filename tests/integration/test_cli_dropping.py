"""`newsstand purge` and `newsstand reset` drop copies, and unsubscribe."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from slixmpp import ClientXMPP

from newsstand.demo.servers.prosody import Prosody
from tests.conftest import Connect
from tests.integration._cli import Cli, make_node
from tests.integration._program import OpenProgram


@pytest.fixture
def cli(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Cli:
    return Cli(tmp_path, capsys, monkeypatch)


@pytest.fixture
async def romeo(cli: Cli, prosody: Prosody, connect: Connect, node: str) -> ClientXMPP:
    """The owner of two nodes, of which Juliet has copies."""
    romeo = await connect("romeo")
    for name in (node, f"{node}-2"):
        await make_node(romeo, prosody, name, a="Balcony")
        assert (await cli("sync", prosody.pubsub, name, *cli.login(prosody))).code == 0
    return romeo


async def subscribers(owner: ClientXMPP, server: Prosody, node: str) -> list[str]:
    iq = await owner.plugin["xep_0060"].get_node_subscriptions(server.pubsub, node)
    return [str(each["jid"]) for each in iq["pubsub_owner"]["subscriptions"]]


async def names(cli: Cli) -> list[str]:
    return [row[1] for row in (await cli("nodes")).rows]


async def test_a_purged_node_is_unsubscribed_and_gone(cli: Cli, prosody: Prosody, romeo: ClientXMPP, node: str) -> None:
    assert await subscribers(romeo, prosody, node) == [prosody.jid("juliet")]

    purged = await cli("purge", prosody.pubsub, node, *cli.login(prosody))

    assert (purged.code, purged.out, purged.err) == (0, f"{node} of {prosody.pubsub}: dropped\n", "")
    assert await subscribers(romeo, prosody, node) == []
    assert await subscribers(romeo, prosody, f"{node}-2") == [prosody.jid("juliet")]
    assert await names(cli) == [f"{node}-2"]
    assert (await cli("db", "check")).code == 0


async def test_offline_it_is_purged_and_stays_subscribed_and_says_so(
    cli: Cli, prosody: Prosody, romeo: ClientXMPP, node: str
) -> None:
    purged = await cli("purge", prosody.pubsub, node, "--offline")
    assert (purged.code, purged.out) == (0, f"{node} of {prosody.pubsub}: dropped\n")
    assert purged.err.startswith("newsstand: still subscribed to this node")
    assert await subscribers(romeo, prosody, node) == [prosody.jid("juliet")]
    assert await names(cli) == [f"{node}-2"]


async def test_a_reset_drops_all_and_no_table_of_a_programs(
    cli: Cli, prosody: Prosody, romeo: ClientXMPP, node: str
) -> None:
    with closing(sqlite3.connect(cli.database)) as conn, conn:
        conn.execute("CREATE TABLE mine (id)")

    assert "say --yes if that is meant" in (await cli("reset", *cli.login(prosody))).error
    assert await names(cli) == [node, f"{node}-2"]
    reset = await cli("reset", "--yes", *cli.login(prosody))

    assert (reset.code, reset.out, reset.err) == (0, "2 nodes dropped\n", "")
    assert await names(cli) == []
    for name in (node, f"{node}-2"):
        assert await subscribers(romeo, prosody, name) == []
    with closing(sqlite3.connect(cli.database)) as conn:
        assert conn.execute("SELECT count(*) FROM mine").fetchone() == (0,)


async def test_offline_all_is_reset_of_every_account(cli: Cli, prosody: Prosody, romeo: ClientXMPP, node: str) -> None:
    assert (await cli("sync", prosody.pubsub, node, *cli.login(prosody, "nurse"))).code == 0
    reset = await cli("reset", "--yes", "--offline", "--account", prosody.jid("nurse"))
    assert reset.out == "1 node dropped\n"
    reset = await cli("reset", "--yes", "--offline")
    assert reset.out == "2 nodes dropped\n"
    assert "still subscribed to 2 nodes" in reset.err
    assert await names(cli) == []


async def test_nothing_is_dropped_under_a_program_that_goes_on(
    cli: Cli, prosody: Prosody, romeo: ClientXMPP, node: str, open_program: OpenProgram
) -> None:
    program = await open_program("juliet", database=f"sqlite:///{cli.database}", online=False)
    for argv in (["purge", prosody.pubsub, node], ["reset", "--yes"]):
        for how in (["--offline"], cli.login(prosody)):
            assert f"a program has {cli.database} open" in (await cli(*argv, *how)).error
    assert await names(cli) == [node, f"{node}-2"]
    await program.newsstand.close()
    assert (await cli("purge", prosody.pubsub, node, "--offline")).code == 0


async def test_what_cannot_be_dropped_is_told(cli: Cli, prosody: Prosody, romeo: ClientXMPP, node: str) -> None:
    for how in (["--offline"], cli.login(prosody)):
        run = await cli("purge", prosody.pubsub, "elsewhere", *how)
        assert f"there is no copy of 'elsewhere' of {prosody.pubsub}" in run.error
    assert "is not a JID" in (await cli("purge", "@", "n", "--offline")).error
    unreachable = ["--server", "127.0.0.1:1"]
    run = await cli("purge", prosody.pubsub, node, *cli.login(prosody), *unreachable)
    assert run.error.endswith("; --offline drops without unsubscribing")
    assert "refused the login" in (await cli("reset", "--yes", *cli.login(prosody, password="wrong"))).error
    assert await names(cli) == [node, f"{node}-2"]
    for argv in (["purge", prosody.pubsub, node, "--offline"], ["reset", "--yes", "--offline"], ["reset"]):
        elsewhere = f"sqlite:///{cli.folder}/none.db"
        assert "there is no database at" in (await cli(*argv, "--database", elsewhere)).error
    assert not (cli.folder / "none.db").exists()
