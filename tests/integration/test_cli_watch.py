"""`newsstand watch` tells each change as it happens, and ends without a trace."""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from slixmpp import ClientXMPP

from newsstand.demo.servers.prosody import Prosody
from tests.conftest import Connect
from tests.integration._cli import PROCESS_SECONDS, Cli, make_node, post


@pytest.fixture
def cli(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Cli:
    return Cli(tmp_path, capsys, monkeypatch)


@pytest.fixture
async def romeo(prosody: Prosody, connect: Connect, node: str) -> ClientXMPP:
    """The owner of a node of one item."""
    romeo = await connect("romeo")
    await make_node(romeo, prosody, node, a="Balcony")
    return romeo


class Watch:
    """A `newsstand watch` that runs."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process = process
        self.revision = 0

    async def began(self) -> None:
        assert self.process.stderr is not None
        async with asyncio.timeout(PROCESS_SECONDS):
            line = (await self.process.stderr.readline()).decode()
        found = re.search(r"watching .* from revision (\d+)$", line)
        assert found, line
        self.revision = int(found[1])

    async def line(self) -> str:
        assert self.process.stdout is not None
        async with asyncio.timeout(PROCESS_SECONDS):
            return (await self.process.stdout.readline()).decode().removesuffix("\n")

    async def change(self) -> list[str]:
        """Without its revision."""
        revision, *rest = (await self.line()).split("\t")
        assert int(revision) > 0
        return rest

    async def ended(self) -> tuple[int | None, str]:
        """The exit code, and what it still said."""
        async with asyncio.timeout(PROCESS_SECONDS):
            out, err = await self.process.communicate()
        return self.process.returncode, (out or b"").decode() + err.decode()


@asynccontextmanager
async def watching(*argv: str, stdout: int = asyncio.subprocess.PIPE) -> AsyncIterator[Watch]:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "newsstand.cli", "watch", *argv),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=stdout,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        watch = Watch(process)
        await watch.began()
        yield watch
    finally:
        if process.returncode is None:
            process.kill()
            await process.communicate()


async def publish(owner: ClientXMPP, server: Prosody, node: str, item_id: str, title: str = "New") -> None:
    await owner.plugin["xep_0060"].publish(server.pubsub, node, id=item_id, payload=post(title))


async def test_each_change_is_a_line_at_once(cli: Cli, prosody: Prosody, romeo: ClientXMPP, node: str) -> None:
    async with watching(prosody.pubsub, node, *cli.login(prosody)) as watch:
        await publish(romeo, prosody, node, "b")
        assert await watch.change() == ["put", "b"]
        await romeo.plugin["xep_0060"].retract(prosody.pubsub, node, "a", notify=True)
        assert await watch.change() == ["retract", "a"]
        watch.process.send_signal(signal.SIGINT)
        assert await watch.ended() == (130, "")
    assert [row[3] for row in (await cli("get", prosody.pubsub, node, "--offline")).rows] == ["b"]


async def test_what_was_put_is_shown_whole_where_that_is_wanted(
    cli: Cli, prosody: Prosody, romeo: ClientXMPP, node: str
) -> None:
    async with watching(prosody.pubsub, node, "--full", *cli.login(prosody)) as watch:
        await publish(romeo, prosody, node, "b", "Nightingale")
        assert await watch.change() == ["put", "b"]
        assert await watch.line() == "Nightingale"
        assert (await watch.line()).endswith("2024-05-01 10:00 UTC")
        assert await watch.line() == f"{prosody.pubsub} {node} · id b"
        await romeo.plugin["xep_0060"].retract(prosody.pubsub, node, "a", notify=True)
        assert await watch.change() == ["retract", "a"]


async def test_as_json_each_line_is_a_document(cli: Cli, prosody: Prosody, romeo: ClientXMPP, node: str) -> None:
    async with watching(prosody.pubsub, node, "--json", *cli.login(prosody)) as watch:
        await publish(romeo, prosody, node, "b\N{LATIN SMALL LETTER E WITH ACUTE}")
        change: dict[str, Any] = json.loads(await watch.line())
    revision = change.pop("revision")
    assert revision == watch.revision + 1
    assert change == {
        "account": prosody.jid("juliet"),
        "service": prosody.pubsub,
        "node": node,
        "kind": "put",
        "id": "b\N{LATIN SMALL LETTER E WITH ACUTE}",
    }


async def test_it_goes_on_where_it_was(cli: Cli, prosody: Prosody, romeo: ClientXMPP, node: str) -> None:
    async with watching(prosody.pubsub, node, *cli.login(prosody)) as watch:
        await publish(romeo, prosody, node, "b")
        revision = (await watch.line()).split("\t")[0]
        watch.process.send_signal(signal.SIGTERM)
        assert await watch.ended() == (0, "")
    await publish(romeo, prosody, node, "c")
    async with watching(prosody.pubsub, node, "--since", revision, *cli.login(prosody)) as watch:
        assert await watch.change() == ["put", "c"]
        await publish(romeo, prosody, node, "d")
        assert await watch.change() == ["put", "d"]


async def test_it_ends_when_nobody_reads_any_more(cli: Cli, prosody: Prosody, romeo: ClientXMPP, node: str) -> None:
    """At once, not with the next change."""
    reading, writing = os.pipe()
    async with watching(prosody.pubsub, node, *cli.login(prosody), stdout=writing) as watch:
        os.close(writing)
        os.close(reading)
        assert await watch.ended() == (141, "")


async def test_a_session_that_ends_is_told_with_where_to_go_on(cli: Cli, connect: Connect) -> None:
    async with Prosody(accounts=("romeo", "juliet")) as server:
        romeo = await connect("romeo", server=server)
        await make_node(romeo, server, "verona", a="Balcony")
        async with watching(server.pubsub, "verona", *cli.login(server)) as watch:
            await publish(romeo, server, "verona", "b")
            revision = (await watch.line()).split("\t")[0]
            await server.stop()
            code, said = await watch.ended()
    assert code == 1
    assert said == (f"newsstand: the session with 127.0.0.1:{server.port} ended; go on with --since {revision}\n"), said


async def test_a_node_that_is_deleted_ends_it(cli: Cli, prosody: Prosody, romeo: ClientXMPP, node: str) -> None:
    async with watching(prosody.pubsub, node, *cli.login(prosody)) as watch:
        await romeo.plugin["xep_0060"].delete_node(prosody.pubsub, node)
        code, said = await watch.ended()
    assert code == 1
    assert said.splitlines()[-1].endswith("are not known: the node was deleted")


async def test_what_cannot_be_watched_is_told(cli: Cli, prosody: Prosody, romeo: ClientXMPP, node: str) -> None:
    login = cli.login(prosody)
    assert "has no node 'elsewhere'" in (await cli("watch", prosody.pubsub, "elsewhere", *login)).error
    assert "is not a JID" in (await cli("watch", "@", "n", *login)).error
    assert "cannot reach" in (await cli("watch", prosody.pubsub, node, *login, "--server", "127.0.0.1:1")).error
    never = await cli("watch", prosody.pubsub, node, "--since", "999", *login)
    assert never.code == 1
    assert "after revision 999 are not known" in never.err.splitlines()[-1]
