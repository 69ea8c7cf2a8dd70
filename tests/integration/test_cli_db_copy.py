"""`newsstand db copy`: a database moves from a file to a server and back, as a person would have it."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from newsstand.storage.schema.versioning import revisions
from tests.contract._copied import fill, held
from tests.databases import Databases
from tests.integration._cli import PROCESS_SECONDS, Cli
from tests.integration.test_cli_process import Terminal
from tests.migration._contents import execute

NEWEST = revisions()[-1]


@pytest.fixture
async def cli(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Cli:
    cli = Cli(tmp_path, capsys, monkeypatch)
    await fill(f"sqlite:///{cli.database}")
    return cli


@pytest.fixture
async def server(databases: Databases, tmp_path: Path) -> AsyncIterator[str]:
    """The URL of a database without tables."""
    url = await databases.new("postgresql", tmp_path, empty=True)
    yield url
    await databases.drop(url)


async def test_a_database_moves_to_a_server_and_back(cli: Cli, server: str, tmp_path: Path) -> None:
    there = await cli("db", "copy", "-", server)
    assert (there.code, there.err) == (0, "")
    *tables, told = there.rows
    assert tables[0][:2] == ["newsstand_account", "2"]
    assert told[0].startswith(f"{sum(int(row[1]) for row in tables)} rows copied from {cli.database} to the PostgreSQL")
    assert (await cli("db", "current", "--database", server)).out.endswith("up to date\n")

    back = tmp_path / "back.db"
    document = (await cli("db", "copy", server, f"sqlite:///{back}", "--json")).json
    assert [[t["table"], str(t["rows"]), t["digest"]] for t in document["tables"]] == tables
    assert (document["to"], document["found"], document["differences"]) == (str(back), 0, [])
    assert back.stat().st_mode & 0o777 == 0o600
    assert await held(f"sqlite:///{back}") == await held(f"sqlite:///{cli.database}")
    url = f"sqlite:///{cli.database}"
    juliet = ("--account", "juliet@example.org")
    found = [(await cli("search", "compost", "--json", "--database", each, *juliet)).json for each in (url, server)]
    assert found[0] == found[1]
    assert len(found[0]["items"]) == 19


async def test_what_is_refused_is_one_line(cli: Cli, server: str, tmp_path: Path) -> None:
    assert "to itself" in (await cli("db", "copy", "-", f"sqlite:///{cli.database}")).error
    assert "there is no database at" in (await cli("db", "copy", f"sqlite:///{tmp_path}/none.db", server)).error
    assert (await cli("db", "copy", "-", server)).code == 0
    assert "holds copies already" in (await cli("db", "copy", "-", server)).error
    assert (await cli("db", "copy", "-")).code == 2


async def test_no_password_is_told(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NEWSSTAND_DATABASE", "postgresql://juliet:s%40fe-word@127.0.0.1:1/news")
    for argv in ((f"sqlite:///{cli.database}", "-"), ("-", f"sqlite:///{cli.folder}/new.db")):
        run = await cli("db", "copy", *argv, "-v")
        assert run.code == 1
        assert "'news' on 127.0.0.1" in run.err
        assert not any(secret in run.out + run.err for secret in ("s@fe-word", "s%40fe-word"))


async def test_a_difference_is_told_and_the_copy_is_not_used(cli: Cli, server: str) -> None:
    """The server changes what it is given."""
    assert (await cli("db", "upgrade", "--database", server)).code == 0
    execute(
        server,
        "CREATE FUNCTION spoil() RETURNS trigger LANGUAGE plpgsql AS"
        " $$ BEGIN NEW.xml = NEW.xml || ' '; RETURN NEW; END $$",
        "CREATE TRIGGER spoil BEFORE INSERT ON newsstand_item FOR EACH ROW WHEN (NEW.item_id = 'item 7')"
        " EXECUTE FUNCTION spoil()",
    )
    wrong = await cli("db", "copy", "-", server)
    assert wrong.code == 1
    assert wrong.out.startswith("differs\tnewsstand_item: 43 rows, of 43; the row of node_id ")
    assert wrong.out.endswith(" differs in xml\n")
    assert "give the same command again" in wrong.err
    document = await cli("db", "copy", "-", server, "--json")
    assert (document.code, '"differences": ["newsstand_item: ' in document.out) == (1, True)
    for argv in (("nodes",), ("search", "compost"), ("db", "check"), ("db", "upgrade")):
        assert "not finished" in (await cli(*argv, "--database", server)).error
    assert "not finished" in (await cli("db", "current", "--database", server)).out

    execute(server, "DROP TRIGGER spoil ON newsstand_item")
    assert (await cli("db", "copy", "-", server)).code == 0
    assert await held(server) == await held(f"sqlite:///{cli.database}")


async def test_an_unfinished_copy_is_dropped_by_a_downgrade(cli: Cli, server: str) -> None:
    assert (await cli("db", "upgrade", "--database", server)).code == 0
    execute(server, f"UPDATE newsstand_version SET version_num = 'copying-{NEWEST}-0123456789abcdef'")
    assert "unfinished copy of another database" in (await cli("db", "copy", "-", server)).error
    assert (await cli("db", "downgrade", "base", "--yes", "--database", server)).code == 0
    assert (await cli("db", "copy", "-", server)).code == 0


async def test_ctrl_c_ends_it_and_it_goes_on(cli: Cli, server: str, databases: Databases) -> None:
    assert (await cli("db", "upgrade", "--database", server)).code == 0
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", SLOW, "db", "copy", f"sqlite:///{cli.database}", server),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env={**os.environ},
    )
    assert process.stdout is not None
    assert await process.stdout.readline() == b"copying\n"
    process.send_signal(signal.SIGINT)
    async with asyncio.timeout(PROCESS_SECONDS):
        out, err = await process.communicate()
    assert (process.returncode, out, err) == (130, b"", b"")
    again = await cli("db", "copy", "-", server)
    assert (again.code, "of them there already" in again.out) == (0, True)


SLOW = """
import sys, time
from newsstand.storage.maintenance import copying
copying.ROWS = 1
change = copying.WholeDatabase.change
def slow(self, conn):
    time.sleep(0.05)
    told.append(len(told) == 10 and print("copying", flush=True))
    return change(self, conn)
told = []
copying.WholeDatabase.change = slow
from newsstand.cli import main
sys.exit(main(sys.argv[1:]))
"""


async def test_at_a_terminal_progress_is_shown(cli: Cli, server: str) -> None:
    code, said = await Terminal().run("db", "copy", f"sqlite:///{cli.database}", server)
    assert code == 0, said
    assert "copied and compared" in said
