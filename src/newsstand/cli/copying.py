"""`newsstand db copy`."""

from __future__ import annotations

import argparse
import asyncio
from typing import Any

from newsstand.cli import output
from newsstand.cli.places import database_url, named_url
from newsstand.cli.progress import bar
from newsstand.storage.maintenance import copying


def copy(args: Any) -> int:
    done = asyncio.run(_copy(_url(args.source), _url(args.target), with_refused=args.with_refused))
    if args.json:
        output.print_json(
            {
                "from": done.source,
                "to": done.target,
                "tables": [{"table": t.name, "rows": t.rows, "digest": t.digest} for t in done.tables],
                "found": done.found,
                "differences": list(done.differences),
            }
        )
    else:
        _show(done)
    if not done.differences:
        return 0
    output.say("the copy differs, and is not usable: give the same command again, and what differs is copied anew")
    return 1


def _url(given: str) -> str:
    return database_url(argparse.Namespace(database=None)) if given == "-" else named_url(given)


async def _copy(source: str, target: str, *, with_refused: bool) -> copying.Copied:
    with bar("copied and compared") as progress:
        return await copying.copy(source, target, report=progress, with_refused=with_refused)


def _show(done: copying.Copied) -> None:
    for difference in done.differences:
        output.print_row(("differs", difference))
    if done.differences:
        return
    tables = [(table.name, f"{table.rows}", table.digest) for table in done.tables]
    output.print_table(("table", "rows", "digest"), tables, names=1)
    rows = sum(table.rows for table in done.tables)
    there = f", {done.found} of them there already," if done.found else ""
    print(output.plain(f"{rows} rows{there} copied from {done.source} to {done.target}, and equal"))
