"""A run that is ended by SIGTERM, as a service manager or a time limit would, ends its servers and leaves nothing."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from tests.conftest import Servers
from tests.integration import _endless
from tests.servers.postgresql import PostgreSQL

ROOT = Path(__file__).parents[2]
STARTS_WITHIN = 60.0
ENDS_WITHIN = 60.0


@pytest.fixture
def folder() -> Iterator[Path]:
    """For TMPDIR. PostgreSQL's user must get through it."""
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:  # a server's processes may still end
        os.chmod(folder, 0o711)
        yield Path(folder)


@asynccontextmanager
async def run_of(*command: str, **environment: str) -> AsyncIterator[asyncio.subprocess.Process]:
    """A Python of ours, which is killed if it still runs at the end."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *command,
        cwd=ROOT,
        env={**os.environ, **environment},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


def descendants_of(pid: int) -> list[int]:
    found: list[int] = []
    for task in Path(f"/proc/{pid}/task").iterdir():
        for child in map(int, (task / "children").read_text().split()):
            found += [child, *descendants_of(child)]
    return found


async def ended(pids: list[int]) -> None:
    """Returns when none of them runs. That of an ended process is read from then on."""
    loop = asyncio.get_running_loop()
    for pid in pids:
        try:
            descriptor = os.pidfd_open(pid)
        except ProcessLookupError:
            continue
        gone = asyncio.Event()
        loop.add_reader(descriptor, gone.set)
        try:
            await gone.wait()
        finally:
            loop.remove_reader(descriptor)
            os.close(descriptor)


async def end(process: asyncio.subprocess.Process, folder: Path) -> str:
    """By SIGTERM. What it started is gone, as are the folders that it made; returns what it said."""
    started = descendants_of(process.pid)
    assert started
    assert any(folder.glob("newsstand-*"))
    process.send_signal(signal.SIGTERM)
    async with asyncio.timeout(ENDS_WITHIN):
        said, _ = await process.communicate()
        await ended(started)
    assert [path.name for path in folder.glob("newsstand-*")] == []
    return said.decode()


async def test_a_run_of_the_convergence_machine(servers: Servers, folder: Path) -> None:
    await servers.get("libervia-pubsub")
    command = ("-m", "tests.converge", "--server", "libervia-pubsub", "--schedules", "1000", "--folder", str(folder))
    async with run_of(*command, TMPDIR=str(folder)) as process:
        assert process.stdout is not None
        async with asyncio.timeout(STARTS_WITHIN):
            assert await process.stdout.readline() == b"libervia-pubsub: ready\n"
        await end(process, folder)


@pytest.mark.parametrize("processes", [0, 2])
async def test_a_run_of_the_tests(processes: int, servers: Servers, folder: Path) -> None:
    for name in ("ejabberd-mnesia", "libervia-pubsub"):  # the latter needs PostgreSQL, too
        await servers.get(name)
    told: asyncio.Queue[asyncio.StreamWriter] = asyncio.Queue()

    async def on_connection(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        told.put_nowait(writer)

    listener = await asyncio.start_server(on_connection, "127.0.0.1", 0)
    port = listener.sockets[0].getsockname()[1]
    command = ("-m", "pytest", "-p", "no:cacheprovider", f"-n{processes}", _endless.__file__)
    async with listener, run_of(*command, TMPDIR=str(folder), NEWSSTAND_TEST_TELLS=str(port)) as process:
        async with asyncio.timeout(STARTS_WITHIN):
            tellers = [await told.get() for _ in range(max(processes, 1))]
        said = await end(process, folder)
        assert "KeyboardInterrupt" in said
        for writer in tellers:
            writer.close()


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGKILL])
async def test_postgresql_ends_with_a_program_that_cannot_end_it(
    how: signal.Signals, servers: Servers, folder: Path
) -> None:
    """It runs as another user, who may not even read where our Python lies. Its files stay, in our folder."""
    await servers.get("libervia-pubsub")  # which needs it too
    program = (
        "import asyncio\n"
        f"from {PostgreSQL.__module__} import PostgreSQL\n"
        "async def main():\n"
        "    async with PostgreSQL() as server:\n"
        "        print(server.pid, flush=True)\n"
        "        await asyncio.Event().wait()\n"
        "asyncio.run(main())\n"
    )
    async with run_of("-c", program, TMPDIR=str(folder)) as process:
        assert process.stdout is not None
        async with asyncio.timeout(STARTS_WITHIN):
            pid = int(await process.stdout.readline())
        process.send_signal(how)
        async with asyncio.timeout(ENDS_WITHIN):
            await process.wait()
            await ended([pid])
