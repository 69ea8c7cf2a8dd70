"""`python -m benchmarks [NAME]…`: prints a line for each ratio; exit 1 if a target is missed."""

from __future__ import annotations

import argparse
import asyncio
import platform
import sqlite3
import sys

from benchmarks import hit, large_node, postgresql_read, resync, start, storage_read

BENCHMARKS = {
    "storage_read": storage_read.run,
    "postgresql_read": postgresql_read.run,
    "start": start.run_all,
    "hit": hit.run,
    "resync": resync.run,
}
ONLY_IF_NAMED = {"large_node": large_node.run}
"""They take more than a minute."""


async def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    known = BENCHMARKS | ONLY_IF_NAMED
    usual = f"all but {', '.join(ONLY_IF_NAMED)} if none is given"
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(known)}; {usual}")
    names = parser.parse_args().names or list(BENCHMARKS)
    unknown = [name for name in names if name not in known]
    if unknown:
        parser.error(f"there is no benchmark {unknown[0]!r}; there are {', '.join(known)}")
    print(f"Python {platform.python_version()}, SQLite {sqlite3.sqlite_version}, {platform.machine()}")
    missed = 0
    for name in names:
        for ratio in await known[name]():
            print(ratio, flush=True)
            missed += not ratio.reached
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
