"""`python -m tests.mutants`: plants each fault in a copy of our code, and has the convergence machine look for it at
the fake service, with fixed seeds. First the machine must find nothing in the code as it is. Exits with 1 if any fault
survives."""

from __future__ import annotations

import argparse
import asyncio
import os
import re
import shutil
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from tests.mutants.planted import MUTANTS, SOURCE, Mutant
from tests.signals import end_as_if_interrupted

SEED = 0
SCHEDULES = 150
"""At most, for each fault; all of them must be clean where nothing is planted."""
SECONDS = 300.0
"""Within which a fault is found, or survives."""
AT_A_TIME = 2
_ROOT = SOURCE.parent
_SUMMARY = re.compile(r"^fake: (\d+) schedules, .* (\d+) divergences, \d+ s$", re.M)
_VERDICT = re.compile(r"^  (?:operation \d+ \((?P<operation>[^)]*)\): )?(?P<what>\w+, node \d: .*)$", re.M)
"""What the judge said; "it did not end" is none of its."""


@dataclass(frozen=True, slots=True)
class Found:
    """What the machine came to."""

    schedules: int
    verdict: str | None
    """The first that it blamed; None where all was well."""
    output: str


class Broken(Exception):
    """The machine did not come to an end: this proves nothing."""


def main() -> int:
    end_as_if_interrupted()
    parser = argparse.ArgumentParser(prog="python -m tests.mutants", description=__doc__)
    parser.add_argument("-k", metavar="WORD", default="", help="only the faults with this word in their name")
    parser.add_argument("--verbose", action="store_true", help="what the machine printed, too")
    args = parser.parse_args()
    return asyncio.run(run([mutant for mutant in MUTANTS if args.k in mutant.name], verbose=args.verbose))


async def run(mutants: list[Mutant], *, verbose: bool = False) -> int:
    places = asyncio.Semaphore(AT_A_TIME)
    with tempfile.TemporaryDirectory(prefix="newsstand-mutants-") as folder:
        began = time.monotonic()
        clean = await asyncio.gather(*(_look(Path(folder), None, seed) for seed in _halves()))
        took = time.monotonic() - began
        if any(found.verdict is not None for found in clean):
            print("nothing planted, and yet:", *(found.output for found in clean), sep="\n")
            return 1
        print(f"{'nothing planted':<28} clean, {sum(found.schedules for found in clean)} schedules, {took:.0f} s")

        async def try_one(mutant: Mutant) -> bool:
            async with places:
                return await _is_found(Path(folder), mutant, verbose=verbose)

        count = sum(await asyncio.gather(*(try_one(mutant) for mutant in mutants)))
    print(f"{count}/{len(mutants)}")
    return 0 if count == len(mutants) else 1


def _halves() -> list[tuple[int, int]]:
    half = SCHEDULES // 2
    return [(SEED, half), (SEED + half, SCHEDULES - half)]


async def _is_found(folder: Path, mutant: Mutant, *, verbose: bool) -> bool:
    began = time.monotonic()
    try:
        found = await _look(folder, mutant, (SEED, SCHEDULES))
    except Broken as broken:
        what, is_found, output = f"BROKEN: {broken}", False, ""
    else:
        is_found, output = found.verdict is not None, found.output
        what = f"{found.verdict or 'SURVIVED'}; {found.schedules} schedules"
    print(f"{mutant.name:<28} {what}, {time.monotonic() - began:.0f} s", flush=True)
    if verbose:
        print(output)
    return is_found


async def _look(folder: Path, mutant: Mutant | None, seeds: tuple[int, int]) -> Found:
    """Have the machine look for a fault, in a process of its own. Raises Drifted or Broken."""
    here = Path(tempfile.mkdtemp(dir=folder))
    shutil.copytree(SOURCE, here / "src", ignore=shutil.ignore_patterns("__pycache__"))
    if mutant is not None:
        mutant.plant(here / "src")
    seed, count = seeds
    command = [sys.executable, "-c", _PLAY, str(here / "src"), "--first", "--folder", str(here)]
    process = await asyncio.create_subprocess_exec(
        *command,
        *("--seed", str(seed), "--schedules", str(count)),
        cwd=_ROOT,
        env={**os.environ, "PYTHONPATH": f"{here / 'src'}{os.pathsep}{_ROOT}"},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    try:
        async with asyncio.timeout(SECONDS):
            printed, _ = await process.communicate()
    except TimeoutError:
        raise Broken(f"no end within {SECONDS:.0f} s") from None
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    output = printed.decode(errors="replace")
    summary, verdict = _SUMMARY.search(output), _VERDICT.search(output)
    if summary is None or process.returncode != (summary[2] != "0") or (summary[2] != "0" and verdict is None):
        raise Broken(output[-2000:])
    return Found(int(summary[1]), None if verdict is None else _said(verdict), output)


_PLAY = """
import sys
import newsstand
assert newsstand.__file__.startswith(sys.argv.pop(1)), "the code that was looked at is another"
from tests.converge.__main__ import main
sys.exit(main())
"""


def _said(verdict: re.Match[str]) -> str:
    at = f" at {verdict['operation'].split()[0]}" if verdict["operation"] else ""
    return f"{verdict['what']}{at}"


if __name__ == "__main__":
    sys.exit(main())
