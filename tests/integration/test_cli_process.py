"""The command line as a process: what it imports, its terminal, its pipes and its end."""

from __future__ import annotations

import asyncio
import os
import pty
import re
import signal
import sys
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from newsstand.demo.servers.prosody import Prosody
from tests.conftest import Connect
from tests.integration._cli import PROCESS_SECONDS, Cli, SilentServer, make_node, run_process

HEAVY = ("slixmpp", "alembic", "rich", "sqlalchemy")
TELL_IMPORTS = """
import sys
from newsstand.cli import main
code = main(sys.argv[2:])
for name in sys.argv[1].split(","):
    if name in sys.modules:
        print("imported:", name, file=sys.stderr)
sys.exit(code)
"""


@pytest.fixture
def cli(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Cli:
    return Cli(tmp_path, capsys, monkeypatch)


async def imports_of(*argv: str, code: int = 0) -> list[str]:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", TELL_IMPORTS, ",".join(HEAVY), *argv),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    async with asyncio.timeout(PROCESS_SECONDS):
        _, err = await process.communicate()
    assert process.returncode == code, err.decode()
    return re.findall(r"(?m)^imported: (\w+)$", err.decode())


async def test_help_imports_nothing_heavy() -> None:
    assert await imports_of("--help") == []


async def test_commands_that_only_read_import_neither_slixmpp_nor_alembic(
    cli: Cli, prosody: Prosody, connect: Connect, node: str
) -> None:
    await make_node(await connect("romeo"), prosody, node, a="Balcony")
    assert (await cli("sync", prosody.pubsub, node, *cli.login(prosody))).code == 0
    for argv in (["search", "balcony"], ["get", prosody.pubsub, node, "--offline"], ["db", "current"]):
        assert await imports_of(*argv) == ["sqlalchemy"], argv
    for argv in (["nodes"], ["nodes", "--json"]):
        assert await imports_of(*argv) == [], argv


@pytest.mark.parametrize(
    "argv", [["nodes"], ["search", "x"], ["get", "pubsub.x", "n", "--offline"], ["purge", "pubsub.x", "n"]]
)
async def test_that_there_is_no_database_is_said_before_anything_heavy_is_imported(cli: Cli, argv: list[str]) -> None:
    assert await imports_of(*argv, code=1) == []


async def test_a_process_without_a_terminal_synchronises_and_reads(
    cli: Cli, prosody: Prosody, connect: Connect, node: str
) -> None:
    await make_node(await connect("romeo"), prosody, node, a="Balcony", b="Nightingale")
    synced = await run_process("sync", prosody.pubsub, node, *cli.login(prosody))
    assert (synced.code, synced.err) == (0, "")
    assert "2 items, live" in synced.out
    found = await run_process("search", "--json", env={"PYTHONIOENCODING": "ascii"})
    assert {item["id"] for item in found.json["items"]} == {"a", "b"}


async def test_the_version_is_told() -> None:
    assert re.fullmatch(r"newsstand \d+\.\d+\.\d+\n", (await run_process("--version")).out)


async def test_a_pipe_that_nobody_reads_ends_it_quietly(
    cli: Cli, prosody: Prosody, connect: Connect, node: str
) -> None:
    await make_node(await connect("romeo"), prosody, node, a="Balcony")
    assert (await cli("sync", prosody.pubsub, node, *cli.login(prosody))).code == 0
    for argv in (["nodes"], ["search", "--json"]):
        reading, writing = os.pipe()
        os.close(reading)
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "newsstand.cli", *argv), stdout=writing, stderr=asyncio.subprocess.PIPE
        )
        os.close(writing)
        async with asyncio.timeout(PROCESS_SECONDS):
            _, err = await process.communicate()
        assert (process.returncode, err.decode()) == (141, ""), argv


async def test_ctrl_c_ends_it_quietly(cli: Cli, prosody: Prosody) -> None:
    async with SilentServer() as server:
        login = [*cli.login(prosody), "--server", f"127.0.0.1:{server.port}"]
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "newsstand.cli", "sync", prosody.pubsub, "n", *login),
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        async with asyncio.timeout(PROCESS_SECONDS):
            await server.connected.wait()
            process.send_signal(signal.SIGINT)
            out, err = await process.communicate()
    assert (process.returncode, out.decode(), err.decode()) == (130, "", "")


