"""The programs: what each is, how it is started, and how it is given Newsstand."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from xml.etree.ElementTree import SubElement

from slixmpp.exceptions import IqError

from newsstand.demo.clients import LoopbackClient
from newsstand.demo.servers.process import spawn
from newsstand.demo.servers.prosody import Prosody
from tests.programs import stage

ROOT = Path(__file__).parents[2]
ENVIRONMENTS = ROOT / ".venv-programs"
DRIVERS = Path(__file__).parent / "drivers"
OBSERVING = Path(__file__).parent / "observing"


def settings() -> dict[str, str]:
    """Newsstand's settings, where whoever measures tries others than its own: $NEWSSTAND_POLICY and the like."""
    return {name: value for name, value in os.environ.items() if name.startswith("NEWSSTAND_")}


@dataclass(frozen=True, slots=True)
class Place:
    """Where a program is started: its server, the tap before that, and a folder of its own that it keeps."""

    folder: Path
    server: Prosody
    host: str
    port: int
    with_newsstand: bool

    def environment(self, name: str) -> dict[str, str]:
        """The environment of a process of a program's."""
        return {
            "PATH": os.pathsep.join([str(ENVIRONMENTS / name / "bin"), os.environ.get("PATH", os.defpath)]),
            "HOME": str(self.folder),
            "LANG": "C.UTF-8",
            "TERM": "xterm-256color",
            "PYTHONPATH": str(DRIVERS),
            "SSL_CERT_FILE": os.devnull,
            "PROGRAMS_HOST": self.host,
            "PROGRAMS_PORT": str(self.port),
            "PROGRAMS_PASSWORD": self.server.password,
            "PROGRAMS_JID": self.server.jid(stage.USER),
            "PROGRAMS_SERVICE": self.server.pubsub,
            "PROGRAMS_NODES": ",".join(stage.NODES),
            "PROGRAMS_SETTINGS": stage.SETTINGS,
            **settings(),
            "NEWSSTAND_DATABASE": f"sqlite:///{self.folder / 'newsstand.db'}",
        } | ({"PROGRAMS_NEWSSTAND": "1"} if self.with_newsstand else {})


async def nothing(place: Place, number: int) -> None:
    """Nobody does anything to the program while it runs."""


@dataclass(frozen=True, slots=True)
class Program:
    """A program that is measured."""

    name: str
    """That of its environment, and of its requirements."""
    title: str
    command: Callable[[Place], list[str]]
    given: str
    """How it is given Newsstand."""
    does: str
    """What it does, and what it reads."""
    tls: bool = False
    """It wants an encrypted stream."""
    component: bool = False
    """It is a component of the server."""
    needs: str = "Python 3.11"
    """What its environment is made with."""
    meanwhile: Callable[[Place, int], Coroutine[Any, Any, None]] = nothing
    """What somebody else does once it runs, at each start. Raises where the program does not do its part."""


def _driver(name: str, script: str, *arguments: str) -> list[str]:
    return [str(ENVIRONMENTS / name / "bin" / "python"), str(DRIVERS / script), *arguments]


async def _talk_encrypted(place: Place, _: int) -> None:
    """The peer sends the bot a message, and waits for its echo."""
    folder = place.folder.parent / f"{place.folder.name}-peer"
    folder.mkdir(exist_ok=True)
    own = {"HOME": str(folder), "PROGRAMS_JID": place.server.jid(stage.PEER), "PROGRAMS_PORT": str(place.server.port)}
    environment = place.environment("omemo") | own
    environment.pop("PROGRAMS_NEWSSTAND", None)
    process = await spawn(
        *_driver("omemo", "omemo_echo.py", "peer", place.server.jid(stage.USER)), folder=folder, environment=environment
    )
    try:
        async with asyncio.timeout(60):
            if await process.wait() != 0:
                raise RuntimeError("no echo came")
    except TimeoutError:
        raise RuntimeError("the peer did not end") from None
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


