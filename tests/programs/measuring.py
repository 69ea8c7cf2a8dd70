"""A program's whole measurement: three starts without Newsstand and three with it, and one without a server."""

from __future__ import annotations

import asyncio
import ssl
import subprocess
from collections.abc import Callable
from contextlib import AsyncExitStack
from pathlib import Path

from newsstand.demo.clients import LoopbackClient
from tests.programs import stage
from tests.programs.programs import ENVIRONMENTS, Place, Program
from tests.programs.results import Measured, Start
from tests.programs.starting import start
from tests.programs.tap import Tap

STARTS = 3
OFFLINE_SECONDS = 25.0
"""For how long the start without a server is watched."""


async def measure(program: Program, folder: Path, seconds: float, say: Callable[[str], None]) -> Measured:
    """Without and with Newsstand there is a server each, with the same content. The program keeps its folder."""
    if not (ENVIRONMENTS / program.name).exists():
        return Measured(program.name, [], [], missing=f"{program.needs} is not there")
    without, with_it = await asyncio.gather(
        _starts(program, folder / f"{program.name}-without", seconds, say, with_newsstand=False),
        _starts(program, folder / f"{program.name}-with", seconds, say, with_newsstand=True),
    )
    return Measured(program.name, without[:STARTS], with_it[:STARTS], with_it[STARTS])


async def _starts(
    program: Program, folder: Path, seconds: float, say: Callable[[str], None], *, with_newsstand: bool
) -> list[Start]:
    folder.mkdir(parents=True)
    starts = []
    async with AsyncExitStack() as stack:
        server = await stack.enter_async_context(stage.new_server())
        await stage.fill(server)
        port = server.component_port if program.component else server.port
        tap = Tap(port, _tls(folder) if program.tls else None)
        await tap.open()
        stack.push_async_callback(tap.close)
        place = Place(folder, server, tap.host, tap.port, with_newsstand)
        for number in range(1, STARTS + 1):
            if number == STARTS:
                await stage.change(server)
            async with LoopbackClient(server, stage.USER, "witness") as witness:
                made = await start(program, place, tap, number, seconds=seconds, witness=witness)
            say(_line(program, made, str(number), with_newsstand))
            starts.append(made)
    # The server and the tap are gone; what the tap notes of this start is nothing.
    if with_newsstand:
        made = await start(program, place, tap, STARTS + 1, seconds=OFFLINE_SECONDS, witness=None)
        say(_line(program, made, "offline", with_newsstand))
        starts.append(made)
    return starts


def _line(program: Program, made: Start, which: str, with_newsstand: bool) -> str:
    how = "with" if with_newsstand else "without"
    own = f", {made.own_requests} of them Newsstand's" if with_newsstand else ""
    reads = f"{len(made.reads)} reads, {len(made.hits)} from the copy, {len(made.differing)} of them otherwise"
    trouble = f" ({made.trouble})" if made.trouble else ""
    return f"{program.name}, {how}, start {which}: {made.requests} IQs{own}, {made.later} later; {reads}{trouble}"


def _tls(folder: Path) -> ssl.SSLContext:
    """For a program that wants an encrypted stream: a certificate that nobody knows."""
    certificate, key = folder / "tap.crt", folder / "tap.key"
    subprocess.run(
        [
            *("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"),
            *("-days", "2", "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"),
            *("-out", str(certificate), "-keyout", str(key)),
        ],
        check=True,
        capture_output=True,
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    return context
