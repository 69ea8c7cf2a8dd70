"""A loopback proxy between a client and its server: it knows where stanzas begin and end, and cuts at any byte."""

from __future__ import annotations

import asyncio
import contextlib
import re

from tests.converge.faults import Faults

_TAG = re.compile(rb"""<(?:[^<>"']|"[^"]*"|'[^']*')*>""")
_PUBSUB = re.compile(rb"""["']http://jabber.org/protocol/(pubsub|disco#items)""")
_EVENT = b"http://jabber.org/protocol/pubsub#event"


class Stanzas:
    """Splits what a server sends into stanzas, byte by byte the same. XMPP knows no comments and no processing
    instructions (RFC 6120, 11.1), so tags are all there is to look for."""

    def __init__(self) -> None:
        self._bytes = b""
        self._seen = 0
        self._depth = 0

    def feed(self, data: bytes) -> list[bytes]:
        """The stanzas, and stream headers, that are whole by now."""
        self._bytes += data
        found = []
        while (tag := _TAG.search(self._bytes, self._seen)) is not None:
            text = tag.group()
            self._seen = tag.end()
            if text.startswith((b"<?", b"<stream:stream")):
                self._depth = 0  # a new stream begins behind the login
            elif text.startswith(b"</"):
                self._depth -= 1
            elif not text.endswith(b"/>"):
                self._depth += 1
            if self._depth <= 0:
                found.append(self._bytes[: self._seen])
                self._bytes, self._seen, self._depth = self._bytes[self._seen :], 0, 0
        return found


class Proxy:
    """Listens on a free loopback port while it is open; one client at a time."""

    host = "127.0.0.1"

    def __init__(self, to_port: int) -> None:
        self.to_port = to_port
        self.port = 0
        self.faults: Faults[bytes] = Faults()
        self._left: int | None = None
        self._upwards = False
        self._writers: list[asyncio.StreamWriter] = []
        self._tasks: set[asyncio.Task[None]] = set()
        self._server: asyncio.Server | None = None

    async def open(self) -> None:
        self._server = await asyncio.start_server(self._accept, self.host, 0)
        self.port = self._server.sockets[0].getsockname()[1]

    async def close(self) -> None:
        self.cut()
        if self._server is not None:
            self._server.close()
        for task in list(self._tasks):
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)

    def cut_after(self, count: int, *, upwards: bool = False) -> None:
        """The stream ends when the server, or `upwards`, the client, has sent so many bytes more."""
        self._left, self._upwards = count, upwards

    def cut(self) -> None:
        """The stream ends, in both directions, without a word."""
        self._left = None
        self.faults.forget()
        for writer in self._writers:
            writer.transport.abort()
        self._writers.clear()

    def inject(self, stanza: bytes) -> None:
        """To the client, between two stanzas of its server's."""
        if self._writers:
            self._writers[0].write(stanza)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.cut()
        try:
            there, back = await asyncio.open_connection(self.host, self.to_port)
        except OSError:
            writer.transport.abort()
            return
        self._writers += [writer, back]
        for work in (self._send(reader, back), self._receive(there, writer)):
            task = asyncio.get_running_loop().create_task(work)
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _send(self, reader: asyncio.StreamReader, back: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while data := await reader.read(65536):
                self._write(data, back, upwards=True)
        self._ended(back)

    async def _receive(self, there: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        stanzas = Stanzas()
        with contextlib.suppress(OSError):
            while data := await there.read(65536):
                for stanza in stanzas.feed(data):
                    self._pass_on(stanza, writer)
        self._ended(writer)

    def _pass_on(self, stanza: bytes, writer: asyncio.StreamWriter) -> None:
        def deliver(data: bytes) -> None:
            self._write(data, writer, upwards=False)

        if stanza.lstrip().startswith(b"<message") and _EVENT in stanza:
            self.faults.pass_on(stanza, deliver)
        elif stanza.lstrip().startswith(b"<iq") and _PUBSUB.search(stanza) and self.faults.loses_answer():
            pass  # whoever asked waits until it is too long
        else:
            deliver(stanza)

    def _write(self, data: bytes, writer: asyncio.StreamWriter, *, upwards: bool) -> None:
        if writer not in self._writers:
            return  # that stream is over
        if self._left is not None and self._upwards == upwards:
            if len(data) >= self._left:
                writer.write(data[: self._left])
                self._left = None
                # Not aborted at once: what is ahead of the cut is to arrive.
                writer.close()
                self._ended(writer)
                return
            self._left -= len(data)
        writer.write(data)

    def _ended(self, writer: asyncio.StreamWriter) -> None:
        """One side is gone: so is the other."""
        if writer in self._writers:
            self.faults.forget()
            for other in self._writers:
                other.close()
            self._writers.clear()