def _start_slidge(place: Place) -> list[str]:
    home = place.folder / "slidge"
    return [
        str(ENVIRONMENTS / "slidge" / "bin" / "slidge"),
        *("--jid", stage.COMPONENT, f"--secret={place.server.component_secret(stage.COMPONENT)}"),
        *("--server", place.host, "--port", str(place.port), "--home-dir", str(home)),
        *("--legacy-module", "slidge_minimal", "--user-jid-validator", ".*"),
    ]


async def _register_once(place: Place, number: int) -> None:
    """The user registers with the gateway, during the first start only (XEP-0077)."""
    if number > 1:
        return
    async with LoopbackClient(place.server, stage.USER, "phone") as user:
        user.send_presence()
        while True:
            iq = user.Iq()
            iq["type"], iq["to"] = "set", stage.COMPONENT
            query = SubElement(iq.xml, "{jabber:iq:register}query")
            SubElement(query, "{jabber:iq:register}username").text = stage.USER
            try:
                await iq.send(timeout=10)
                return
            except IqError as error:
                if error.condition not in ("remote-server-not-found", "remote-server-timeout", "service-unavailable"):
                    raise
            await asyncio.sleep(0.5)  # it is starting


def _start_poezio(place: Place) -> list[str]:
    configuration = place.folder / ".config" / "poezio" / "poezio.cfg"
    configuration.parent.mkdir(parents=True, exist_ok=True)
    if not configuration.exists():
        lines = {
            "jid": place.server.jid(stage.USER),
            "password": place.server.password,
            "custom_host": place.host,
            "custom_port": place.port,
            "tls_verify_cert": "false",
            "ignore_certificate": "true",
            "use_bookmarks_method": "pep",
            "plugins_autoload": "newsstand" if place.with_newsstand else "",
        }
        configuration.write_text("".join(["[Poezio]\n", *(f"{key} = {value}\n" for key, value in lines.items())]))
    poezio = ENVIRONMENTS / "poezio" / "bin" / "poezio"
    return [sys.executable, str(DRIVERS / "terminal.py"), str(poezio), "-d", str(place.folder / "debug.log")]


ONE_LINE = 'one line: `register_plugin("newsstand", {}, module="newsstand.slixmpp")`'

PROGRAMS = (
    Program(
        "omemo",
        "slixmpp-omemo 2.2.0",
        lambda _: _driver("omemo", "omemo_echo.py", "bot"),
        given=f"{ONE_LINE} in the bot",
        does="The library behind an echo bot (ours, because its example is not on PyPI). At each start it looks after "
        "its own devices; then a contact sends it an encrypted message, which it sends back.",
        meanwhile=_talk_encrypted,
    ),
    Program(
        "slixfeed",
        "slixfeed 2025.12.31",
        lambda _: _driver("slixfeed", "slixfeed_reads.py"),
        given=f"{ONE_LINE} in the script that calls its functions",
        does="Its functions for pubsub, called by a script: the nodes of a service (disco), three nodes as a whole, "
        "one item of each by its id; 30 s later the three nodes again.",
    ),
    Program(
        "rivista",
        "rivista 2025.11.13",
        lambda _: _driver("rivista", "rivista_reads.py"),
        given=f"{ONE_LINE} in the script that calls its functions",
        does="Its functions for pubsub, called by a script: its private settings, of three nodes the ids (disco), the "
        "whole, and one item by its id; 30 s later the three nodes again, by its other module.",
    ),
    Program(
        "slidge",
        "slidge 0.5.3",
        _start_slidge,
        given=f"{ONE_LINE} in the legacy module",
        does="The command, with a legacy module of a few lines, as a component with one user, who wants the avatar "
        "synced. When that user's session begins it reads the avatar's metadata, and the picture where that is new. "
        "What slidge asks as a privileged entity (XEP-0356) is not measured: Prosody brings no module for that.",
        component=True,
        needs="Python 3.13",
        meanwhile=_register_once,
    ),
    Program(
        "poezio",
        "poezio 0.18",
        _start_poezio,
        given="`plugins_autoload = newsstand` in its configuration",
        does="The client, on a terminal of its own, set to keep bookmarks in PEP: it reads those, and the avatars of "
        "contacts that are not in its own cache yet.",
        tls=True,
    ),
)
