"""`python -m tests.converge`: plays schedules at a service, and tells where they diverged. Exits with 1 if any did."""

from __future__ import annotations

import argparse
import asyncio
import logging
import sys
import time
from collections.abc import Coroutine
from pathlib import Path
from typing import Any

from tests.converge.player import Outcome
from tests.converge.running import Stage, open_stage, shrink
from tests.converge.schedule import Schedule
from tests.servers.quirks import QUIRKS
from tests.signals import end_as_if_interrupted


def main() -> int:
    end_as_if_interrupted()
    parser = argparse.ArgumentParser(prog="python -m tests.converge", description=__doc__)
    parser.add_argument("--server", default="fake", choices=["fake", *QUIRKS])
    parser.add_argument("--schedules", type=int, default=40, metavar="N")
    parser.add_argument("--seed", type=int, default=0, help="of the first schedule; the others follow")
    parser.add_argument("--replay", type=Path, metavar="FILE", help="a schedule that was written down")
    parser.add_argument("--no-restarts", action="store_true", help="leave the server alone")
    parser.add_argument("--shrink", action="store_true", help="look for shorter schedules (on the fake service)")
    parser.add_argument("--first", action="store_true", help="stop when one diverged")
    parser.add_argument("--folder", type=Path, default=Path(), help="where schedules that diverge are written")
    parser.add_argument("--verbose", action="store_true", help="what Newsstand logs, too")
    args = parser.parse_args()
    logging.basicConfig(level=logging.INFO if args.verbose else logging.CRITICAL)
    logging.getLogger("slixmpp").setLevel(logging.CRITICAL)
    return asyncio.run(run(args))


async def run(args: argparse.Namespace) -> int:
    whole, played, diverged = Outcome(), 0, 0
    began = time.monotonic()
    enough = asyncio.Event()
    async with open_stage(args.server) as stage:
        print(f"{args.server}: ready", flush=True)

        async def ended(schedule: Schedule, outcome: Outcome) -> None:
            nonlocal played, diverged
            played += 1
            diverged += bool(outcome.divergences)
            whole.operations += outcome.operations
            whole.faults += outcome.faults
            whole.refused += outcome.refused
            if outcome.divergences:
                await _report(args, stage, schedule, outcome)
                if args.first:
                    enough.set()

        try:
            await _until(enough, stage.play_all(_schedules(args, stage), ended))
        finally:  # what was played counts, also when the rest is not waited for
            took = time.monotonic() - began
            print(
                f"{args.server}: {played} schedules, {whole.operations} operations ({whole.refused} refused by the "
                f"service), {whole.faults} faults injected, {diverged} divergences, {took:.0f} s",
                flush=True,
            )
    return 1 if diverged else 0


async def _until(enough: asyncio.Event, work: Coroutine[Any, Any, None]) -> None:
    """Do it, and leave off where it is enough."""
    working, waiting = asyncio.ensure_future(work), asyncio.ensure_future(enough.wait())
    either: set[asyncio.Future[Any]] = {working, waiting}
    try:
        await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
    finally:  # also where this is interrupted: what is played needs the service, which ends next
        for task in either:
            task.cancel()
        await asyncio.wait(either)
    if not working.cancelled():
        working.result()


def _schedules(args: argparse.Namespace, stage: Stage) -> list[Schedule]:
    if args.replay:
        return [Schedule.load(args.replay.read_text(encoding="utf-8"))]
    seeds = range(args.seed, args.seed + args.schedules)
    return [stage.schedule(seed, restarts=not args.no_restarts) for seed in seeds]


async def _report(args: argparse.Namespace, stage: Stage, schedule: Schedule, outcome: Outcome) -> None:
    print(f"\nseed {schedule.seed} ({schedule.flavour}) diverged:")
    for divergence in outcome.divergences:
        print(f"  {divergence}")
    if args.shrink and args.server == "fake":
        schedule = await shrink(stage, schedule, print)
        for operation in schedule.operations:
            print(f"    {operation}")
        for divergence in (await stage.play(schedule)).divergences:
            print(f"  {divergence}")
    args.folder.mkdir(parents=True, exist_ok=True)
    file = args.folder / f"diverged-{args.server}-{schedule.seed}.json"
    file.write_text(schedule.dump(), encoding="utf-8")
    print(f"  make converge SERVER={args.server} REPLAY={file}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
