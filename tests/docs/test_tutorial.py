"""The tutorial works as it is printed: its programs, saved under the names that it gives them, print what it shows."""

from __future__ import annotations

import asyncio
import re
import signal
import sys
from asyncio.subprocess import PIPE, Process
from pathlib import Path

import pytest
from markdown_it import MarkdownIt

PAGE = Path(__file__).parents[2] / "docs/tutorial.md"
SAVED_AS = re.compile(r"[Ss]ave this as `(\w+\.py)`")


def shown() -> tuple[dict[str, str], list[str]]:
    """The programs by the names of their files, and what running them prints, in order."""
    programs: dict[str, str] = {}
    printed = []
    name = ""
    for token in MarkdownIt().parse(PAGE.read_text()):
        if token.type == "inline" and (found := SAVED_AS.search(token.content)):
            name = found[1]
        elif token.type == "fence" and token.info == "python":
            programs[name] = token.content
        elif token.type == "fence" and token.info == "text":
            printed.append(token.content)
    return programs, printed


async def start(program: str, folder: Path) -> Process:
    return await asyncio.create_subprocess_exec(sys.executable, program, cwd=folder, stdout=PIPE, stderr=PIPE)


async def finish(program: str, folder: Path) -> str:
    """What the program printed. It must end well, and say nothing on stderr."""
    process = await start(program, folder)
    out, err = await process.communicate()
    assert (process.returncode, err.decode()) == (0, "")
    return out.decode()


@pytest.mark.usefixtures("prosody")  # skips where none is installed; the tutorial starts its own
async def test_the_tutorial_s_programs_print_what_it_shows(tmp_path: Path) -> None:
    programs, (read, offline) = shown()
    assert list(programs) == ["server.py", "client.py", "read.py", "offline.py"]
    for name, text in programs.items():
        (tmp_path / name).write_text(text)
    server = await start("server.py", tmp_path)
    assert server.stdout is not None
    try:
        assert (await server.stdout.readline()).startswith(b"ready"), await server.communicate()
        assert await finish("read.py", tmp_path) == read
    finally:
        if server.returncode is None:
            server.send_signal(signal.SIGINT)
        _, err = await server.communicate()
    assert (server.returncode, err) == (0, b"")
    assert await finish("offline.py", tmp_path) == offline
