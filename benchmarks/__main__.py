"""`python -m benchmarks [NAME]…`: prints a line for each ratio; exit 1 if a target is missed."""

from __future__ import annotations

import argparse
import asyncio
import platform
import sqlite3
import sys

from benchmarks import hit, resync, start, storage_read

BENCHMARKS = {"storage_read": storage_read.run, "hit": hit.run, "resync": resync.run, "start": start.run_all}


async def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(BENCHMARKS)}; all if none is given")
    names = parser.parse_args().names or list(BENCHMARKS)
    unknown = [name for name in names if name not in BENCHMARKS]
    if unknown:
        parser.error(f"there is no benchmark {unknown[0]!r}; there are {', '.join(BENCHMARKS)}")
    print(f"Python {platform.python_version()}, SQLite {sqlite3.sqlite_version}, {platform.machine()}")
    missed = 0
    for name in names:
        for ratio in await BENCHMARKS[name]():
            print(ratio, flush=True)
            missed += not ratio.reached
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
