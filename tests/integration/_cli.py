"""The command line, run in this process and as a process of its own."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self
from xml.etree import ElementTree as ET
from xml.etree.ElementTree import Element

import pytest
from slixmpp import ClientXMPP

from newsstand.cli import main
from newsstand.demo.servers.prosody import Prosody

ATOM = "http://www.w3.org/2005/Atom"
PROCESS_SECONDS = 60.0


@dataclass(frozen=True)
class Run:
    """What a command did."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        assert self.code == 0, self.err
        return json.loads(self.out)

    @property
    def rows(self) -> list[list[str]]:
        assert self.code == 0, self.err
        return [line.split("\t") for line in self.out.splitlines()]

    @property
    def error(self) -> str:
        """The one line of a failure."""
        assert self.code == 1, (self.code, self.out)
        (line,) = self.err.splitlines()
        assert line.startswith("newsstand: ")
        return line


class Cli:
    """Runs `newsstand …` with no terminal, on a database in `folder`."""

    def __init__(self, folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
        self.folder = folder
        self.database = folder / "news.db"
        self._capsys = capsys
        connection = ("SERVER", "CA_FILE", "PASSWORD_FILE", "PLAINTEXT", "TIMEOUT")
        for name in ("NEWSSTAND_ACCOUNT", "CREDENTIALS_DIRECTORY", *(f"NEWSSTAND_{name}" for name in connection)):
            monkeypatch.delenv(name, raising=False)
        monkeypatch.setenv("NEWSSTAND_DATABASE", f"sqlite:///{self.database}")
        monkeypatch.setenv("XDG_DATA_HOME", str(folder / "share"))
        monkeypatch.setenv("PYTHON_KEYRING_BACKEND", "keyring.backends.fail.Keyring")  # not that of whoever tests

    async def __call__(self, *argv: str) -> Run:
        """In this process, in a thread: it has an event loop of its own."""
        self._capsys.readouterr()
        code = await asyncio.to_thread(main, argv)
        said = self._capsys.readouterr()
        return Run(code, said.out, said.err)

    def login(self, server: Prosody, account: str = "juliet", *, password: str | None = None) -> list[str]:
        """The options of a command that connects."""
        file = self.folder / "password"
        file.write_text(f"{server.password if password is None else password}\n", encoding="utf-8")
        file.chmod(0o600)
        address = f"{server.host}:{server.port}"
        jid = server.jid(account)
        return ["--account", jid, "--password-file", str(file), "--server", address, "--plaintext"]


async def run_process(*argv: str, env: Mapping[str, str] | None = None) -> Run:
    """As a process of its own, with neither terminal nor input."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "newsstand.cli", *argv),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env={**os.environ, **(env or {})},
    )
    async with asyncio.timeout(PROCESS_SECONDS):
        out, err = await process.communicate()
    assert process.returncode is not None
    return Run(process.returncode, out.decode(), err.decode())


def post(title: str, text: str = "", *, published: str = "2024-05-01T10:00:00Z") -> Element:
    """An Atom entry."""
    entry = Element(f"{{{ATOM}}}entry")
    for name, value in (("title", title), ("summary", text), ("published", published)):
        ET.SubElement(entry, f"{{{ATOM}}}{name}").text = value
    return entry


def bookmark(name: str, password: str) -> Element:
    """XEP-0402."""
    conference = Element("{urn:xmpp:bookmarks:1}conference", {"name": name, "autojoin": "true"})
    ET.SubElement(conference, "{urn:xmpp:bookmarks:1}password").text = password
    return conference


async def make_node(owner: ClientXMPP, server: Prosody, node: str, **posts: str) -> None:
    """A node of posts, by item id."""
    pubsub = owner.plugin["xep_0060"]
    await pubsub.create_node(server.pubsub, node)
    for item_id, title in posts.items():
        await pubsub.publish(server.pubsub, node, id=item_id, payload=post(title))


class SilentServer:
    """A port of loopback on which connections are taken and nothing is ever said."""

    def __init__(self) -> None:
        self.connected = asyncio.Event()
        self._writers: list[asyncio.StreamWriter] = []

    @property
    def port(self) -> int:
        return int(self._address[1])

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._take, "127.0.0.1", 0)
        self._address = self._server.sockets[0].getsockname()
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        for writer in self._writers:
            writer.close()
        await self._server.wait_closed()

    def _take(self, _: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.append(writer)
        self.connected.set()
