"""What a read comes to: how often the copy is read for it, how long it waits, and what late answers are good for."""

from __future__ import annotations

import asyncio
import dataclasses
import logging
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from newsstand import Policy
from newsstand.errors import DatabaseError, StanzaError, Timeout
from newsstand.model import ItemsRequest, NodeKey, Origin, SyncState
from newsstand.serving.steps import Ask, Rows, Served, Wait
from newsstand.storage.database import Database
from newsstand.storage.statements import answers
from newsstand.workers.peers import lease_clock
from newsstand.xmpp.transport import Session
from tests.fakes.hold import SECONDS, Hold
from tests.fakes.program import NODE, Program, at_work, contents
from tests.fakes.service import JULIET, SERVICE, Service

REQUEST = ItemsRequest(NodeKey(JULIET, SERVICE, NODE))
PATIENCE = 0.05
FOR_EVER = 1_000.0
MOST = 20
"""Reads of an answer's rows, while the node changes."""


@pytest.fixture
async def program(database: Database) -> AsyncIterator[Program]:
    """It follows a node. A request of its own may take for ever."""
    service = Service()
    service.create(NODE, *(f"old{number}" for number in range(1, MOST + 1)), "a", "b", "c")
    async with at_work(database, service, request_timeout=FOR_EVER) as program:
        await program.follow()
        yield program


def lose_patience(program: Program, monkeypatch: pytest.MonkeyPatch) -> None:
    context = program.replica._open.context
    monkeypatch.setattr(context, "settings", dataclasses.replace(context.settings, patience=PATIENCE))


def go_deaf(program: Program) -> None:
    """The service can be asked, and nobody is told what happens: the copy is stale."""
    program.stream.turn(Session.LOST, Session.DEAF)


def each_read_of_rows(
    monkeypatch: pytest.MonkeyPatch,
    program: Program,
    first: Callable[[int], None] = lambda number: None,
    *,
    stored: bool = True,
) -> list[str]:
    """The reads of an answer's rows, as they come. Before each one, `first` is called with its number; `stored`: what
    the service tells then is stored before, too."""
    database = program.replica._open.context.database
    reads: list[str] = []

    def counting(run: Any) -> Any:
        async def read(statement: Any, *args: Any, **kwargs: Any) -> Any:
            if statement is answers.find:
                reads.append(statement.__name__)
                first(len(reads))
                if stored:
                    await program.copy().inbox.quiet()
            return await run(statement, *args, **kwargs)

        return read

    monkeypatch.setattr(database, "scan", counting(database.scan))
    if database.instant is None:
        monkeypatch.setattr(database, "read", counting(database.read))
    return reads


# How long ----------------------------------------------------------------------------------------------------------


async def test_the_copy_answers_stale_where_the_service_takes_longer_than_the_patience(
    program: Program, monkeypatch: pytest.MonkeyPatch
) -> None:
    go_deaf(program)
    lose_patience(program, monkeypatch)
    hold = program.service.hold("items")
    answer = await program.read()
    assert (answer.origin, answer.stale) == (Origin.COPY, True)
    assert contents(answer) == program.service.contents(NODE)
    hold.release()
    await program.settled()


async def test_what_the_service_says_later_is_learnt(program: Program, monkeypatch: pytest.MonkeyPatch) -> None:
    go_deaf(program)
    lose_patience(program, monkeypatch)
    hold = program.service.hold("items")
    assert (await program.read()).stale
    before = program.copy().checked.answered_at
    hold.release()
    await program.settled()
    assert program.copy().checked.answered_at > before


async def test_a_refusal_that_comes_after_the_copy_answered_closes_it(
    program: Program, monkeypatch: pytest.MonkeyPatch
) -> None:
    go_deaf(program)
    lose_patience(program, monkeypatch)
    hold = program.service.hold("items")
    assert (await program.read()).stale
    program.service.refuse("items", "forbidden", "auth")
    hold.release()
    await program.settled()
    assert program.copy().record.state is SyncState.GONE
    with pytest.raises(StanzaError, match="forbidden"):
        await program.read()


async def test_who_gives_up_a_read_ends_its_request(program: Program) -> None:
    go_deaf(program)
    hold = program.service.hold("items")
    reading = asyncio.ensure_future(program.replica.get_items(SERVICE, NODE))
    await hold.reached()
    reading.cancel()
    with pytest.raises(asyncio.CancelledError):
        await reading
    await program.settled()  # though nothing was released


async def test_what_is_arriving_is_waited_for_within_the_patience(
    program: Program, monkeypatch: pytest.MonkeyPatch
) -> None:
    context, hold = program.replica._open.context, Hold()
    write = context.database.write

    async def writing(*args: Any, **kwargs: Any) -> Any:
        await hold.wait()
        return await write(*args, **kwargs)

    monkeypatch.setattr(context.database, "write", writing)
    program.service.publish(NODE, "d", "never stored")
    await hold.reached()
    lose_patience(program, monkeypatch)
    answer = await program.read()
    assert answer.origin is Origin.SERVICE
    assert contents(answer) == program.service.contents(NODE)
    step = program.port.read(REQUEST, SECONDS, ())
    assert isinstance(step, Wait)
    async with asyncio.timeout(SECONDS):
        assert isinstance(await program.port.go_on(step), Ask)
    hold.release()
    monkeypatch.undo()
    await program.serves_live()


