"""A throw-away Prosody: an XMPP server with pubsub and PEP, on loopback, for the demo and the tests."""

from __future__ import annotations

import asyncio
import json
import os
import re
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import weakref
from collections.abc import Iterable
from pathlib import Path
from types import TracebackType
from typing import Self

from newsstand.errors import ConfigurationError, NewsstandError

_APT_LINE = "apt-get install --no-install-recommends prosody lua-dbi-sqlite3"
_START_SECONDS = 20.0
_STOP_SECONDS = 10.0
_POLL_SECONDS = 0.01
_PORT_TRIES = 5

_STREAM = (
    "<stream:stream xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams'"
    " to='{domain}' version='1.0'></stream:stream>"
)
_NOT_LOADED = re.compile(r"Error initializing module|Unable to load module")
_NO_DRIVER = re.compile(r"Cannot load driver SQLite3|module 'DBI' not found")

# Between fork and exec nothing of this program may run (it may have threads), so a Python of its own asks the
# kernel to end the server with its parent, and then becomes the server. Without prctl it only starts it.
_BECOME = """
import os, signal, sys
try:
    import ctypes
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG
except (ImportError, OSError, AttributeError):
    pass
if os.getppid() == int(sys.argv[1]):
    os.execv(sys.argv[2], sys.argv[2:])
"""

_CONFIGURATION = """\
daemonize = false
run_as_root = true
data_path = {data}
certificates = {data}
log = {{ {{ levels = {{ min = "info" }}, to = "file", filename = {log} }} }}

interfaces = {{ "127.0.0.1" }}
c2s_ports = {{ {port} }}
c2s_direct_tls_ports = {{ }}
s2s_ports = {{ }}
s2s_direct_tls_ports = {{ }}
http_ports = {{ }}
https_ports = {{ }}
component_ports = {{ }}
network_settings = {{ nagle = false }}

c2s_require_encryption = false
allow_unencrypted_plain_auth = true
authentication = "internal_plain"
admins = {{ {admins} }}

default_storage = "sql"
storage = {{ accounts = "internal" }}
sql = {{ driver = "SQLite3", database = {database} }}
storage_archive_item_limit = 110000

modules_enabled = {{ {modules} }}
modules_disabled = {{ "s2s", "limits" }}
pep_max_items = 100000
{extra}

VirtualHost {domain}
Component {pubsub} "pubsub"
    pubsub_max_items = 100000
    {pubsub_extra}
"""

_MODULES = (
    "blocklist",
    "c2s",
    "carbons",
    "disco",
    "iq",
    "message",
    "offline",
    "pep",
    "ping",
    "posix",
    "presence",
    "roster",
    "saslauth",
    "smacks",
    "time",
    "version",
)


class ServerMissing(NewsstandError):
    """Prosody, or its SQLite driver, is not installed. The message names the line that installs them."""

    def __init__(self, what: str) -> None:
        super().__init__(f"{what} is not installed here. On Debian or Ubuntu, as root: {_APT_LINE}")


class ServerFailed(NewsstandError):
    """Prosody did not start. The message ends with what it wrote last."""


class _PortTaken(Exception):
    """Somebody else bound the port between our choosing it and Prosody's binding it."""


