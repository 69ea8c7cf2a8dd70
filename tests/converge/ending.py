"""Quiescence: all faults are over, every program has a fresh session, and the copies equal the service."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from newsstand.model import SyncState
from tests.converge.schedule import IDS, NODES
from tests.converge.world import Program, Reading, View

if TYPE_CHECKING:
    from tests.converge.player import Player

WITHIN = 5.0
"""Seconds after quiescence and reconnection."""
PAUSE = 0.01


async def converge(player: Player) -> None:
    for account, program in player.programs.items():
        program.faults.lift()
        await program.end_session()
        await program.begin_session()
        await player.notice(account)
    loop = asyncio.get_running_loop()
    until = loop.time() + WITHIN
    await asyncio.gather(
        *(
            _converges(player, account, program, number, until)
            for account, program in player.programs.items()
            for number in range(NODES)
        )
    )


async def go_on(player: Player) -> None:
    """Once more something is published to each node that can be: those who follow it hear of it."""
    await asyncio.gather(*(player._try(player.world.romeo.publish(*node, "last", "the last")) for node in player.nodes))
    until = asyncio.get_running_loop().time() + WITHIN
    await asyncio.gather(
        *(
            _converges(player, account, program, number, until)
            for account, program in player.programs.items()
            for number in range(NODES)
        )
    )


async def _converges(player: Player, account: str, program: Program, number: int, until: float) -> None:
    await program.replica.session_began()
    view = await player.world.look(account, *player.nodes[number])
    loop = asyncio.get_running_loop()
    while True:
        what = await _differs(player, account, program, number, view)
        if what is None:
            return
        if loop.time() > until:
            record = program.record(*player.nodes[number])
            state = "no record" if record is None else f"{record.state.value}: {record.reason}"
            player.judge.blame((account, number), f"at the end: {what[0]} ({state})", got=what[1], wanted=view)
            return
        await asyncio.sleep(PAUSE)


async def _differs(
    player: Player, account: str, program: Program, number: int, view: View
) -> tuple[str, Reading | object] | None:
    try:
        async with asyncio.timeout(WITHIN):
            await program.replica.settled()
    except TimeoutError:
        under_way = sorted(task.get_name() for task in program.replica._open.context._tasks)
        return f"never settled: {', '.join(under_way)}", None
    node = player.nodes[number]
    reading = await program.read(*node)
    if reading.view != view:
        return "another answer than the service's", reading
    if view.refusal is not None:
        held = await program.held(*node)
        return ("a copy of a node that is refused", held.items) if held is not None else None
    if not view.items or _cannot_be_followed(program, *node):
        return None
    if not reading.from_copy or reading.stale:
        return "the copy does not answer", reading
    held = await program.held(*node)
    if held is None or not held.complete or held.items != view.items or held.foreign:
        return "the copy holds something else", held
    return await _differs_in_part(player, account, program, number)


def _cannot_be_followed(program: Program, service: str, node: str) -> bool:
    """Some services let read on who may not subscribe any more; then every read is the service's."""
    record = program.record(service, node)
    return record is not None and record.state is SyncState.FAILED and "refuses the subscription" in str(record.reason)


async def _differs_in_part(
    player: Player, account: str, program: Program, number: int
) -> tuple[str, Reading | object] | None:
    node = player.nodes[number]
    for ids, limit in (([], 2), (IDS[:3], None)):
        wanted = await player.world.look(account, *node, ids=ids, max_items=limit)
        reading = await program.read(*node, ids=ids, max_items=limit)
        if reading.view != wanted:
            return f"another answer to {ids or limit}, which should be {wanted}", reading
    return None


async def catch_up(player: Player, account: str, number: int) -> None:
    """In the middle: soon no answer that is not marked differs."""
    program = player.programs[account]
    loop = asyncio.get_running_loop()
    until = loop.time() + WITHIN
    node = player.nodes[number]
    view = await player.world.look(account, *node)
    while True:
        await program.replica.settled()
        reading = await program.read(*node)
        player.judge.noted_refusal((account, number), reading)
        if reading.view == view and not reading.stale:
            player.judge.caught_up((account, number), reading)
            return
        if loop.time() > until:
            player.judge.blame((account, number), "what was told is not answered with", got=reading, wanted=view)
            return
        await asyncio.sleep(PAUSE)
