"""Stdout and stderr that nobody reads, that are full, or closed: the exit code and at most one line say so."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

from newsstand.demo.servers.prosody import Prosody
from newsstand.model import SyncState, Verdict
from newsstand.storage.database import open_database
from tests.conftest import Connect
from tests.contract._storage import SERVICE, apply, make_node, parse, put
from tests.integration._cli import PROCESS_SECONDS, Cli
from tests.integration._cli import make_node as make_real_node

FULL = Path("/dev/full")
if not FULL.exists():
    pytest.skip("there is no /dev/full here", allow_module_level=True)

NO_SPACE = "newsstand: cannot write to stdout: No space left on device\n"
CLOSED = "newsstand: cannot write to stdout: it is closed\n"
COMMANDS = [
    ["--help"],
    ["--version"],
    ["nodes", "--json"],
    ["search", "tea"],
    ["get", "--offline", "--json", SERVICE, "blog"],
    ["db", "check", "-v"],
]
"""They print in every way that there is, and need no server."""


@pytest.fixture
async def cli(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Cli:
    """On a database that holds a node of two items."""
    cli = Cli(tmp_path, capsys, monkeypatch)
    database = await open_database(f"sqlite:///{cli.database}")
    node = await make_node(database, complete=True, state=SyncState.STALE, verdict=Verdict.WANTED)
    await apply(database, node, put("a"), put("b"))
    await parse(database, node, {"a": {"title": "tea"}, "b": {"title": "tea"}})
    await database.close()
    return cli


@contextmanager
def unread() -> Iterator[int]:
    """A pipe of which nobody holds the other end."""
    reading, writing = os.pipe()
    os.close(reading)
    yield writing
    os.close(writing)


@contextmanager
def full() -> Iterator[int]:
    number = os.open(FULL, os.O_WRONLY)
    yield number
    os.close(number)


async def run(
    *argv: str, out: int | None = None, err: int | None = None, closed: Sequence[int] = ()
) -> tuple[int, str, str]:
    """A process, whose `closed` descriptors are closed before Python begins."""
    command = [sys.executable, "-m", "newsstand.cli", *argv]
    if closed:
        shut = " ".join(f"{number}>&-" for number in closed)
        command = ["/bin/sh", "-c", f'exec "$@" {shut}', "sh", *command]
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(
        *command,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=pipe if out is None else out,
        stderr=pipe if err is None else err,
    )
    async with asyncio.timeout(PROCESS_SECONDS):
        said, told = await process.communicate()
    assert process.returncode is not None
    return process.returncode, (said or b"").decode(), (told or b"").decode()


def named(argv: Sequence[str]) -> str:
    return " ".join(argv)


@pytest.mark.parametrize("argv", COMMANDS, ids=named)
async def test_a_pipe_that_nobody_reads_ends_a_command_without_a_word(cli: Cli, argv: list[str]) -> None:
    with unread() as out:
        code, _, told = await run(*argv, out=out)
    assert code == 141
    assert told == "" or "-v" in argv


@pytest.mark.parametrize("argv", COMMANDS, ids=named)
async def test_a_full_stdout_is_told(cli: Cli, argv: list[str]) -> None:
    with full() as out:
        code, _, told = await run(*argv, out=out)
    assert code == 1
    assert told.endswith(NO_SPACE)
    assert told == NO_SPACE or "-v" in argv


@pytest.mark.parametrize("argv", COMMANDS, ids=named)
async def test_a_closed_stdout_is_told(cli: Cli, argv: list[str]) -> None:
    code, _, told = await run(*argv, closed=[1])
    assert code == 1
    assert told.endswith(CLOSED)
    assert told == CLOSED or "-v" in argv


@pytest.mark.parametrize("argv", COMMANDS, ids=named)
async def test_without_stderr_a_command_prints_what_it_always_prints(cli: Cli, argv: list[str]) -> None:
    code, said, _ = await run(*argv, closed=[2])
    assert code == 0
    assert said
    assert "newsstand: " not in said


@pytest.mark.parametrize("unbuffered", [False, True])
async def test_it_makes_no_difference_whether_stdout_is_buffered(
    cli: Cli, monkeypatch: pytest.MonkeyPatch, unbuffered: bool
) -> None:
    monkeypatch.setenv("PYTHONUNBUFFERED", "1" if unbuffered else "")
    with unread() as out:
        assert (await run("nodes", out=out))[::2] == (141, "")
    with full() as out:
        assert (await run("nodes", out=out))[::2] == (1, NO_SPACE)


@pytest.mark.parametrize("argv", [["nodes", "--account", "@"], ["search", "--where", "a", "<", "1"]], ids=named)
async def test_errors_that_nobody_can_be_told_of_are_the_exit_code(cli: Cli, argv: list[str]) -> None:
    told = (await run(*argv))[2]
    assert told.startswith("newsstand: ")
    with unread() as err:
        assert await run(*argv, err=err) == (1, "", "")
    with full() as err:
        assert await run(*argv, err=err) == (1, "", "")
        assert await run("-v", *argv, err=err) == (2, "", "")  # usage: it goes behind the command
        assert await run(*argv, "-v", err=err) == (1, "", "")
    assert await run(*argv, closed=[2]) == (1, "", "")
    assert await run(*argv, closed=[1, 2]) == (1, "", "")


async def test_with_neither_the_exit_code_is_all_there_is(cli: Cli) -> None:
    assert await run("nodes", closed=[1, 2]) == (1, "", "")
    assert await run("nodes", closed=[0, 1, 2]) == (1, "", "")
    with full() as both:
        assert await run("nodes", "--json", "-v", out=both, err=both) == (1, "", "")
    with unread() as both:
        assert await run("--help", out=both, err=both) == (141, "", "")


async def test_wrong_usage_is_2_whatever_stderr_is(cli: Cli) -> None:
    assert (await run("nonsense"))[0] == 2
    for closed in ([1], [2], [1, 2]):
        assert (await run("nonsense", closed=closed))[0] == 2


async def test_a_database_does_not_take_the_place_of_a_closed_stream(cli: Cli) -> None:
    """What is written to descriptor 1 or 2, by whatever library, must not go into it."""
    before = await run("nodes", "--json")
    code, _, told = await run("db", "check", "--repair", "-v", closed=[0, 1])
    assert (code, told.splitlines()[-1]) == (1, CLOSED.rstrip())
    assert await run("db", "check", closed=[0]) == (0, "nothing wrong was found\n", "")
    assert await run("nodes", "--json") == before


async def test_other_broken_pipes_are_no_matter_of_stdout(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(_: object) -> int:
        raise BrokenPipeError(32, "Broken pipe")

    monkeypatch.setattr("newsstand.cli.nodes.nodes", broken)
    assert "this should not happen: BrokenPipeError" in (await cli("nodes")).error


async def test_a_command_that_works_with_a_server_ends_its_session_and_says_why(
    cli: Cli, prosody: Prosody, connect: Connect, node: str
) -> None:
    await make_real_node(await connect("romeo"), prosody, node, a="Balcony")
    for argv in (["sync"], ["get", "--json"], ["verify"]):
        command = [argv[0], prosody.pubsub, node, *argv[1:], *cli.login(prosody)]
        with unread() as out:
            assert (await run(*command, out=out))[::2] == (141, "")
        with full() as out:
            assert (await run(*command, out=out))[::2] == (1, NO_SPACE)
    assert (await cli("nodes", "--account", prosody.jid("juliet"))).rows


@pytest.mark.parametrize("argv", [["demo"], ["demo", "--json"]], ids=named)
async def test_a_demo_that_nobody_sees_cleans_up(
    cli: Cli, prosody: Prosody, tmp_path: Path, argv: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "tmp").mkdir()
    monkeypatch.setenv("TMPDIR", str(tmp_path / "tmp"))
    with unread() as out:
        assert (await run(*argv, out=out))[::2] == (141, "")
    with full() as out:
        assert (await run(*argv, out=out))[::2] == (1, NO_SPACE)
    assert list((tmp_path / "tmp").iterdir()) == []
