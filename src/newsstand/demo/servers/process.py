"""What all throw-away servers of the demo and of the tests share: a process, a folder, a port. None outlives us."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import weakref
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import NamedTuple, Self

from newsstand.errors import NewsstandError

POLL_SECONDS = 0.01
_PORT_TRIES = 5

# Between fork and exec nothing of this program may run (it may have threads), so a Python of its own asks the
# kernel to end the server with its parent, and then becomes the server. Without prctl it only starts it. The user is
# changed first: a change of user makes the kernel forget what it was asked. ctypes is imported before that: the other
# user may not be able to read where our Python lies.
_BECOME = """
import os, sys
try:
    import ctypes
    prctl = ctypes.CDLL(None).prctl
except (ImportError, OSError, AttributeError):
    prctl = None
parent, death, user, group = map(int, sys.argv[1:5])
if user >= 0:
    os.setgroups([])
    os.setgid(group)
    os.setuid(user)
if prctl is not None:
    prctl(1, death)  # PR_SET_PDEATHSIG
if os.getppid() == parent:
    os.execv(sys.argv[5], sys.argv[5:])
"""


class ServerMissing(NewsstandError):
    """A server, or something that it cannot do without, is not installed. The message names the line that installs
    it."""

    def __init__(self, what: str, packages: str) -> None:
        line = f"apt-get install --no-install-recommends {packages}"
        super().__init__(f"{what} is not installed here. On Debian or Ubuntu, as root: {line}")


class ServerFailed(NewsstandError):
    """A server did not start. The message ends with what it wrote last."""


class PortTaken(Exception):
    """Somebody else bound the port between our choosing it and the server's binding it."""


class User(NamedTuple):
    """The user of the operating system that a process belongs to."""

    uid: int
    gid: int


class Server(ABC):
    """A server that lives as long as its `async with` block.

    Between entry and exit `stop` or `kill`, then `start`, give the same server again: same ports, same data.
    Everything it has lies in one folder that only its user can read and that is gone after exit, as is the
    process. The process also ends when this program does, however that happens, and when the thread ends that
    started it.

    Raises ServerMissing or ServerFailed on entry and from `start`.
    """

    host = "127.0.0.1"
    title: str
    """What it is called when something goes wrong."""
    start_seconds = 20.0
    stop_seconds = 10.0
    stop_signal = signal.SIGTERM
    user: User | None = None
    """Whom the process belongs to, if not to us."""

    def __init__(self) -> None:
        self._folder: Path | None = None
        self._process: asyncio.subprocess.Process | None = None
        self._remove: weakref.finalize[..., Server] | None = None

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            await self.stop()
        finally:
            self._remove_folder()

    @property
    def pid(self) -> int | None:
        """The process, while there is one."""
        return self._process.pid if self._process and self._process.returncode is None else None

    @property
    def folder(self) -> Path | None:
        """Where everything lies, between entry and exit."""
        return self._folder

    async def start(self) -> None:
        """Returns once the server answers. Does nothing while it runs."""
        if self.pid is not None:
            return
        self._look_for_it()
        first = self._folder is None
        try:
            for attempt in range(_PORT_TRIES):
                if first:
                    self._choose_ports()
                try:
                    await self._start(self._make_folder())
                    return
                except PortTaken as error:
                    await self.kill()
                    if not first or attempt == _PORT_TRIES - 1:
                        raise ServerFailed(f"{error} is taken by another program") from error
        except BaseException:
            await self.kill()
            if first:
                self._remove_folder()
            raise

    async def stop(self) -> None:
        """Ends the server as an administrator would: its clients are notified. Its data stay."""
        await self._end(self.stop_signal)

    async def kill(self) -> None:
        """Ends the server as a power cut would (SIGKILL). Its data stay as they lie."""
        await self._end(signal.SIGKILL)

    # What a server brings -------------------------------------------------------------------------------------

    @abstractmethod
    def _look_for_it(self) -> None:
        """Raises ServerMissing."""

    @abstractmethod
    def _choose_ports(self) -> None:
        """Ports that are free at the moment."""

    @abstractmethod
    async def _start(self, folder: Path) -> None:
        """Spawns the process, and returns when it answers. Raises PortTaken, ServerMissing or ServerFailed."""

    def _first_output(self, folder: Path) -> str:
        """All that it ever wrote that may tell why it did not start."""
        return read_from(folder / "output")

    # What a server needs --------------------------------------------------------------------------------------

    def _make_folder(self) -> Path:
        if self._folder is None:
            self._folder = Path(tempfile.mkdtemp(prefix=f"newsstand-{self.title.lower().replace(' ', '-')}-"))
            self._remove = weakref.finalize(self, shutil.rmtree, self._folder, ignore_errors=True)
            if self.user is not None:
                os.chown(self._folder, *self.user)
        return self._folder

    def _remove_folder(self) -> None:
        if self._remove is not None:
            self._remove()
        self._remove = self._folder = None

    async def _spawn(self, *command: str, environment: Mapping[str, str] | None = None) -> asyncio.subprocess.Process:
        """The process, which writes to the folder's file `output`."""
        folder = self._make_folder()
        self._process = await spawn(*command, folder=folder, environment=environment, user=self.user)
        return self._process

    async def _polls(self, process: asyncio.subprocess.Process) -> AsyncIterator[None]:
        """Until whoever asks is content. Raises ServerFailed when the process ends, or takes too long."""
        give_up = time.monotonic() + self.start_seconds
        while True:
            ended = process.returncode is not None or time.monotonic() > give_up
            yield  # what it wrote last may be what was waited for
            if ended:
                raise self._failure()
            await asyncio.sleep(POLL_SECONDS)

    def _failure(self) -> NewsstandError:
        """Why it did not start, as far as it said so."""
        assert self._folder is not None
        said = self._first_output(self._folder).splitlines()[-20:]
        return ServerFailed("\n".join([f"{self.title} did not start:", *said]))

    async def _end(self, how: signal.Signals) -> None:
        process, self._process = self._process, None
        await end(process, how, self.stop_seconds)


