"""`newsstand verify` finds what is wrong with copies, and mends them."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from slixmpp import ClientXMPP

from newsstand.demo.servers.prosody import Prosody
from tests.conftest import Connect
from tests.integration._cli import Cli, bookmark, make_node, run_process
from tests.integration._program import OpenProgram


@pytest.fixture
def cli(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Cli:
    return Cli(tmp_path, capsys, monkeypatch)


@pytest.fixture
async def romeo(cli: Cli, prosody: Prosody, connect: Connect, node: str) -> ClientXMPP:
    """The owner of a node of three items, of which Juliet has a copy."""
    romeo = await connect("romeo")
    await make_node(romeo, prosody, node, a="Balcony", b="Nightingale", c="Lark")
    assert (await cli("sync", prosody.pubsub, node, *cli.login(prosody))).code == 0
    return romeo


DAMAGE = {
    "missing": "DELETE FROM newsstand_item WHERE item_id = 'b'",
    "extra": "INSERT INTO newsstand_item SELECT node_id, x'00', 'ghost', xml, content_digest, NULL, NULL, 99, 1, "
    "revision, 0, 0, NULL, NULL, NULL, NULL, 0 FROM newsstand_item WHERE item_id = 'c'",
    "differing": "UPDATE newsstand_item SET xml = replace(xml, 'Nightingale', 'Owl') WHERE item_id = 'b'",
    "misplaced": "UPDATE newsstand_item SET position = 99 WHERE item_id = 'a'",
}
IDS = {"missing": "b", "extra": "ghost", "differing": "b", "misplaced": "a"}


def damage(cli: Cli, *statements: str) -> None:
    with closing(sqlite3.connect(cli.database)) as conn, conn:
        for statement in statements:
            conn.execute(statement)


async def test_an_equal_copy_is_told_as_such(cli: Cli, prosody: Prosody, romeo: ClientXMPP, node: str) -> None:
    run = await run_process("verify", prosody.pubsub, node, *cli.login(prosody))
    assert (run.code, run.out, run.err) == (0, f"{prosody.pubsub}\t{node}\tequal\t3\n", "")


@pytest.mark.parametrize("kind", DAMAGE)
async def test_each_kind_of_difference_is_told_and_mended(
    cli: Cli, prosody: Prosody, romeo: ClientXMPP, node: str, kind: str
) -> None:
    login = cli.login(prosody)
    damage(cli, DAMAGE[kind])

    told = await cli("verify", prosody.pubsub, node, *login)
    assert (told.code, told.err) == (1, "")
    assert told.out.splitlines() == [
        f"{prosody.pubsub}\t{node}\t{kind}\t{IDS[kind]}",
        f"{prosody.pubsub}\t{node}\tdiffers\t3",
    ]
    mended = await cli("verify", prosody.pubsub, node, "--repair", *login)
    assert (mended.code, mended.out.splitlines()[-1]) == (0, f"{prosody.pubsub}\t{node}\trepaired\t3")
    assert (await cli("verify", prosody.pubsub, node, *login)).out == f"{prosody.pubsub}\t{node}\tequal\t3\n"
    assert [row[3] for row in (await cli("get", prosody.pubsub, node, "--offline")).rows] == ["a", "b", "c"]
    assert [row[3] for row in (await cli("search", "nightingale")).rows] == ["b"]
    assert (await cli("db", "check")).out == "nothing wrong was found\n"


async def test_all_copies_are_verified_and_those_that_cannot_be_read_are_told(
    cli: Cli, prosody: Prosody, romeo: ClientXMPP, node: str
) -> None:
    login = cli.login(prosody)
    for name in (f"{node}-2", f"{node}-3"):
        await make_node(romeo, prosody, name, z="Tomb")
        assert (await cli("sync", prosody.pubsub, name, *login)).code == 0
    damage(cli, DAMAGE["missing"])
    await romeo.plugin["xep_0060"].delete_node(prosody.pubsub, f"{node}-2")

    run = await cli("verify", "--json", *login)

    assert run.code == 1
    document = json.loads(run.out)
    found: dict[str, Any] = {facts["node"]: facts for facts in document["nodes"]}
    assert [facts["state"] for facts in found.values()] == ["differs", "not compared", "equal"]
    assert (found[node]["missing"], found[node]["items"]) == (["b"], 3)
    assert "has no node" in found[f"{node}-2"]["error"]
    mended = await cli("verify", "--repair", *login)
    assert (mended.code, [line.split("\t")[2] for line in mended.out.splitlines()]) == (
        1,
        ["missing", "repaired", "not compared", "equal"],
    )
    assert (await cli("purge", prosody.pubsub, f"{node}-2", *login)).code == 0
    assert (await cli("verify", *login)).code == 0


async def test_the_copy_of_a_program_that_runs_is_verified_beside_it(
    cli: Cli, prosody: Prosody, romeo: ClientXMPP, node: str, open_program: OpenProgram
) -> None:
    program = await open_program("juliet", database=f"sqlite:///{cli.database}")
    await program.newsstand.replica.settled()
    await make_node(romeo, prosody, f"{node}-2", z="Tomb")
    await program.newsstand.replica.synchronise(prosody.pubsub, f"{node}-2")
    run = await run_process("verify", *cli.login(prosody))
    assert [row[1:] for row in run.rows] == [[node, "equal", "3"], [f"{node}-2", "equal", "1"]]
    damage(cli, DAMAGE["misplaced"])
    run = await run_process("verify", prosody.pubsub, node, "--repair", *cli.login(prosody))
    assert [row[2:] for row in run.rows] == [["misplaced", "a"], ["repaired", "3"]]


async def test_no_secret_is_told(cli: Cli, prosody: Prosody, connect: Connect) -> None:
    node, jid, login = "urn:xmpp:bookmarks:1", prosody.jid("juliet"), cli.login(prosody)
    juliet = await connect("juliet")
    await juliet.plugin["xep_0060"].publish(None, node, id="room@muc.example", payload=bookmark("Family", "poison"))
    assert (await cli("sync", jid, node, *login)).code == 0
    damage(cli, "UPDATE newsstand_item SET xml = replace(xml, 'Family', 'Foes')")
    for how in (["-v"], ["--json"], []):
        run = await cli("verify", jid, node, *how, *login)
        assert (run.code, "room@muc.example" in run.out, "poison" in run.out + run.err) == (1, True, False)


async def test_what_cannot_be_verified_is_told(cli: Cli, prosody: Prosody, romeo: ClientXMPP, node: str) -> None:
    login = cli.login(prosody)
    await make_node(romeo, prosody, f"{node}-2", z="Tomb")
    assert "there is no complete copy" in (await cli("verify", prosody.pubsub, f"{node}-2", *login)).error
    assert "is not a JID" in (await cli("verify", "@", "n", *login)).error
    assert "cannot reach" in (await cli("verify", *login, "--server", "127.0.0.1:1")).error
    assert "refused the login" in (await cli("verify", *cli.login(prosody, password="wrong"))).error
    elsewhere = f"sqlite:///{cli.folder}/none.db"
    assert "there is no database at" in (await cli("verify", *cli.login(prosody), "--database", elsewhere)).error
    assert not (cli.folder / "none.db").exists()
    await romeo.plugin["xep_0060"].delete_node(prosody.pubsub, node)
    assert "has no node" in (await cli("verify", prosody.pubsub, node, *cli.login(prosody))).error
    nobody = await cli("verify", *cli.login(prosody, "nurse"))
    assert (nobody.code, nobody.out) == (0, "")
    assert "the database holds no copy of nurse@localhost's" in nobody.err
    usage = await cli("verify", prosody.pubsub)
    assert (usage.code, usage.err.startswith("newsstand: give SERVICE and NODE, or neither")) == (2, True)
