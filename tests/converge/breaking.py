"""The faults: what each operation of `FAULTS` comes to."""

from __future__ import annotations

import asyncio
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.contract._storage import path_of
from tests.converge.schedule import NODES

if TYPE_CHECKING:
    from tests.converge.player import Player

BIG = 40_000
"""Characters of an item that does not fit into a full database."""
UNLIMITED = 1_073_741_823


async def cut(player: Player, number: int, who: str, after: int) -> None:
    """In the middle of whatever is under way: somebody publishes, and the program reads."""
    program = player.programs[who]
    if program.connected:
        program.cut_after(after)
        async with asyncio.timeout(10):
            await asyncio.gather(
                player.world.romeo.publish(*player.nodes[number], "i0", f"at a cut {after}"),
                *(program.read(*node) for node in player.nodes),
                return_exceptions=True,
            )
        await program.end_session()
    await _look_held(player, who)


async def cut_listing(player: Player, number: int, who: str, after: int) -> None:
    """A fresh session begins, and ends while the copies are listed."""
    program = player.programs[who]
    await program.end_session()
    await program.begin_session()
    program.cut_after(after)
    async with asyncio.timeout(10):
        await program.replica.settled()
    await program.end_session()
    await _look_held(player, who)


async def _look_held(player: Player, who: str) -> None:
    await player.notice_node(0)
    for number in range(NODES):
        await player.notice_node(number)
        player.judge.held((who, number), await player.programs[who].held(*player.nodes[number]))


async def reconnect(player: Player, number: int, who: str, gracefully: bool = False) -> None:
    program = player.programs[who]
    if program.connected:
        await program.end_session(gracefully=gracefully)
    await program.begin_session()
    await player.notice(who)


async def drop(player: Player, number: int, who: str, count: int) -> None:
    player.impaired.add(who)
    _distrust(player, who)
    player.programs[who].faults.drop(count)


async def double(player: Player, number: int, who: str) -> None:
    """To apply anything twice changes nothing: nothing is forgiven for it."""
    player.programs[who].faults.double()


async def hold(player: Player, number: int, who: str) -> None:
    player.impaired.add(who)
    _distrust(player, who)
    player.programs[who].faults.hold()


async def reorder(player: Player, number: int, who: str, count: int) -> None:
    player.impaired.add(who)
    _distrust(player, who)
    player.programs[who].faults.reorder(count)


def _distrust(player: Player, who: str) -> None:
    for number in range(NODES):
        player.untold(number, who)


async def restart(player: Player, number: int, kill: bool) -> None:
    await player.world.restart(kill=kill)
    for who in player.programs:
        await _look_held(player, who)


async def lock(player: Player, number: int, id: str, text: str) -> None:
    """Another process writes to our database, while something happens and the program reads."""
    program = player.programs["juliet"]
    with closing(sqlite3.connect(path_of(program.database), isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        reads: list[asyncio.Task[Any]] = []
        try:
            await player.world.romeo.publish(*player.nodes[number], id, text)
            reads = [asyncio.ensure_future(program.read(*node)) for node in player.nodes]
            await player.world.look("juliet", *player.nodes[number])
        except Exception:  # the service refused it; the lock was had all the same
            player.outcome.refused += 1
        finally:
            other.execute("ROLLBACK")
    await asyncio.gather(*reads)


async def disk_full(player: Player, number: int, id: str, text: str) -> None:
    """Nothing more fits into our database, while items come that are too large; then there is room again."""
    program = player.programs["juliet"]

    def limit(conn: Any, pages: int | None) -> None:
        there = conn.exec_driver_sql("PRAGMA page_count").scalar()
        conn.exec_driver_sql(f"PRAGMA max_page_count={there if pages is None else pages}")

    await program.database.write(limit, None)
    try:
        await player._try(player.world.romeo.publish(*player.nodes[number], id, text + "x" * BIG))
        await program.read(*player.nodes[number])
        await player._try(player.world.romeo.publish(*player.nodes[number], id, text))
    finally:
        await program.database.write(limit, UNLIMITED)
    # The large item was there for a moment that nobody looked at.
    for who in player.programs:
        past = player.judge.past[who, number]
        past.blurred = len(past.views) + 1


async def crash(player: Player, number: int) -> None:
    """Our process is killed between two commits, and starts again: with what was committed, and nothing else."""
    path = player.next_database()
    await player.programs["juliet"].database.write(_snapshot, path_of(player.programs["juliet"].database), path)
    for program in player.programs.values():
        await program.end_session()
        player.outcome.faults += program.faults.hits
        await program.close()
    await player.open_programs()
    for who in player.programs:
        await _look_held(player, who)
    for who, program in player.programs.items():
        await program.begin_session()
        await player.notice(who)


def _snapshot(conn: Any, there: Path, here: Path) -> None:
    """The files as a kill would leave them. Runs where the writer runs: between two commits."""
    for suffix in ("", "-wal"):
        if (file := Path(f"{there}{suffix}")).exists():
            shutil.copy(file, f"{here}{suffix}")


async def short_listing(player: Player, number: int, who: str, count: int) -> None:
    """The service lists too little, once or twice, when the next session asks."""
    player.world.shorten_listings(count)
    await reconnect(player, number, who)
    await player.programs[who].replica.settled()
    player.world.shorten_listings(0)
    await _look_held(player, who)
