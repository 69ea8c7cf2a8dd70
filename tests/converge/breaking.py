"""The faults: what each operation of `FAULTS` comes to."""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any
from xml.etree.ElementTree import Element, SubElement

from newsstand.errors import DatabaseError, NotInCopy
from newsstand.model import NS_EVENT
from newsstand.rules.reconcile import is_much_shorter
from newsstand.storage.sqlite.connections import BUSY_SECONDS
from tests.contract._storage import path_of
from tests.converge.faults import Faults
from tests.converge.schedule import NODES
from tests.servers.entities import note

if TYPE_CHECKING:
    from tests.converge.player import Player

BIG = 40_000
"""Characters of an item that does not fit into a full database."""
UNLIMITED = 1_073_741_823


async def cut(player: Player, number: int, who: str, after: int, upwards: bool = False) -> None:
    """In the middle of whatever is under way: somebody publishes, and the program reads."""
    program = player.programs[who]
    if program.connected:
        program.cut_after(after, upwards=upwards)
        async with asyncio.timeout(10):
            await asyncio.gather(
                player.world.romeo.publish(*player.nodes[number], "i0", f"at a cut {after}"),
                *(program.read(*node) for node in player.nodes),
                return_exceptions=True,
            )
        await program.end_session()
    await _look_held(player, who)


async def cut_listing(player: Player, number: int, who: str, after: int, upwards: bool = False) -> None:
    """A fresh session begins, and ends while the copies are listed."""
    program = player.programs[who]
    await program.end_session()
    await program.begin_session()
    program.cut_after(after, upwards=upwards)
    async with asyncio.timeout(10):
        await program.replica.settled()
    await program.end_session()
    await _look_held(player, who)


async def _look_held(player: Player, who: str) -> None:
    await player.notice_node(0)
    for number in range(NODES):
        await player.notice_node(number)
        await player.look_held(who, number)


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


async def lose_answer(player: Player, number: int, who: str, count: int) -> None:
    """Something that the program asks next is done and not answered. It may wait for that longer than it may take to
    catch up, so until the next session only that is not demanded."""
    player.impaired.add(who)
    player.programs[who].faults.lose_answers(count)
    await player._read(number, who, past_copy=True)


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