async def spawn(
    *command: str,
    folder: Path,
    environment: Mapping[str, str] | None = None,
    user: User | None = None,
    death: signal.Signals = signal.SIGKILL,
) -> asyncio.subprocess.Process:
    """A process that the kernel sends `death` when this program ends, or the thread that called this. It works in
    `folder`, and what it says goes to the file `output` there. `command` begins with an absolute path."""
    uid, gid = user or (-1, -1)
    with (folder / "output").open("ab") as output:
        # start_new_session: Ctrl-C at the terminal is for the program, which then stops its server.
        return await asyncio.create_subprocess_exec(
            *(sys.executable, "-I", "-S", "-c", _BECOME, str(os.getpid()), str(int(death)), str(uid), str(gid)),
            *command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            cwd=folder,
            env=environment,
            start_new_session=True,
        )


async def end(process: asyncio.subprocess.Process | None, how: signal.Signals, seconds: float) -> None:
    """Returns when the process has ended: by this signal, or, if that takes longer, by SIGKILL."""
    if process is None:
        return
    try:
        if process.returncode is None:
            process.send_signal(how)
        async with asyncio.timeout(seconds):
            await process.wait()
    except TimeoutError:
        process.kill()
        await process.wait()
    except BaseException:
        if process.returncode is None:
            process.kill()
        raise


def find_executable(name: str, *folders: str) -> str | None:
    """Where a program lies. Servers are often outside the PATH of plain users."""
    path = os.pathsep.join([*folders, os.environ.get("PATH", os.defpath), "/usr/bin", "/usr/sbin", "/usr/local/bin"])
    return shutil.which(name, path=path)


def free_port(host: str) -> int:
    """A port that nobody has at the moment."""
    with socket.socket() as probe:
        probe.bind((host, 0))
        port: int = probe.getsockname()[1]
        return port


def read_from(file: Path, position: int = 0) -> str:
    """What a file holds from there on; nothing where there is no file."""
    try:
        with file.open("rb") as stream:
            stream.seek(position)
            return stream.read().decode(errors="replace")
    except FileNotFoundError:
        return ""
