"""Some services send cursors along with what `max_items` brings, unasked. The copy's answer names the same, or the
service is asked."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from newsstand.model import Answer, Origin, Policy
from newsstand.storage.database import Database
from newsstand.xmpp.transport import Session
from tests.fakes.program import NODE, Program, at_work
from tests.fakes.service import SERVICE, Service
from tests.servers.quirks import QUIRKS

COUNT = 6


@pytest.fixture(params=["ejabberd-mnesia", "ejabberd-sql"])
async def program(request: pytest.FixtureRequest, database: Database) -> AsyncIterator[Program]:
    """It follows a node of a service that has the quirks of this one, and has read the last of it once."""
    service = Service(quirks=QUIRKS[request.param])
    service.create(NODE, *(f"i{number}" for number in range(COUNT)))
    async with at_work(database, service) as program:
        await program.follow()
        await read(program, 2)
        await program.settled()
        yield program


async def read(program: Program, limit: int) -> Answer:
    return await program.replica.get_items(SERVICE, NODE, max_items=limit)


async def is_hit_as_the_service_answers(program: Program, limit: int) -> None:
    answer = await read(program, limit)
    assert (answer.origin, answer.stale) == (Origin.COPY, False), limit
    expected = await program.replica.get_items(SERVICE, NODE, max_items=limit, policy=Policy.ONLY_SERVICE)
    assert [item.id for item in answer.items] == [item.id for item in expected.items]
    assert answer.rsm == expected.rsm
    assert answer.rsm is not None


@pytest.mark.parametrize("limit", [1, 2, 5, 6, 7, 100])
async def test_once_the_program_read_so_every_limit_is_answered_from_the_copy(program: Program, limit: int) -> None:
    await is_hit_as_the_service_answers(program, limit)


async def test_what_is_published_overwritten_or_retracted_changes_the_cursors_as_at_the_service(
    program: Program,
) -> None:
    for happen in (
        lambda: program.service.publish(NODE, "new", "new"),
        lambda: program.service.publish(NODE, "i3", "overwritten"),
        lambda: program.service.retract(NODE, "new"),
        lambda: program.service.publish(NODE, "new", "another one of that id"),
        lambda: program.service.retract(NODE, "i0"),
    ):
        happen()
        await program.settled()
        for limit in (1, 2, 4, 100):
            await is_hit_as_the_service_answers(program, limit)


async def test_cursors_of_an_earlier_session_are_not_believed(program: Program) -> None:
    program.stream.turn(Session.LOST)
    program.service.retract(NODE, "i5", told=False)
    program.service.publish(NODE, "i5", "first i5", told=False)  # looks the same, and is another one
    program.stream.turn(Session.FRESH)
    await program.settled()
    await is_hit_as_the_service_answers(program, 2)


async def test_what_is_answered_before_the_node_is_listed_again_names_no_cursors_of_an_earlier_session(
    program: Program,
) -> None:
    assert (await read(program, 2)).rsm is not None
    program.stream.turn(Session.LOST)
    program.service.retract(NODE, "i5", told=False)
    program.service.publish(NODE, "i5", "first i5", told=False)  # looks the same, and is another one
    hold = program.service.hold("items")
    program.stream.turn(Session.FRESH)
    await hold.reached()
    answer = await program.replica.get_items(SERVICE, NODE, max_items=2, policy=Policy.ONLY_COPY)
    assert (answer.stale, answer.rsm) == (True, None)
    hold.release()


async def test_of_a_large_node_only_the_cursors_that_the_programs_limits_need_are_asked_for(
    database: Database,
) -> None:
    service = Service(quirks=QUIRKS["ejabberd-mnesia"])
    service.create(NODE, *(f"i{number}" for number in range(300)))
    async with at_work(database, service) as program:
        await program.follow()
        await read(program, 20)
        await program.settled()
        asked = service.counted("items")
        await is_hit_as_the_service_answers(program, 20)
        service.publish(NODE, "new", "new")
        await program.settled()
        assert service.counted("items") - asked <= 1 + 2, "the comparison's own, and one for each end"
        await is_hit_as_the_service_answers(program, 20)


async def test_an_empty_nodes_answer_names_its_count_alone(database: Database) -> None:
    service = Service(quirks=QUIRKS["ejabberd-sql"])
    service.create(NODE, "a")
    async with at_work(database, service) as program:
        await program.follow()
        await read(program, 2)
        await program.settled()
        service.retract(NODE, "a")
        await program.settled()
        await is_hit_as_the_service_answers(program, 2)


async def test_where_pages_by_index_are_refused_the_service_goes_on_being_asked(program: Program) -> None:
    program.service.publish(NODE, "new", "new")
    program.service.refuse("items", "feature-not-implemented")
    await program.settled()
    program.service.allow("items")
    answer = await read(program, 100)
    assert answer.origin is Origin.SERVICE
