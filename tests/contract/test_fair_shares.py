"""A service that takes its time, or never answers, has its own nodes wait, and nobody else's."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from newsstand import Analyser
from newsstand.errors import TooSlow
from newsstand.model import Origin, SyncState
from newsstand.rules.doubts import Chores
from newsstand.state import slots
from newsstand.state.doubts import due
from newsstand.storage.database import Database
from newsstand.xmpp.transport import Session
from tests.fakes.hold import SECONDS
from tests.fakes.hostile import HostileService
from tests.fakes.program import NODE, NOTES, Program, at_work
from tests.fakes.requests import Kind, Request
from tests.fakes.service import NOTE, SERVICE, Service

WELL = "pubsub.example.net"
SIX = [f"node-{number}" for number in range(6)]
SOON = 0.02
"""Seconds after which an answer takes long, in some tests."""


@pytest.fixture
def service() -> HostileService:
    """With six nodes, beside another service with one."""
    service = HostileService(quirks=frozenset())
    for name in SIX:
        service.create(name, "a", "b", "c")
    service.add_service(WELL).create(NODE, "a", "b")
    return service


@asynccontextmanager
async def following(database: Database, service: HostileService, **settings: Any) -> AsyncIterator[Program]:
    """A program whose copies of all these nodes are live; those of the six nodes were read last."""
    async with at_work(database, service, **settings) as program:
        await program.follow(at=WELL)
        for name in SIX:
            await program.follow(name)
        yield program


def new_session(program: Program) -> None:
    program.stream.turn(Session.LOST, Session.FRESH)


async def answers_live(program: Program, node: str = NODE, *, at: str = WELL) -> None:
    await program.becomes_live(node, at=at)
    assert (await program.read(node, at=at)).origin is Origin.COPY


# One service and others --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("how", ["never_answer", "drip"])
async def test_nodes_whose_service_does_not_answer_hold_up_no_other_services(
    database: Database, service: HostileService, how: str
) -> None:
    async with following(database, service) as program:
        for name in SIX:
            service.never_answer(name) if how == "never_answer" else service.drip(name, 29, most=1)
        new_session(program)
        await answers_live(program)
        await program.replica.verify(WELL, NODE)
        assert not any(program.copy(name).record.state is SyncState.LIVE for name in SIX)
        assert service.hanging <= set(SIX)
        assert 0 < len(service.hanging) <= 4


async def test_contacts_of_one_domain_are_one_service(database: Database, service: HostileService) -> None:
    contacts = [f"contact-{number}@evil.example" for number in range(6)]
    for contact in contacts:
        service.add_account(contact).create(NODE, "a")
    async with at_work(database, service) as program:
        await program.follow(at=WELL)
        for contact in contacts:
            await program.follow(at=contact)
        evil = [service.accounts[contact] for contact in contacts]
        for one in evil:
            assert isinstance(one, HostileService)
            one.never_answer(NODE)
        new_session(program)
        await answers_live(program)
        hanging = [one for one in evil if isinstance(one, HostileService) and one.hanging]
        assert 0 < len(hanging) <= 4


async def test_however_many_services_do_not_answer_another_one_has_its_turn(
    database: Database, service: HostileService
) -> None:
    evil = [f"evil-{number}.example" for number in range(12)]
    for jid in evil:
        service.add_service(jid).create(NODE, "a")
    async with at_work(database, service, parallel=2, slow_after=SOON) as program:
        await program.follow(at=WELL)
        for jid in evil:
            await program.follow(at=jid)
        for jid in evil:
            one = service.others[jid]
            assert isinstance(one, HostileService)
            one.never_answer(NODE)
        new_session(program)
        await answers_live(program)
        held = program.replica._open.synchroniser._slots.shares._begun
        assert sum(held.values()) <= 2 * slots.BEGUN, "what has begun holds memory"


async def test_a_program_with_one_slot_goes_on_beside_a_service_that_does_not_answer(
    database: Database, service: HostileService
) -> None:
    async with following(database, service, parallel=1, slow_after=SOON) as program:
        for name in SIX:
            service.never_answer(name)
        new_session(program)
        await answers_live(program)


async def test_news_of_others_are_looked_into_meanwhile(database: Database, service: HostileService) -> None:
    """Items without contents, new items, subscriptions, cursors: all of it takes slots."""
    async with following(database, service) as program:
        for name in SIX:
            service.never_answer(name)
        new_session(program)
        await answers_live(program)
        well = service.others[WELL]
        well.mischief.strip_payloads()
        well.publish(NODE, "c", "without contents")
        well.publish(NODE, "a", "without contents")
        copy = program.copy(at=WELL)
        due(copy, Chores(confirm=True, revalidate=True))
        program.replica._open.synchroniser.want(copy)
        async with asyncio.timeout(SECONDS):
            while copy.work.task is not None or copy.inbox or copy.doubtful:
                await asyncio.wait({copy.work.task} if copy.work.task else {asyncio.ensure_future(copy.changed.wait())})
        answer = await program.read(at=WELL)
        assert (answer.origin, [item.id for item in answer.items]) == (Origin.COPY, ["b", "c", "a"])


async def test_in_a_new_session_services_have_their_turns_whatever_was_read_last(
    database: Database, service: HostileService
) -> None:
    async with following(database, service, parallel=1) as program:
        order: list[str] = []
        for one in (service, service.others[WELL]):

            def note(request: Request, jid: str = one.jid) -> int:
                if request.kind == "subscribe":
                    order.append(jid)
                return 0

            one.before = note
        new_session(program)
        await program.settled()
        assert order.index(WELL) <= 1
        assert len(order) == 7


# What drips --------------------------------------------------------------------------------------------------------


async def test_a_listing_that_drips_goes_on_until_it_is_done(database: Database, service: HostileService) -> None:
    async with following(database, service, slow_after=SOON) as program:
        service.drip(SIX[0], 29, most=1)
        new_session(program)
        await answers_live(program)
        copy = program.copy(SIX[0])
        async with asyncio.timeout(SECONDS):
            while copy.record.state is not SyncState.LIVE:
                hung = asyncio.ensure_future(service.hang(SIX[0]))
                changed = asyncio.ensure_future(copy.changed.wait())
                await asyncio.wait({hung, changed}, return_when=asyncio.FIRST_COMPLETED)
                hung.cancel()
                changed.cancel()
                service.pass_time(29)
        service.be_good()
        service.pass_time(29)
        await program.serves_live(SIX[0])


async def test_a_listing_that_takes_too_long_is_given_up_for_a_while(
    database: Database, service: HostileService
) -> None:
    async with following(database, service, page_size=1) as program:
        program.replica._open.synchroniser._slots.longest = 0.0
        asked = service.counted("items")
        with pytest.raises(TooSlow):
            await program.replica.synchronise(SERVICE, SIX[0])
        assert service.counted("items") <= asked + 2, "one for who asked, one of the listing"
        record = program.copy(SIX[0]).record
        assert (record.state, record.failed_by) == (SyncState.FAILED, None)
        assert record.retry_at is not None


async def test_large_nodes_of_another_service_do_not_wait_for_one_that_drips(
    database: Database, service: HostileService
) -> None:
    """They are listed one at a time."""
    large = [f"i{number}" for number in range(12)]
    service.create("large", *large)
    service.others[WELL].create("large", *large)
    async with at_work(database, service, page_size=4, slow_after=SOON) as program:
        await program.follow("large", at=WELL)
        await program.follow("large")
        listing = asyncio.Event()

        def before(request: Request) -> int:
            if request.rsm is not None:
                service.never_answer("large")  # its ids come, and its first page does not
                listing.set()
            return 0

        service.before = before
        new_session(program)
        await listing.wait()
        await answers_live(program, "large")
        assert program.copy("large").record.state is SyncState.SYNCING
        assert service.hanging == {"large"}


async def test_one_that_somebody_waits_for_goes_first(database: Database, service: HostileService) -> None:
    async with following(database, service, parallel=1) as program:
        order: list[str] = []

        def note(request: Request) -> int:
            if request.kind == "subscribe":
                order.append(request.node)
            return 0

        service.before = note
        held = service.hold("subscribe")
        new_session(program)
        await held.reached()
        wanted = SIX[0]  # it was read first, and comes last
        asked = asyncio.ensure_future(program.replica.synchronise(SERVICE, wanted))
        while not program.replica._open.synchroniser.is_waited_for(program.copy(wanted)):
            await asyncio.wait({asked}, timeout=SOON)
        held.release()
        await asked
        await program.settled()
        assert order.index(wanted) <= 1


# What belongs to no copy -------------------------------------------------------------------------------------------


def asks_what_nodes_are(name: str = "typed") -> Analyser:
    return Analyser(name, name, pubsub_type="urn:example:typed", namespace=NOTE, to_sync=True)


async def test_what_nodes_are_is_found_out_beside_a_service_that_does_not_answer(
    database: Database, service: HostileService
) -> None:
    async with at_work(database, service, analysers=[asks_what_nodes_are(), NOTES]) as program:
        for name in SIX:
            await program.read(name)
        await program.settled()
        for name in SIX:
            service.create(f"new-{name}", "a")
        service.before = lambda request: _never(service, request)
        for name in SIX:
            await program.read(f"new-{name}")
        await service.hang("new-node-0")
        assert len(service.hanging) <= 4
        asked = first_request(service.others[WELL], "info")
        await program.read(at=WELL)
        await asyncio.wait_for(asked, SECONDS)


def first_request(service: Service, kind: Kind) -> asyncio.Future[None]:
    """Done when one of this kind comes."""
    came: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def before(request: Request) -> int:
        if request.kind == kind and not came.done():
            came.set_result(None)
        return 0

    service.before = before
    return came


def _never(service: HostileService, request: Request) -> int:
    if request.kind == "info":
        service.never_answer(request.node)
    return 0


async def test_verdicts_are_looked_at_anew_beside_a_service_that_does_not_answer(
    database: Database, service: HostileService
) -> None:
    async with at_work(database, service, analysers=()) as program:
        for name in SIX:
            await program.replica.synchronise(SERVICE, name)
        await program.replica.synchronise(WELL, NODE)
        for copy in program.replica._open.context.copies:
            copy.update(pubsub_type=None)  # it was asked for when they were first followed
        for name in SIX:
            service.never_answer(name)
        asked = first_request(service.others[WELL], "info")
        program.replica.register_analyser(asks_what_nodes_are())
        await service.hang(SIX[0])
        await asyncio.wait_for(asked, SECONDS)
        assert service.hanging == {SIX[0]}


async def test_copies_are_dropped_though_their_service_does_not_answer(
    database: Database, service: HostileService
) -> None:
    async with following(database, service, request_timeout=0.05) as program:
        for name in SIX:
            service.never_answer(name)
        async with asyncio.timeout(SECONDS):
            await program.replica.reset()
        assert program.replica.nodes() == []
        assert service.counted("unsubscribe") <= 4, "one that does not answer is not asked for each node"
        assert not service.others[WELL].is_subscribed(NODE)


async def test_what_is_unread_is_unsubscribed_from_though_another_service_does_not_answer(
    database: Database, service: HostileService
) -> None:
    async with following(database, service) as program:
        for name in SIX:
            service.never_answer(name)
        for copy in program.replica._open.context.copies:
            copy.update(read_at=0)
        asked = first_request(service.others[WELL], "unsubscribe")
        asked_in_vain = first_request(service, "unsubscribe")
        program.replica._open.housekeeping.make_round()
        async with asyncio.timeout(SECONDS):
            await asked
            await asked_in_vain
        assert service.counted("unsubscribe") <= 4


async def test_a_program_ends_though_services_do_not_answer(database: Database, service: HostileService) -> None:
    async with following(database, service, request_timeout=1000.0) as program:
        for name in SIX:
            service.never_answer(name)
        new_session(program)
        await answers_live(program)
        async with asyncio.timeout(SECONDS):
            await program.replica.close()
        await asyncio.sleep(0)
        assert service.hanging == set()


async def test_reads_of_the_program_wait_for_nobody(database: Database, service: HostileService) -> None:
    async with following(database, service) as program:
        for name in SIX[1:]:
            service.never_answer(name)
        new_session(program)
        await answers_live(program)
        assert service.hanging
        assert (await program.read(SIX[0])).origin is Origin.SERVICE


async def test_a_service_that_left_a_request_unanswered_is_asked_one_at_a_time_until_it_answers(
    database: Database, service: HostileService
) -> None:
    async with following(database, service, request_timeout=0.05, retry_first=300.0) as program:
        for name in SIX:
            service.never_answer(name)
        most = 0

        def count(request: Request) -> int:
            nonlocal most
            if SERVICE in program.replica._open.context.silent:
                most = max(most, len(service.hanging))
            return 0

        service.before = count
        new_session(program)
        await program.settled()
        assert most <= 2, "those that were under way with the first"
        service.be_good()
        for name in SIX:
            await program.replica.synchronise(SERVICE, name)
        assert not program.replica._open.context.silent
