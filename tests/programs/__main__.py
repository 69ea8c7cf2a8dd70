"""`python -m tests.programs [NAME…]`: measures the programs, and says which of the claims hold. Exits with 1 where one
does not, or where a program could not be measured. Where all are measured, with Newsstand's own settings,
docs/programs.md is written."""

from __future__ import annotations

import argparse
import asyncio
import sys
import tempfile
from pathlib import Path

from tests.programs import page
from tests.programs.measuring import measure
from tests.programs.programs import PROGRAMS, Program, settings
from tests.programs.results import Measured
from tests.programs.traces import trace
from tests.signals import end_as_if_interrupted

SECONDS = 90.0
"""For how long a start is watched: until a program's log-in, a minute, and what is done when that is over."""


def main() -> int:
    end_as_if_interrupted()
    parser = argparse.ArgumentParser(prog="python -m tests.programs", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(program.name for program in PROGRAMS))
    parser.add_argument("--seconds", type=float, default=SECONDS, help="for how long each start is watched")
    parser.add_argument("--together", type=int, default=2, metavar="N", help="programs that are measured at a time")
    parser.add_argument("--trace", type=Path, metavar="FILE", help="writes down each request of the starts")
    parser.add_argument("--keep", type=Path, metavar="FOLDER", help="keeps what the programs wrote")
    args = parser.parse_args()
    if unknown := set(args.names) - {program.name for program in PROGRAMS}:
        parser.error(f"no such program: {', '.join(sorted(unknown))}")
    return asyncio.run(run(args))


async def run(args: argparse.Namespace) -> int:
    chosen = [program for program in PROGRAMS if not args.names or program.name in args.names]
    turn = asyncio.Semaphore(args.together)

    def say(text: str) -> None:
        print(text, flush=True)

    with tempfile.TemporaryDirectory(prefix="newsstand-programs-") as temporary:
        folder: Path = args.keep or Path(temporary)

        async def measured(program: Program) -> Measured:
            async with turn:
                return await measure(program, folder, args.seconds, say)

        results = await asyncio.gather(*map(measured, chosen))
    if args.trace:
        args.trace.write_text("\n".join(map(trace, results)), encoding="utf-8")
    for line in page.claims(result for result in results if not result.trouble):
        say(line)
    for result in results:
        if result.trouble:
            say(f"{result.name} was not measured: {result.trouble}")
    if not args.names and not settings():
        page.write(results, args.seconds)
    return 0 if all(holds(result) for result in results) else 1


def holds(result: Measured) -> bool:
    """Whether all that is claimed of a program is so."""
    claimed = (result.never_more, result.profits, result.same, result.answers_offline is not False)
    return not result.trouble and all(claimed)


if __name__ == "__main__":
    sys.exit(main())
