"""`newsstand db`: the schema goes forward and back."""

from __future__ import annotations

import json
import sqlite3
import stat
from contextlib import closing
from pathlib import Path

import pytest

from newsstand.demo.servers.prosody import Prosody
from newsstand.model import NodeKey, NodeRecord
from newsstand.storage.database import open_database
from newsstand.storage.schema.versioning import revisions
from newsstand.storage.statements import nodes
from tests.conftest import Connect
from tests.databases import Databases
from tests.integration._cli import Cli, make_node
from tests.migration._contents import execute

NEWEST = revisions()[-1]


@pytest.fixture
def cli(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Cli:
    return Cli(tmp_path, capsys, monkeypatch)


def tables(database: Path) -> set[str]:
    with closing(sqlite3.connect(database)) as conn:
        return {name for (name,) in conn.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}


async def test_a_database_is_made_looked_at_emptied_and_filled_again(cli: Cli) -> None:
    assert (await cli("db", "upgrade")).out == f"from none to {NEWEST}\n"
    assert (await cli("db", "upgrade")).out == f"at revision {NEWEST} already\n"
    assert (await cli("db", "current")).out == f"revision {NEWEST}, newest known {NEWEST}: up to date\n"
    with closing(sqlite3.connect(cli.database)) as conn, conn:
        conn.execute("CREATE TABLE recipes (title TEXT)")

    assert (await cli("db", "downgrade", "base", "--yes")).out == f"from {NEWEST} to base\n"

    assert (await cli("db", "current")).out.startswith(f"revision none, newest known {NEWEST}: empty")
    left = tables(cli.database)
    assert "recipes" in left
    assert "newsstand_node" not in left
    assert (await cli("db", "downgrade", "base", "--yes")).out == "at revision base already\n"
    assert (await cli("db", "upgrade")).out == f"from none to {NEWEST}\n"


async def test_looking_makes_no_database_and_changes_none(cli: Cli) -> None:
    assert "there is no database at" in (await cli("db", "current")).error
    assert not cli.database.exists()
    cli.database.touch()
    assert "revision none" in (await cli("db", "current")).out
    assert cli.database.stat().st_size == 0


async def test_the_whole_copy_is_dropped_only_by_saying_yes(
    cli: Cli, prosody: Prosody, connect: Connect, node: str
) -> None:
    await make_node(await connect("romeo"), prosody, node, a="Balcony")
    assert (await cli("sync", prosody.pubsub, node, *cli.login(prosody))).code == 0

    assert "say --yes if that is meant" in (await cli("db", "downgrade", "base")).error
    assert [row[3] for row in (await cli("search")).rows] == ["a"]
    assert (await cli("db", "downgrade", "base", "--yes")).code == 0
    assert (await cli("search")).out == ""


async def test_a_downgrade_goes_back_only(cli: Cli) -> None:
    await cli("db", "upgrade")
    assert "there is no revision '7777'" in (await cli("db", "downgrade", "7777")).error
    assert "there is no revision 'head'" in (await cli("db", "downgrade", "head")).error
    assert (await cli("db", "downgrade", NEWEST)).out == f"at revision {NEWEST} already\n"
    await cli("db", "downgrade", "base", "--yes")
    assert "goes forward" in (await cli("db", "downgrade", NEWEST)).error


async def test_without_a_url_the_database_is_in_the_users_own_data_folder(
    cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("NEWSSTAND_DATABASE")
    file = tmp_path / "share" / "newsstand" / "newsstand.db"
    assert str(file) in (await cli("nodes")).error
    assert not file.parent.exists()

    assert (await cli("db", "upgrade")).code == 0

    assert stat.S_IMODE(file.parent.stat().st_mode) == 0o700
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    monkeypatch.delenv("XDG_DATA_HOME")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    assert f"{tmp_path}/home/.local/share/newsstand/newsstand.db" in (await cli("nodes")).error


async def test_a_database_is_checked_and_what_is_wrong_is_told(
    cli: Cli, prosody: Prosody, connect: Connect, node: str
) -> None:
    await make_node(await connect("romeo"), prosody, node, a="Balcony")
    assert (await cli("sync", prosody.pubsub, node, *cli.login(prosody))).code == 0
    right = await cli("db", "check")
    assert (right.code, right.out, right.err) == (0, "nothing wrong was found\n", "")
    assert (await cli("db", "check", "--json")).json == {"problems": []}

    with closing(sqlite3.connect(cli.database)) as conn, conn:
        conn.execute("UPDATE newsstand_node SET item_count = 5")

    wrong = await cli("db", "check")
    assert (wrong.code, wrong.out) == (1, f"newsstand_node\tnode 1 ({node!r}) counts 5 items and has 1\n")
    assert "something is wrong" in wrong.error
    document = await cli("db", "check", "--json")
    assert document.code == 1
    (problem,) = json.loads(document.out)["problems"]
    assert problem == {"table": "newsstand_node", "problem": f"node 1 ({node!r}) counts 5 items and has 1"}


async def test_what_is_damaged_is_taken_out_and_fetched_again(
    cli: Cli, prosody: Prosody, connect: Connect, node: str
) -> None:
    await make_node(await connect("romeo"), prosody, node, a="Balcony", b="Orchard")
    assert (await cli("sync", prosody.pubsub, node, *cli.login(prosody))).code == 0
    assert (await cli("db", "check", "--repair")).out == "nothing wrong was found\n"
    with closing(sqlite3.connect(cli.database)) as conn, conn:
        conn.execute("UPDATE newsstand_item SET xml = replace(xml, 'Balcony', 'Falcony')")
    problem = "item 'a' of node 1 has other contents than its digest says"

    repaired = await cli("db", "check", "--repair")

    assert (repaired.code, repaired.err) == (0, "")
    assert repaired.out.startswith(f"newsstand_item\t{problem}\nrepaired\tdamaged items taken out")
    assert (await cli("db", "check", "--repair", "--json")).json == {"problems": [], "done": [], "left": 0}
    part = await cli("get", prosody.pubsub, node, "--offline")
    assert part.err.endswith("it may be out of date, and is only a part of the node\n")
    assert [row[3] for row in part.rows] == ["b"]
    assert (await cli("sync", prosody.pubsub, node, *cli.login(prosody))).code == 0
    assert [row[3] for row in (await cli("search", "balcony")).rows] == ["a"]
    assert (await cli("db", "check")).code == 0


async def test_a_file_that_cannot_be_repaired_is_set_aside_by_the_next_program(
    cli: Cli, prosody: Prosody, connect: Connect, node: str
) -> None:
    await make_node(await connect("romeo"), prosody, node, a="Balcony")
    assert (await cli("sync", prosody.pubsub, node, *cli.login(prosody))).code == 0
    with closing(sqlite3.connect(cli.database)) as conn:
        (root,) = conn.execute("SELECT rootpage FROM sqlite_master WHERE name = 'newsstand_item'").fetchone()
    with cli.database.open("r+b") as file:
        file.seek((root - 1) * 4096)
        file.write(b"\xff" * 4096)

    repaired = await cli("db", "check", "--repair")

    assert repaired.code == 1
    assert "the next program that opens it sets it aside" in repaired.out
    synced = await cli("sync", prosody.pubsub, node, *cli.login(prosody))
    assert (synced.code, "was set aside" in synced.err) == (0, True)
    assert [row[3] for row in (await cli("search", "balcony")).rows] == ["a"]
    assert len(list(cli.database.parent.glob("news.db.damaged-*"))) == 1


async def test_checking_and_backing_up_make_no_database(cli: Cli, tmp_path: Path) -> None:
    for argv in (["check"], ["backup", str(tmp_path / "backup.db")]):
        assert f"there is no database at {cli.database}" in (await cli("db", *argv)).error
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "news.db").write_text("no database at all, but a letter of some length", encoding="utf-8")
    for argv in (["check"], ["backup", str(tmp_path / "backup.db")]):
        assert f"{cli.database} is no database" in (await cli("db", *argv)).error
    assert [file.name for file in tmp_path.iterdir()] == ["news.db"]


async def test_a_backup_is_a_database_that_can_be_read(
    cli: Cli, prosody: Prosody, connect: Connect, node: str, tmp_path: Path
) -> None:
    await make_node(await connect("romeo"), prosody, node, a="Balcony")
    assert (await cli("sync", prosody.pubsub, node, *cli.login(prosody))).code == 0
    file = tmp_path / "backup.db"

    made = await cli("db", "backup", str(file))

    assert (made.code, made.out) == (0, f"{file}: {file.stat().st_size} bytes\n")
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert "--force replaces it" in (await cli("db", "backup", str(file))).error
    assert (await cli("db", "backup", str(file), "--force")).code == 0
    found = await cli("search", "balcony", "--database", f"sqlite:///{file}")
    assert [row[3] for row in found.rows] == ["a"]


async def test_a_postgresql_database_is_checked_repaired_and_backed_up_by_its_own_tools(
    cli: Cli, databases: Databases, tmp_path: Path
) -> None:
    url = await databases.new("postgresql", tmp_path)
    database = await open_database(url)
    await database.write(nodes.save, NodeRecord(0, NodeKey("juliet@example.org", "pubsub.example.org", "blog")))
    await database.close()
    here = ("--database", url)
    assert (await cli("db", "check", *here)).out == "nothing wrong was found\n"
    execute(url, "UPDATE newsstand_node SET item_count = 5")

    wrong = await cli("db", "check", *here)
    assert (wrong.code, wrong.out) == (1, "newsstand_node\tnode 1 ('blog') counts 5 items and has 0\n")
    repaired = await cli("db", "check", "--repair", *here)
    assert (repaired.code, repaired.err) == (0, "")
    assert "repaired\tnodes whose counts were wrong, counted: 1" in repaired.out
    assert (await cli("db", "check", *here)).code == 0
    assert "pg_dump" in (await cli("db", "backup", str(tmp_path / "backup"), *here)).error
    assert list(tmp_path.iterdir()) == []
    await databases.drop(url)
