"""What a stream to a service keeps to: the order of events and answers, and what happens when it ends."""

from __future__ import annotations

import asyncio

import pytest

from newsstand.errors import Disconnected
from newsstand.xmpp.transport import Session
from tests.contract.services._trial import Trial
from tests.servers.entities import SECONDS
from tests.servers.quirks import Quirk


async def test_an_own_publish_is_told_before_its_answer(trial: Trial) -> None:
    trial.service.skip_if(Quirk.OWN_EVENT_AFTER_ANSWER)
    await trial.create(publish_model="open")
    await trial.subscribed()
    await trial.juliet.publish(trial.jid, trial.node, "a", "by juliet")
    heard = trial.juliet.heard(trial.jid, trial.node)
    assert [event.ids for event in heard] == [("a",)]


async def test_what_was_told_before_an_answer_is_in_it(trial: Trial) -> None:
    trial.service.skip_if(Quirk.EVENTS_OVERTAKE_ANSWERS)
    await trial.create("a")
    await trial.subscribed()
    writing = asyncio.ensure_future(asyncio.gather(*(trial.publish(f"i{number}") for number in range(5))))
    held_at_answer: list[int] = []

    def count_heard() -> None:
        held_at_answer.append(len(trial.juliet.heard(trial.jid, trial.node)))

    while not writing.done():
        page = await trial.juliet.items(trial.jid, trial.node, on_answer=count_heard)
        told = [event.ids[0] for event in trial.juliet.heard(trial.jid, trial.node)[: held_at_answer[-1]]]
        assert set(told) <= set(page.ids)
    await writing
    assert sorted((event.ids for event in await trial.hears(5)), key=str) == [(f"i{number}",) for number in range(5)]


async def test_an_answer_is_noticed_before_later_messages(trial: Trial) -> None:
    await trial.create("a")
    await trial.subscribed()
    order: list[str] = []
    trial.juliet.transport.on_message(lambda _: order.append("message"))
    await trial.juliet.items(trial.jid, trial.node, on_answer=lambda: order.append("answer"))
    await trial.publish("b")
    await trial.hears()
    assert order == ["answer", "message"]


async def test_requests_are_answered_in_their_order(trial: Trial) -> None:
    trial.service.skip_if(Quirk.ANSWERS_OUT_OF_ORDER)
    await trial.create("a")
    answered: list[int] = []
    await asyncio.gather(
        *(
            trial.juliet.items(trial.jid, trial.node, on_answer=lambda number=number: answered.append(number))  # type: ignore[misc]
            for number in range(10)
        )
    )
    assert answered == list(range(10))


async def test_requests_end_with_their_stream(trial: Trial) -> None:
    nurse = await trial.service.log_in("nurse")
    sessions: list[Session] = []
    nurse.transport.on_session(sessions.append)
    pending = asyncio.ensure_future(nurse.items(trial.jid, trial.node))
    await asyncio.sleep(0)
    nurse.cut()
    with pytest.raises(Disconnected):
        async with asyncio.timeout(SECONDS):
            await pending
    with pytest.raises(Disconnected):
        await nurse.items(trial.jid, trial.node)
    assert sessions == [Session.FRESH, Session.LOST]
    await nurse.close()


async def test_a_subscription_outlives_the_stream(trial: Trial) -> None:
    await trial.create("a")
    nurse = await trial.service.log_in("nurse")
    await nurse.subscribe(trial.jid, trial.node)
    await nurse.close()
    again = await trial.service.log_in("nurse")
    await again.caught_up(trial.jid)
    again.messages.clear()
    await trial.publish("b")
    await again.hears(trial.jid, trial.node)
    assert ("b",) in {event.ids for event in again.heard(trial.jid, trial.node)}
    await again.unsubscribe(trial.jid, trial.node)
    await again.close()
