"""The path that a hit, a notification and a first synchronisation take through our files: logged (`-o log_cli=true
--log-level=INFO`), and bounded. The service is the fake one; the program's side is
slixmpp's, all of it."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
import slixmpp

from newsstand.slixmpp.transport import SlixmppTransport
from newsstand.slixmpp.trigger import Trigger
from newsstand.storage.database import open_database
from tests.fakes.program import NODE, Program, at_work
from tests.fakes.service import JULIET, SERVICE, Service
from tests.tracing import Trace, Tracer

log = logging.getLogger(__name__)

FILES, CALLS = 9, 20
"""Of a hit through slixmpp: at most so many files of ours, and so many calls across them."""
VERB = 52
"""Calls across files of a hit on one item through `get_items`, in all threads; seven of them check the arguments."""
NOTIFICATION, DOUBTED, FIRST = 80, 185, 640
"""The same of a notification; of one that leaves a doubt, until that is settled; and of a first synchronisation of
twenty items, which is half of what it was."""
READS: dict[str, dict[str, Any]] = {
    "the whole node": {},
    "the newest five": {"max_items": 5},
    "one item": {"item_ids": ["i3"]},
}


def transactions(trace: Trace) -> int:
    """How often something was written."""
    return count(trace, "storage/sqlite/database.py", "write", "write_first")


def slots(trace: Trace) -> int:
    """How often work waited for a slot, by which services share what is asked."""
    return count(trace, "rules/fairness.py", "wait")


def count(trace: Trace, file: str, *functions: str) -> int:
    return sum(step.callee == file and step.function in functions for step in trace.steps)


@pytest.fixture
def tracer() -> Iterator[Tracer]:
    tracer = Tracer()
    yield tracer
    tracer.close()


@pytest.fixture
async def program(tracer: Tracer, tmp_path: Path) -> AsyncIterator[Program]:
    """It knows its service, and follows nothing of twenty items yet."""
    database = await open_database(f"sqlite:///{tmp_path}/news.db")
    service = Service()
    for node in (NODE, "other"):
        service.create(node, *(f"i{number}" for number in range(20)))
    async with at_work(database, service) as program:
        await program.follow("other")
        yield program
    await database.close()


def check_hit(trace: Trace) -> None:
    log.info(trace)
    assert len(trace.files) <= FILES, str(trace)
    assert trace.calls <= CALLS, str(trace)
    assert not trace.again, f"entered again: {trace.again}\n{trace}"


@pytest.mark.parametrize("read", READS)
async def test_a_hit_through_slixmpp_goes_straight_down(program: Program, tracer: Tracer, read: str) -> None:
    await program.follow()
    xmpp = slixmpp.ClientXMPP(JULIET, "secret")
    xmpp.register_plugin("xep_0060")
    # The replica's own stream leads to the fake service.
    transport = SlixmppTransport(xmpp)
    trigger = Trigger(xmpp, program.replica, transport)
    trigger.install()
    pubsub: Any = xmpp.plugin["xep_0060"]
    for _ in range(5):  # from now on nothing is imported, compiled or noted any more
        await pubsub.get_items(SERVICE, NODE, **READS[read])
    await program.settled()
    with tracer.of(f"{read}, through slixmpp") as trace:
        iq = await pubsub.get_items(SERVICE, NODE, **READS[read])
    assert (iq.newsstand.origin, iq.newsstand.stale) == ("copy", False)
    trigger.remove()
    transport.close()
    check_hit(trace)


async def test_a_hit_through_the_verb_meets_the_same_driver(program: Program, tracer: Tracer) -> None:
    await program.follow()
    for _ in range(5):
        await program.replica.get_items(SERVICE, NODE, item_ids=["i3"])
    await program.settled()
    with tracer.of("one item, through get_items") as trace:
        answer = await program.replica.get_items(SERVICE, NODE, item_ids=["i3"])
    assert (answer.origin, answer.stale) == ("copy", False)
    log.info(trace)
    assert "serving/driver.py" in trace.files
    assert trace.calls <= VERB, str(trace)


async def test_a_notification_and_a_first_synchronisation_take_no_longer_path_than_is_said(
    program: Program, tracer: Tracer
) -> None:
    with tracer.of("a first synchronisation of twenty items") as first:
        await program.replica.get_items(SERVICE, NODE)
        await program.settled()
    await program.serves_live()
    for number in range(4):  # where an overwritten item goes is learnt
        program.service.publish(NODE, f"i{number}", "another")
        await program.settled()
    await program.serves_live()
    await program.settled()
    with tracer.of("a notification of a retract") as notified:
        program.service.retract(NODE, "i9")
        await program.settled()
    with tracer.of("a retract of an item that was overwritten a moment before") as doubted:
        program.service.retract(NODE, "i2")
        await program.settled()
    for trace in (notified, doubted, first):
        log.info(str(trace).partition("\n")[0])
    assert notified.calls <= NOTIFICATION, str(notified)
    assert doubted.calls <= DOUBTED, str(doubted)
    assert first.calls <= FIRST, str(first)
    # The node and its verdict; the lease; the subscription, and of what kind the node is; the listing; the words.
    assert transactions(first) == 5, str(first)
    assert transactions(notified) == 1, str(notified)
    assert transactions(doubted) == 2, str(doubted)  # the retract, and its doubt; that the doubt is settled
    # Whoever finds nothing to ask of the service needs no slot.
    assert (slots(first), slots(notified), slots(doubted)) == (1, 0, 1)
