"""Plays a schedule in a world, and has everything judged."""

from __future__ import annotations

import asyncio
import functools
import itertools
import shutil
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from newsstand.errors import DatabaseError, NewsstandError, StanzaError
from tests.converge import breaking, ending
from tests.converge.judge import Judge
from tests.converge.schedule import ACCOUNTS, FAULTS, IDS, NODES, PEP_NODE, Operation, Schedule
from tests.converge.world import SECONDS, Program, Reading, View, World
from tests.servers.entities import Entity, publish_payload, retract_payload
from tests.servers.quirks import Quirk

ATTEMPTS = 5
"""At what must be done, for anything to be played."""
_numbers = itertools.count()
_LONG = {"restart", "check", "short_listing", "short_ids"}
"""They end a server, wait for all programs, or publish many items first."""
_UNNOTICED = {"read", "check", "drop", "double", "hold", "reorder", "forge"}
"""They change no node."""


@dataclass
class Outcome:
    """What became of a schedule."""

    operations: int = 0
    faults: int = 0
    """Operations that were faults, and notifications that something befell."""
    refused: int = 0
    """Operations that the service refused: by its quirks, or because of what went before."""
    divergences: list[str] = field(default_factory=list)


class Player:
    def __init__(self, world: World, schedule: Schedule, folder: Path, template: Path) -> None:
        self.world = world
        self.schedule = schedule
        self.folder = folder
        self.judge = Judge()
        self.outcome = Outcome()
        self.programs: dict[str, Program] = {}
        unique = f"{schedule.seed}-{next(_numbers)}"
        romeo = world.jid("romeo")
        self.nodes = [
            (romeo if number == PEP_NODE else world.service, f"converge-{unique}-{number}") for number in range(NODES)
        ]
        self.numbers = {node: number for number, node in enumerate(self.nodes)}
        self.impaired: set[str] = set()
        """Programs whose notifications meet with faults: until their next session nothing is demanded of them."""
        self.configured: set[int] = set()
        """The nodes that have our configuration: others came into being when something was published to them."""
        self._database = folder / "news-0.db"
        shutil.copy(template, self._database)

    async def play(self) -> Outcome:
        try:
            async with asyncio.timeout(SECONDS * 4):
                await self._begin()
            for number, operation in enumerate(self.schedule.operations):
                before = len(self.judge.divergences)
                await self._happen(operation)
                for index in range(before, len(self.judge.divergences)):
                    text = self.judge.divergences[index]
                    self.judge.divergences[index] = f"operation {number} ({operation}): {text}"
            await ending.converge(self)
            await ending.go_on(self)
        finally:
            self.outcome.divergences = self.judge.divergences
            self.outcome.faults += sum(program.faults.hits for program in self.programs.values())
            await self._end()
        return self.outcome

    async def _begin(self) -> None:
        for number in range(NODES):
            await self._insist(functools.partial(self.create, number, self.schedule.limits[number]))
            for item in range(self.schedule.filled[number]):
                await self._publish(number, f"i{item}", f"first {item}")
        await self.open_programs()
        for account, program in self.programs.items():
            await program.begin_session()
            await program.replica.session_began()
            await self.notice(account)
            for number in range(NODES):
                await self._read(number, account)
            await program.replica.settled()
        if self.world.is_fake and self.schedule.seed % 2:
            await self._show_behaviour()

    async def _show_behaviour(self) -> None:
        """Half of the programs have met the services before, and know where what is overwritten goes: to learn that
        takes two orders that show nothing else, which few schedules have."""
        for number in (0, PEP_NODE):
            service, node = self.nodes[number][0], f"{self.nodes[number][1]}-before"
            await self.world.romeo.create(service, node, access_model="open", max_items="20")
            for item_id in IDS:
                await self.world.romeo.publish(service, node, item_id, "first")
            await self.programs["juliet"].read(service, node)
            await self.programs["juliet"].replica.settled()
            for item_id in IDS[1:3]:
                await self.world.romeo.publish(service, node, item_id, "overwritten")
                await self.programs["juliet"].replica.settled()
            await self.world.romeo.delete(service, node)

    async def _insist(self, ask: Callable[[], Awaitable[None]]) -> None:
        """Schedules that are played beside each other may get into each other's way: ejabberd's Mnesia gives up one of
        two transactions that wait for each other, and says so by an error of type "wait"."""
        for left in reversed(range(ATTEMPTS)):
            try:
                await ask()
                break
            except StanzaError as error:
                if error.type != "wait" or not left:
                    raise

    async def open_programs(self) -> None:
        for account in ACCOUNTS:
            self.programs[account] = await self.world.open_program(account, self._database)

    def next_database(self) -> Path:
        self._database = self.folder / f"news-{next(_numbers)}.db"
        return self._database

    async def _end(self) -> None:
        for program in self.programs.values():
            await program.close()
        for service, node in self.nodes:
            await self._try(self.world.romeo.delete(service, node))

    async def create(self, number: int, limit: int) -> None:
        """A node that romeo owns, in which juliet may publish."""
        service, node = self.nodes[number]
        config = {"notify_delete": "1"} if self.schedule.tells_delete else {}
        model = self.schedule.models[number]
        await self.world.romeo.create(service, node, access_model=model, max_items=str(limit), **config)
        self.configured.add(number)
        await self.world.romeo.affiliate(service, node, self.world.jid("juliet"), "publisher")

    # While it is played ---------------------------------------------------------------------------------------------

    async def _happen(self, operation: Operation) -> None:
        self.outcome.operations += 1
        self.outcome.faults += operation.kind in FAULTS
        play: Any = getattr(self, f"_{operation.kind}", None) or getattr(breaking, operation.kind)
        bound: Awaitable[None] = (
            play(operation.node, **operation.args)
            if operation.kind not in FAULTS
            else play(self, operation.node, **operation.args)
        )
        try:
            async with asyncio.timeout(SECONDS * (6 if operation.kind in _LONG else 1)):
                await bound
        except TimeoutError:
            self.judge.blame(("all", operation.node), f"{operation.kind} never ended")
        if operation.kind not in _UNNOTICED:
            await self.notice_node(operation.node)
        for account, program in self.programs.items():
            self.judge.revisions(account, program, self.numbers)

    async def notice_node(self, number: int) -> None:
        """Write down what the service says of a node now."""
        for account in ACCOUNTS:
            view = await self.world.look(account, *self.nodes[number])
            past = self.judge.past[account, number]
            if view.refusal is None and past.views and past.views[-1].refusal is not None:
                past.denied = False
            past.note(view)

    async def notice(self, account: str) -> None:
        """A fresh session begins: what was untold is found by it."""
        self.impaired.discard(account)
        for number in range(NODES):
            self.judge.past[account, number].untold = False
        for number in range(NODES):
            await self.notice_node(number)

    def untold(self, number: int, *accounts: str) -> None:
        for account in accounts or ACCOUNTS:
            self.judge.past[account, number].lose_track()

    async def _try(self, request: Awaitable[Any]) -> bool:
        """Whether the service did it."""
        try:
            await request
        except StanzaError:
            return False
        return True

    async def _wants(self, request: Awaitable[Any]) -> bool:
        done = await self._try(request)
        self.outcome.refused += not done
        return done

    # What others do

    async def _publish(self, number: int, id: str, text: str, by: Entity | None = None) -> None:
        await self._wants((by or self.world.romeo).publish(*self.nodes[number], id, text))

    async def _publish_same(self, number: int, id: str, text: str) -> None:
        await self._publish(number, id, text)

    async def _retract(self, number: int, id: str) -> None:
        await self._wants(self.world.romeo.retract(*self.nodes[number], id))

    async def _retract_silently(self, number: int, id: str) -> None:
        pep = Quirk.PEP_RETRACT_SILENT_WITHOUT_NOTIFY if number == PEP_NODE else Quirk.RETRACT_SILENT_WITHOUT_NOTIFY
        if pep in self.world.quirks:
            self.untold(number)
        await self._wants(self.world.romeo.retract(*self.nodes[number], id, notify=False))

    async def _purge(self, number: int) -> None:
        if number == PEP_NODE:
            self.untold(number)
        if await self._wants(self.world.romeo.purge(*self.nodes[number])):
            for account in ACCOUNTS:  # so the service said, also where ejabberd's Mnesia kept some
                past = self.judge.past[account, number]
                if past.views[-1].refusal is None:
                    past.note(View())

    async def _delete(self, number: int) -> None:
        tells = self.schedule.tells_delete and number in self.configured
        if not tells and Quirk.DELETE_SILENT in self.world.quirks:
            self.untold(number)
        if await self._wants(self.world.romeo.delete(*self.nodes[number])):
            self.configured.discard(number)

    async def _create(self, number: int) -> None:
        self.untold(number)
        try:
            await self.create(number, self.schedule.limits[number])
        except StanzaError:
            self.outcome.refused += 1

    async def _limit(self, number: int, limit: int) -> None:
        self.untold(number)
        await self._wants(self.world.romeo.configure(*self.nodes[number], max_items=str(limit)))

    async def _expire(self, number: int, seconds: int) -> None:
        """What is older than this goes, and nobody is told. The node asks for that for a moment only: the
        administrator's command is for all nodes of the service, and other schedules give it at any time."""
        ignored = Quirk.PEP_ITEM_EXPIRE_IGNORED if number == PEP_NODE else Quirk.ITEM_EXPIRE_IGNORED
        if ignored in self.world.quirks:
            self.outcome.refused += 1
            return
        self.untold(number)
        node, romeo = self.nodes[number], self.world.romeo
        if await self._wants(romeo.configure(*node, item_expire=str(seconds))):
            self.outcome.refused += not await self.world.delete_expired()
            await self._insist(lambda: romeo.configure(*node, item_expire="max"))

    async def _access(self, number: int, model: str) -> None:
        self.untold(number)
        await self._wants(self.world.romeo.configure(*self.nodes[number], access_model=model))

    async def _outcast(self, number: int) -> None:
        self.untold(number, "juliet")
        await self._wants(self.world.romeo.affiliate(*self.nodes[number], self.world.jid("juliet"), "outcast"))

    async def _readmit(self, number: int) -> None:
        self.untold(number, "juliet")
        await self._wants(self.world.romeo.affiliate(*self.nodes[number], self.world.jid("juliet"), "publisher"))

    async def _demote(self, number: int) -> None:
        """Juliet may read on, and not publish."""
        node = self.nodes[number]
        before = await self.world.look("juliet", *node)
        await self._wants(self.world.romeo.affiliate(*node, self.world.jid("juliet"), "member"))
        if (await self.world.look("juliet", *node)).refusal != before.refusal:
            self.untold(number, "juliet")

    async def _lose(self, number: int, id: str, texts: list[str]) -> None:
        """The subscriptions are lost, and an item is written that nobody hears of. The programs find that when they
        look, without a fresh session, and hear what comes then."""
        node = self.nodes[number]
        well = [who for who in ACCOUNTS if self._hears_well(who) and not self.judge.past[who, number].untold]
        self.untold(number)
        await self._wants(self.world.lose_subscriptions(*node))
        await self._publish(number, id, texts[0])
        for who in well:
            await self.programs[who].let_look()
            self.judge.past[who, number].untold = False
        await self.notice_node(number)
        for who in well:
            await self._catch_up(who, number)
        await self._publish(number, id, texts[1])
        await self.notice_node(number)
        for who in well:
            await self._catch_up(who, number)

    async def _race(self, number: int, id: str, texts: list[str], told_backwards: bool = False) -> None:
        backwards = [who for who in ACCOUNTS if told_backwards and self._hears_well(who)]
        for who in backwards:
            self.programs[who].faults.reorder(2)
        await asyncio.gather(
            self._publish(number, id, texts[0]), self._publish(number, id, texts[1], self.world.second)
        )
        for who in backwards:
            await breaking.pass_by(self.programs[who].faults)
        for account in ACCOUNTS:
            past = self.judge.past[account, number]
            past.blurred = len(past.views)
        await self.notice_node(number)
        for who in backwards:
            await self._catch_up(who, number)

    # What the program does

    async def _own_publish(self, number: int, id: str, text: str) -> None:
        program = self.programs["juliet"]
        if await self._own(program, number, publish_payload(self.nodes[number][1], id, text)):
            reading = await program.read(*self.nodes[number])
            self.judge.own_write(("juliet", number), reading, id, text)
        else:
            await self._read_after_failure(number)

    async def _own_retract(self, number: int, id: str) -> None:
        program = self.programs["juliet"]
        if await self._own(program, number, retract_payload(self.nodes[number][1], id)):
            reading = await program.read(*self.nodes[number])
            self.judge.own_write(("juliet", number), reading, id, None)
        else:
            await self._read_after_failure(number)

    async def _read_after_failure(self, number: int) -> None:
        """A write was refused, or its answer was lost, or there is no session: what the service holds now is what
        counts."""
        await self.notice_node(number)
        await self._read(number, "juliet")

    async def _own(self, program: Program, number: int, payload: Any) -> bool:
        if not program.connected:
            return False
        try:
            await program.write(self.nodes[number][0], payload)
        except (NewsstandError, DatabaseError):
            self.outcome.refused += 1
            return False
        return True

    async def _news(self, number: int, who: str, id: str, text: str) -> None:
        """As soon as a program was told, it reads."""
        program, past = self.programs[who], self.judge.past[who, number]
        with program.hearing(text) as heard:
            telling = asyncio.ensure_future(self._publish(number, id, text))
            if self._hears_well(who) and not past.untold:
                hearing = asyncio.ensure_future(heard.wait())
                either: set[asyncio.Future[Any]] = {telling, hearing}
                await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
                hearing.cancel()
                if heard.is_set():
                    self.judge.news((who, number), await program.read(*self.nodes[number]), id, text)
            await telling
        await self.notice_node(number)
        await self._catch_up(who, number)

    async def look_held(self, who: str, number: int) -> None:
        program, node = self.programs[who], self.nodes[number]
        self.judge.held((who, number), await program.held(*node))
        self.judge.stored((who, number), await program.stored(*node))

    async def _read(
        self,
        number: int,
        who: str,
        ids: list[str] | None = None,
        max_items: int | None = None,
        past_copy: bool = False,
    ) -> None:
        program = self.programs[who]
        if past_copy and (refusal := await program.read_past_copy(*self.nodes[number])) is not None:
            self.judge.noted_refusal((who, number), Reading(View(refusal=refusal)))
        reading = await program.read(*self.nodes[number], ids=ids, max_items=max_items)
        if ids is None and max_items is None:
            self.judge.live_answer((who, number), reading, connected=program.connected)
        await self.look_held(who, number)

    async def _check(self, number: int) -> None:
        """All that was told is answered with, soon."""
        for who in ACCOUNTS:
            for at in range(NODES):
                await self._catch_up(who, at)

    def _hears_well(self, who: str) -> bool:
        return self.programs[who].connected and who not in self.impaired

    async def _catch_up(self, who: str, number: int) -> None:
        if self._hears_well(who) and not self.judge.past[who, number].untold:
            await ending.catch_up(self, who, number)
