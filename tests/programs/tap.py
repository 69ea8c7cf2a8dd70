"""A loopback proxy between a program and its server, which notes each request that passes it."""

from __future__ import annotations

import asyncio
import ssl
import time
from dataclasses import dataclass

from tests.converge.proxy import Stanzas
from tests.programs.wire import Request, read_request


@dataclass(frozen=True, slots=True)
class Passed:
    """A request that passed the tap."""

    at: float
    """By `time.time`, as the programs' own records have it."""
    request: Request


class Tap:
    """Listens on a free loopback port while it is open.

    With a TLS context it speaks TLS from the first byte (XEP-0368) to the program; the server is reached in plain
    text."""

    host = "127.0.0.1"

    def __init__(self, to_port: int, tls: ssl.SSLContext | None = None) -> None:
        self._to_port = to_port
        self._tls = tls
        self.port = 0
        self.passed: list[Passed] = []
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    async def open(self) -> None:
        self._server = await asyncio.start_server(self._accept, self.host, self.port, ssl=self._tls)
        self.port = self._server.sockets[0].getsockname()[1]

    async def close(self) -> None:
        """Nobody listens on the port any more."""
        if self._server is not None:
            self._server.close()
        for task in list(self._tasks):
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        back: asyncio.StreamWriter | None = None
        try:
            there, back = await asyncio.open_connection(self.host, self._to_port)
            await asyncio.gather(self._up(reader, back), self._down(there, writer))
        except (OSError, asyncio.CancelledError):
            pass  # one of the three ended the stream
        for each in (writer, back):
            if each is not None:
                each.transport.abort()

    async def _up(self, reader: asyncio.StreamReader, back: asyncio.StreamWriter) -> None:
        stanzas = Stanzas()
        while data := await reader.read(65536):
            for stanza in stanzas.feed(data):
                if (request := read_request(stanza)) is not None:
                    self.passed.append(Passed(time.time(), request))
            back.write(data)
        raise ConnectionResetError("the program closed the connection")

    async def _down(self, there: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await there.read(65536):
            writer.write(data)
        raise ConnectionResetError("the server closed the connection")
