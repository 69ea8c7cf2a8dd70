"""Starting with an up-to-date database, against importing the same modules; in processes of their own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from benchmarks.measure import Ratio
from newsstand.storage.database import open_database

OPEN = """
import asyncio, sys
from newsstand.storage.database import open_database

async def main():
    await (await open_database(sys.argv[1])).close()

asyncio.run(main())
"""
CLIENT = """
import asyncio, slixmpp
loop = asyncio.new_event_loop()
asyncio.set_event_loop(loop)
xmpp = slixmpp.ClientXMPP("juliet@example.org", "")
"""
PLUGIN = """
import sys
import newsstand.slixmpp

async def main():
    xmpp.register_plugin("newsstand", {"database": sys.argv[1], "entry_points": False})
    await xmpp.plugin["newsstand"].ready()
    await xmpp.plugin["newsstand"].close()

loop.run_until_complete(main())
"""
COMMAND = """
import sys
from newsstand.cli import main
main(["nodes", "--database", sys.argv[1]])
"""
TELL = """
import json
print(json.dumps([name for name in sys.modules if name != "__main__"]), file=sys.stderr)
"""
# The parts are told apart within one process: whole processes differ by more than what is measured.
TIMED = """
import importlib, sys, time
began = time.perf_counter()
for name in sys.argv.pop(2).split():
    try:
        importlib.import_module(name)
    except ImportError:  # a name that a package gives to another module
        pass
{first}
imported = time.perf_counter()
{program}
print(imported - began, time.perf_counter() - began, file=sys.stderr)
"""
RUNS = 15


def run(program: str, url: str, *arguments: str) -> str:
    """What it said on stderr, at last. Modules are compiled once, wherever the environment has Python keep them."""
    env = {
        **os.environ,
        "PYTHONDONTWRITEBYTECODE": "",
        "PYTHONPYCACHEPREFIX": f"{url.removeprefix('sqlite:///')}-cache",
    }
    told = subprocess.run(
        [sys.executable, "-c", program, url, *arguments], capture_output=True, text=True, check=True, env=env
    )
    return told.stderr.splitlines()[-1]


def measure(name: str, program: str, url: str, *, first: str = "") -> Ratio:
    """`first`: what is done without us, too, and costs as much."""
    modules = " ".join(json.loads(run(first + program + TELL, url)))
    timed = TIMED.format(first=first, program=program)
    runs = [tuple(map(float, run(timed, url, modules).split())) for _ in range(RUNS)]
    imports, whole = sorted(runs, key=lambda times: times[1] / times[0])[len(runs) // 2]
    return Ratio(f"start: {name} / its imports", whole, imports, 1.1)


async def run_all() -> list[Ratio]:
    with tempfile.TemporaryDirectory() as folder:
        url = f"sqlite:///{Path(folder) / 'news.db'}"
        await (await open_database(url)).close()
        return [
            measure("opening the database", OPEN, url),
            measure("the plugin, until it is ready", PLUGIN, url, first=CLIENT),
            measure("a command that only reads", COMMAND, url),
        ]