class Terminal:
    """A process at a terminal of its own."""

    def __init__(self) -> None:
        self._ours, self._its = pty.openpty()
        self._said = b""

    async def run(
        self, *argv: str, answers: dict[str, str] | None = None, columns: int = 200, zone: str = "UTC"
    ) -> tuple[int, str]:
        """`answers`: what is typed once something is asked. What is said comes back without its colours."""
        environment = {**os.environ, "TERM": "xterm", "COLUMNS": f"{columns}", "TZ": zone}
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "newsstand.cli", *argv),
            stdin=self._its,
            stdout=self._its,
            stderr=self._its,
            env=environment,
            start_new_session=True,
        )
        os.close(self._its)
        left = dict(answers or {})
        async with asyncio.timeout(PROCESS_SECONDS):
            while chunk := await asyncio.to_thread(self._read):
                self._said += chunk
                for question in [question for question in left if question.encode() in self._said]:
                    os.write(self._ours, f"{left.pop(question)}\n".encode())
            await process.wait()
        os.close(self._ours)
        assert process.returncode is not None
        return process.returncode, re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", self._said.decode())

    def _read(self) -> bytes:
        try:
            return os.read(self._ours, 65536)
        except OSError:  # Linux says so when the other side is closed
            return b""


async def test_at_a_terminal_the_password_is_asked_for_and_progress_is_shown(
    cli: Cli, prosody: Prosody, connect: Connect, node: str
) -> None:
    await make_node(await connect("romeo"), prosody, node, a="[red]Balcony[/red]")
    login = cli.login(prosody)
    argv = ["sync", prosody.pubsub, node, *login[:2], *login[4:]]

    code, said = await Terminal().run(*argv, answers={"Password of juliet@localhost: ": prosody.password})

    assert code == 0, said
    assert prosody.password not in said
    assert "1/1" in said
    assert f"{node} of {prosody.pubsub}: 1 item, live" in said
    _, table = await Terminal().run("nodes")
    assert re.search(r"service +node +type +state +items +verified +reason", table)
    assert re.search(r"pubsub\.localhost .* blog +stale +1 +\d+ (s|min) ago", table)
    _, found = await Terminal().run("search")
    assert "[red]Balcony[/red]" in found
    assert f"{prosody.pubsub} {node} · id a" in found


ENTRY = """<entry xmlns="http://www.w3.org/2005/Atom"><id>tag:1</id><title>Compost\N{RIGHT-TO-LEFT OVERRIDE}</title>
<author><name>Juliet</name></author><category term="garden"/><category term="snails"/>
<content type="xhtml"><div xmlns="http://www.w3.org/1999/xhtml"><p>A heap of leaves, and of whatever lives in it, which
is more than sixty columns.</p><p>Then\x9b2J rain.</p></div></content>
<link rel="alternate" href="https://example.org/1"/><published>2026-01-01T10:00:00Z</published></entry>"""


async def test_at_a_narrow_terminal_a_post_can_be_read_and_nothing_is_wider_than_it(
    cli: Cli, prosody: Prosody, connect: Connect, node: str
) -> None:
    romeo = await connect("romeo")
    await romeo.plugin["xep_0060"].create_node(prosody.pubsub, node)
    await romeo.plugin["xep_0060"].publish(prosody.pubsub, node, id="one", payload=ET.fromstring(ENTRY))
    assert (await cli("sync", prosody.pubsub, node, *cli.login(prosody))).code == 0

    get = ("get", prosody.pubsub, node, "--offline")
    said = {
        name: (await Terminal().run(*argv, columns=60, zone="Europe/Berlin"))[1].replace("\r", "")
        for name, argv in {
            "whole": (*get, "--id", "one"),
            "list": get,
            "search": ("search",),
            "nodes": ("nodes",),
        }.items()
    }

    for text in said.values():
        table, _, _ = text.partition("newsstand: ")
        assert max(map(len, table.splitlines())) <= 60, text
        assert "\x9b" not in text
        assert "\N{RIGHT-TO-LEFT OVERRIDE}" not in text
    whole = said["whole"].split("\n\n")
    assert whole[0].startswith("Compost\N{REPLACEMENT CHARACTER}\nJuliet · blog · 2026-01-01 11:00 +01:00\n")
    assert "".join(whole[0].split()).endswith(f"{prosody.pubsub}{node}·idone")
    assert " ".join(whole[1].split()).startswith("A heap of leaves, and of whatever lives in it, which is more than")
    assert whole[2] == "  Then\N{REPLACEMENT CHARACTER}2J rain."
    assert whole[3].startswith("tags: garden, snails\nlink: https://example.org/1\n")
    for brief in (said["list"], said["search"]):
        assert brief.startswith("2026-01-01 11:00 +01:00  Compost\N{REPLACEMENT CHARACTER}\n    Juliet · blog · ")
        assert "    A heap of leaves, and of whatever lives in it, which is\n    more than" in brief
        assert "    tags: garden, snails\n    https://example.org/1\n" in brief
    assert "".join(said["nodes"].split()).startswith(f"{prosody.pubsub}{node}typeblog·statestale·items1")
    piped = await cli(*get, "--full")
    assert piped.out.splitlines()[-3:] == ["", "tags: garden, snails", "link: https://example.org/1"]