async def lock_long(player: Player, number: int, id: str, text: str) -> None:
    """Another process holds our database for longer than we wait for it, while both programs read: soon after what
    they cannot store, again while they wait, and once they have given up."""
    program = player.programs["juliet"]
    reads: list[asyncio.Task[None]] = []
    with closing(sqlite3.connect(path_of(program.database), isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        await player._try(player.world.romeo.publish(*player.nodes[number], id, text))
        await player.notice_node(number)
        for seconds in (0.0, BUSY_SECONDS / 2, BUSY_SECONDS / 2 + 0.5):
            await asyncio.sleep(seconds)
            # They may wait for what cannot be stored: the lock does not wait for them.
            reads += [asyncio.ensure_future(player._read(at, who)) for at in range(NODES) for who in player.programs]
        await asyncio.sleep(0.5)
        other.execute("ROLLBACK")
    await asyncio.gather(*reads)


async def cut_first(player: Player, number: int, who: str, after: int, upwards: bool = False) -> None:
    """The copy is dropped and begun anew, because the program reads; and the stream ends while that is listed."""
    program, node = player.programs[who], player.nodes[number]
    if not program.connected:
        return
    with contextlib.suppress(NotInCopy):
        await program.replica.purge(*node)
    player.judge.dropped((who, number))
    async with asyncio.timeout(10):
        await program.read(*node)
        program.cut_after(after, upwards=upwards)
        await program.replica.settled()
    await program.end_session()
    await _look_held(player, who)


async def write_amid_listing(player: Player, number: int, who: str, texts: list[str]) -> None:
    """A fresh session begins, and somebody publishes while the copies are listed."""
    program = player.programs[who]
    await program.end_session()
    await program.begin_session()
    for item_id, text in zip(("i0", "i5"), texts, strict=True):
        await player._try(player.world.romeo.publish(*player.nodes[number], item_id, text))
        await player.notice_node(number)
    await player.notice(who)


async def forge(player: Player, number: int, who: str, what: str, by: str, id: str, text: str) -> None:
    """Somebody who is not the node's service speaks of the node: nobody is forgiven for believing it."""
    program, (service, node) = player.programs[who], player.nodes[number]
    other = player.world.service if service != player.world.service else player.world.jid("romeo")
    sender = {"stranger": "mallory@example.net/x", "other_service": other, "error": service}[by]
    type = "error" if by == "error" else "headline"
    message = Element("{jabber:client}message", {"from": sender, "to": f"{program.account}/x", "type": type})
    event = SubElement(message, f"{{{NS_EVENT}}}event")
    if what in ("publish", "retract"):
        items = SubElement(event, f"{{{NS_EVENT}}}items", {"node": node})
        if what == "publish":
            SubElement(items, f"{{{NS_EVENT}}}item", {"id": id}).append(note(f"forged {text}"))
        else:
            SubElement(items, f"{{{NS_EVENT}}}retract", {"id": id})
    else:
        SubElement(event, f"{{{NS_EVENT}}}{what}", {"node": node})
    program.inject(message)


async def pass_by(faults: Faults[Any]) -> None:
    """What was to be told in reverse has been told, or never comes."""
    for _ in range(50):
        if not faults.is_holding:
            return
        await asyncio.sleep(0.01)
    faults.lift()


async def disk_full(player: Player, number: int, id: str, text: str) -> None:
    """Nothing more fits into our database, while items come that are too large; then there is room again."""
    program = player.programs["juliet"]

    def limit(conn: Any, pages: int | None) -> None:
        there = conn.exec_driver_sql("PRAGMA page_count").scalar()
        conn.exec_driver_sql(f"PRAGMA max_page_count={there if pages is None else pages}")

    with contextlib.suppress(DatabaseError):  # what is stored together with it may fail by it: the limit stays
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


async def short_listing(player: Player, number: int, who: str, count: int, left: int = 1, more: int = 0) -> None:
    """The service lists too little, once or twice, when the next session asks. Nobody else looks meanwhile: what a
    service says wrongly is nothing that it held."""
    program = player.programs[who]
    if await _can_be_much_shorter(player, number, who, left, more):
        player.world.shorten_listings(count, left, of=(program.account, player.nodes[number][1]))
    else:
        player.world.shorten_listings(count)
    if program.connected:
        await program.end_session()
    await program.begin_session()
    await program.replica.session_began()
    await program.replica.settled()
    player.world.shorten_listings(0)
    await player.notice(who)
    await _look_held(player, who)
    await player._read(number, who)


async def short_ids(player: Player, number: int, who: str, id: str, text: str, left: int = 1, more: int = 0) -> None:
    """The service names too few ids when it is asked what fell out for an item that is new."""
    program = player.programs[who]
    if not await _can_be_much_shorter(player, number, who, left, more):
        return
    player.world.shorten_ids(1, left, of=(program.account, player.nodes[number][1]))
    await player._publish(number, f"{id}-{text}", text)
    await program.replica.settled()
    player.world.shorten_ids(0, left)
    await player.notice_node(number)
    await player._read(number, who)


async def _can_be_much_shorter(player: Player, number: int, who: str, left: int, more: int) -> bool:
    """Publish so many more items, and see whether so few that are left would be much shorter than the copy. Only of one
    that holds what the service holds: where little is missing, a single list may be believed."""
    if not player.world.is_fake:
        return False
    program, node = player.programs[who], player.nodes[number]
    if not player._hears_well(who) or player.judge.past[who, number].untold:
        await reconnect(player, number, who)
    for extra in range(more):
        await player._publish(number, f"more{extra}", f"more {extra}")
        await player.notice_node(number)
    await program.replica.settled()
    copied, view = await program.held(*node), await player.world.look(who, *node)
    if copied is None or not copied.complete or copied.items != view.items:
        return False
    player.judge.past[who, number].unproved = False
    held = [item[0] for item in copied.items]
    return is_much_shorter(len(held), len(held) - left)