class Prosody:
    """A Prosody that lives as long as its `async with` block.

    On entry it listens on `host`:`port` (loopback, a free port), in plain text, with one account for each
    name in `accounts`, all with the same random `password`. The accounts named in `admins` (by default the
    first) may create nodes on the service `pubsub`; every account has PEP. Nodes may hold up to 100,000
    items, though unless configured otherwise they keep 20, and PEP nodes one. Nothing leaves the machine.

    Between entry and exit `stop` or `kill`, then `start`, give the same server again: same port, same data.
    Everything it has lies in one folder that only this user can read and that is gone after exit, as is the
    process. The process also ends when this program does, however that happens, and when the thread ends that
    started it.

    `extra` and `pubsub_extra` are lines of Prosody's configuration, for all of it and for the pubsub service;
    `modules` are loaded besides its own.

    Raises ServerMissing or ServerFailed on entry and from `start`.
    """

    host = "127.0.0.1"
    domain = "localhost"
    pubsub = "pubsub.localhost"

    def __init__(
        self,
        accounts: Iterable[str] = ("romeo", "juliet", "nurse"),
        *,
        admins: Iterable[str] | None = None,
        modules: Iterable[str] = (),
        extra: str = "",
        pubsub_extra: str = "",
    ) -> None:
        self.accounts = tuple(accounts)
        self.admins = self.accounts[:1] if admins is None else tuple(admins)
        if unknown := set(self.admins) - set(self.accounts):
            raise ConfigurationError(f"admins without an account: {', '.join(sorted(unknown))}")
        self.password = secrets.token_urlsafe(18)
        self.port = 0
        self._modules = (*_MODULES, *modules)
        self._extra = extra
        self._pubsub_extra = pubsub_extra
        self._folder: Path | None = None
        self._process: asyncio.subprocess.Process | None = None
        self._remove: weakref.finalize[..., Prosody] | None = None

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

    def jid(self, account: str) -> str:
        """The bare JID of an account."""
        return f"{account}@{self.domain}"

    @property
    def pid(self) -> int | None:
        """The process, while there is one."""
        return self._process.pid if self._process and self._process.returncode is None else None

    @property
    def folder(self) -> Path | None:
        """Where everything lies, between entry and exit."""
        return self._folder

    async def start(self) -> None:
        """Returns once logins are answered. Does nothing while the server runs."""
        if self.pid is not None:
            return
        executable = _find_executable()
        chosen_before = self.port != 0
        try:
            for attempt in range(_PORT_TRIES):
                if not chosen_before:
                    self.port = _free_port(self.host)
                try:
                    await self._start(executable)
                    return
                except _PortTaken as error:
                    await self.kill()
                    if chosen_before or attempt == _PORT_TRIES - 1:
                        raise ServerFailed(f"port {self.port} is taken by another program") from error
        except BaseException:
            await self.kill()
            if not chosen_before:
                self._remove_folder()
            raise

    async def stop(self) -> None:
        """Ends the server as an administrator would: its clients are told. Its data stay."""
        await self._end(signal.SIGTERM)

    async def kill(self) -> None:
        """Ends the server as a power cut would (SIGKILL). Its data stay as they lie."""
        await self._end(signal.SIGKILL)

    async def _start(self, executable: str) -> None:
        folder = self._prepare_folder()
        log = folder / "prosody.log"
        seen = log.stat().st_size if log.exists() else 0
        with (folder / "output").open("ab") as output:
            # start_new_session: Ctrl-C at the terminal is for the program, which then stops its server.
            self._process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-I", "-S", "-c", _BECOME, str(os.getpid())),
                *(executable, "-F", "--config", str(folder / "prosody.cfg.lua")),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                cwd=folder,
                start_new_session=True,
            )
        await self._until_ready(self._process, log, seen)

    async def _until_ready(self, process: asyncio.subprocess.Process, log: Path, seen: int) -> None:
        """Prosody tells only its log what it listens on: a port that answers could be another program's."""
        give_up = time.monotonic() + _START_SECONDS
        while True:
            said = _read_from(log, seen)
            if re.search(rf"(?m)Activated service 'c2s' on .*:{self.port}\b.*\n", said):
                break
            if "Activated service 'c2s' on no ports" in said:
                raise _PortTaken
            if process.returncode is not None or time.monotonic() > give_up:
                raise self._failure(said)
            await asyncio.sleep(_POLL_SECONDS)
        # The kernel takes connections before Prosody does; its first word comes when all of it is loaded.
        async with asyncio.timeout(max(0.1, give_up - time.monotonic())):
            await self._greet()
        said = _read_from(log, seen)
        if _NOT_LOADED.search(said):
            raise self._failure(said)

    async def _greet(self) -> None:
        reader, writer = await asyncio.open_connection(self.host, self.port)
        try:
            writer.write(_STREAM.format(domain=self.domain).encode())
            await writer.drain()
            if not await reader.read():
                raise ServerFailed("Prosody closed the first connection without a word")
        finally:
            writer.close()
            await writer.wait_closed()

    def _failure(self, said: str) -> NewsstandError:
        assert self._folder is not None
        said += _read_from(self._folder / "output", 0)
        if _NO_DRIVER.search(said):
            return ServerMissing("Prosody's SQLite driver")
        return ServerFailed("Prosody did not start:\n" + "\n".join(said.splitlines()[-20:]))

    async def _end(self, how: signal.Signals) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        try:
            if process.returncode is None:
                process.send_signal(how)
            async with asyncio.timeout(_STOP_SECONDS):
                await process.wait()
        except TimeoutError:
            process.kill()
            await process.wait()
        except BaseException:
            if process.returncode is None:
                process.kill()
            raise

    def _prepare_folder(self) -> Path:
        if self._folder is None:
            self._folder = Path(tempfile.mkdtemp(prefix="newsstand-prosody-"))
            self._remove = weakref.finalize(self, shutil.rmtree, self._folder, ignore_errors=True)
            for account in self.accounts:
                self._write_account(account)
        (self._folder / "prosody.cfg.lua").write_text(self._configuration(self._folder), encoding="utf-8")
        return self._folder

    def _write_account(self, account: str) -> None:
        """As Prosody's own internal storage would. `prosodyctl register` takes 0.2 s for each, and the
        password as an argument that any user of the machine can read."""
        assert self._folder is not None
        folder = self._folder / "data" / _file_name(self.domain) / "accounts"
        folder.mkdir(parents=True, exist_ok=True)
        text = f'return {{ ["password"] = {_lua(self.password)}; }};\n'
        (folder / f"{_file_name(account)}.dat").write_text(text, encoding="utf-8")

    def _configuration(self, folder: Path) -> str:
        return _CONFIGURATION.format(
            data=_lua(str(folder / "data")),
            log=_lua(str(folder / "prosody.log")),
            database=_lua(str(folder / "data" / "prosody.sqlite")),
            port=self.port,
            domain=_lua(self.domain),
            pubsub=_lua(self.pubsub),
            admins=", ".join(_lua(self.jid(name)) for name in self.admins),
            modules=", ".join(map(_lua, self._modules)),
            extra=self._extra,
            pubsub_extra=self._pubsub_extra,
        )

    def _remove_folder(self) -> None:
        if self._remove is not None:
            self._remove()
        self._remove = self._folder = None


def _find_executable() -> str:
    path = os.pathsep.join([os.environ.get("PATH", os.defpath), "/usr/bin", "/usr/sbin", "/usr/local/bin"])
    found = shutil.which("prosody", path=path)
    if found is None:
        raise ServerMissing("Prosody")
    return found


def _free_port(host: str) -> int:
    with socket.socket() as probe:
        probe.bind((host, 0))
        port: int = probe.getsockname()[1]
        return port


def _read_from(file: Path, position: int) -> str:
    try:
        with file.open("rb") as stream:
            stream.seek(position)
            return stream.read().decode(errors="replace")
    except FileNotFoundError:
        return ""


def _lua(text: str) -> str:
    """A Lua string literal: JSON's escapes are a subset of Lua's, as long as no character needs `\\u`."""
    return json.dumps(text, ensure_ascii=False)


def _file_name(text: str) -> str:
    """As Prosody's util.datamanager encodes the names of its files."""
    return "".join(
        chr(byte) if chr(byte).isascii() and chr(byte).isalnum() else f"%{byte:02x}" for byte in text.encode()
    )