# How often ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("stored", [True, False])
async def test_a_node_that_changes_each_time_is_read_twice_and_then_asked_for(
    program: Program, monkeypatch: pytest.MonkeyPatch, stored: bool
) -> None:
    def change(number: int) -> None:
        if number <= MOST:
            program.service.retract(NODE, f"old{number}")

    reads = each_read_of_rows(monkeypatch, program, change, stored=stored)
    requests = program.service.counted("items")
    answer = await program.read()
    assert (len(reads), program.service.counted("items")) == (2, requests + 1)
    assert answer.origin is Origin.SERVICE
    assert contents(answer) == program.service.contents(NODE)


async def test_a_node_that_changed_once_is_answered_by_the_second_read(
    program: Program, monkeypatch: pytest.MonkeyPatch
) -> None:
    def change(number: int) -> None:
        if number == 1:
            program.service.retract(NODE, "old1")

    reads = each_read_of_rows(monkeypatch, program, change)
    answer = await program.read()
    assert (len(reads), answer.origin, answer.stale) == (2, Origin.COPY, False)
    assert contents(answer) == program.service.contents(NODE)


async def test_only_the_copy_says_what_it_read_though_the_node_changes_each_time(
    program: Program, monkeypatch: pytest.MonkeyPatch
) -> None:
    def change(number: int) -> None:
        if number <= MOST:
            program.service.retract(NODE, f"old{number}")

    reads = each_read_of_rows(monkeypatch, program, change)
    answer = await program.replica.get_items(SERVICE, NODE, policy=Policy.ONLY_COPY)
    assert (len(reads), answer.origin, answer.stale) == (2, Origin.COPY, True)
    assert contents(answer) == program.service.contents(NODE)


async def test_whether_an_item_is_there_is_seen_by_the_rows_that_answer(
    program: Program, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the service says of an item that is not there is not known."""
    reads = each_read_of_rows(monkeypatch, program)
    answer = await program.replica.get_items(SERVICE, NODE, item_ids=["a"])
    assert (answer.origin, len(reads)) == (Origin.COPY, 1)
    requests = program.service.counted("items")
    ghost = await program.replica.get_items(SERVICE, NODE, item_ids=["ghost"])
    assert (ghost.origin, ghost.items) == (Origin.SERVICE, [])
    assert program.service.counted("items") == requests + 1


# Falling back ------------------------------------------------------------------------------------------------------


async def test_a_copy_that_is_live_by_the_time_it_falls_back_answers_as_live(program: Program) -> None:
    program.stream.turn(Session.LOST)
    hold = program.service.hold("subscribe")
    program.stream.turn(Session.FRESH)
    await hold.reached()
    ask = await program.comes_to(REQUEST)
    assert isinstance(ask, Ask)
    assert ask.patience
    hold.release()
    await program.serves_live()
    assert program.port.failed(ask, Timeout("it took too long"), None)
    step = program.port.fall_back(ask)
    served = await program.port.go_on(step) if isinstance(step, Rows) else step
    assert isinstance(served, Served)
    assert not served.made_of.stale


async def test_a_copy_that_is_closed_by_then_does_not(program: Program) -> None:
    go_deaf(program)
    ask, other = await program.comes_to(REQUEST), await program.comes_to(REQUEST)
    assert isinstance(ask, Ask)
    assert isinstance(other, Ask)
    program.port.failed(other, StanzaError("auth", "forbidden"), None)
    assert program.port.fall_back(ask) is ask
    await program.settled()


async def test_where_the_copy_cannot_be_read_the_service_is_asked_and_believed(
    program: Program, monkeypatch: pytest.MonkeyPatch
) -> None:
    database = program.replica._open.context.database

    async def unreadable(*args: Any, **kwargs: Any) -> Any:
        raise DatabaseError("no")

    def unreadable_now(*args: Any, **kwargs: Any) -> Any:
        raise DatabaseError("no")

    monkeypatch.setattr(database, "read", unreadable)
    monkeypatch.setattr(database, "scan", unreadable)
    if database.instant is not None:
        monkeypatch.setattr(database, "read_now", unreadable_now)
    ask = await program.comes_to(REQUEST)
    assert isinstance(ask, Ask)
    assert (await program.read()).origin is Origin.SERVICE
    program.port.failed(ask, StanzaError("auth", "forbidden"), None)
    assert program.copy().record.state is SyncState.GONE
    monkeypatch.undo()
    await program.settled()


# Why ---------------------------------------------------------------------------------------------------------------


async def test_a_line_says_why_each_read_was_served_or_fetched(
    program: Program, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, "newsstand.serving.driver")
    await program.read()
    go_deaf(program)
    await program.read()
    said = [record.getMessage() for record in caplog.records if record.name == "newsstand.serving.driver"]
    revision = program.copy().record.revision
    assert said == [
        f"'blog' of {SERVICE} is read from the copy, live, at revision {revision}",
        f"'blog' of {SERVICE} is read from the service: no worker is notified of what happens to the node",
    ]


# What a decision may rely on ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("session", [Session.LOST, Session.DEAF])
async def test_where_nobody_tells_a_worker_anything_its_lease_vouches_for_nothing(
    program: Program, session: Session
) -> None:
    ownership = program.replica._open.ownership
    assert lease_clock() < ownership.heartbeat.valid_until
    program.stream.turn(session)
    assert ownership.heartbeat.valid_until < lease_clock()
    assert not ownership.is_notified(program.copy())


async def test_a_client_that_does_not_keep_its_accounts_copies_vouches_for_none(
    program: Program, database: Database
) -> None:
    async with at_work(database, program.service) as second:
        await second.settled()
        ownership = second.replica._open.ownership
        await ownership.begin()
        await second.settled()
        assert ownership.heartbeat.valid_until < lease_clock()
        await program.serves_live()
