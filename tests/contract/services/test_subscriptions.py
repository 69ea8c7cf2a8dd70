"""What services say of subscriptions (XEP-0060, 5.6), and that our copy finds out when its own was lost."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from newsstand import Replica
from newsstand.config import Settings
from newsstand.errors import StanzaError
from newsstand.model import Origin
from newsstand.storage.database import open_database
from tests.contract.services._trial import Trial
from tests.fakes.program import NOTES, contents
from tests.servers.entities import SECONDS
from tests.servers.quirks import Quirk


async def test_a_subscription_is_named_from_subscribing_to_unsubscribing(trial: Trial) -> None:
    await trial.create("a")
    assert await trial.juliet.subscription(trial.jid, trial.node) is None
    await trial.subscribed()
    assert await trial.juliet.subscription(trial.jid, trial.node) == "subscribed"
    assert await trial.nurse.subscription(trial.jid, trial.node) is None
    await trial.juliet.unsubscribe(trial.jid, trial.node)
    assert await trial.juliet.subscription(trial.jid, trial.node) is None


async def test_a_subscription_on_pep_is_named(trial: Trial) -> None:
    pep = trial.romeo.jid
    await trial.romeo.publish(pep, trial.node, "a", "first", options={"access_model": "open"})
    assert await trial.juliet.subscription(pep, trial.node) is None
    await trial.juliet.subscribe(pep, trial.node)
    assert await trial.juliet.subscription(pep, trial.node) == "subscribed"


async def test_a_subscription_ends_with_its_node(trial: Trial) -> None:
    trial.service.skip_if(Quirk.SUBSCRIPTION_OUTLIVES_NODE)
    await trial.create("a")
    await trial.subscribed()
    await trial.romeo.delete(trial.jid, trial.node)
    await trial.create("a")
    assert await trial.juliet.subscription(trial.jid, trial.node) is None


async def test_a_refusal_is_not_taken_for_a_result(trial: Trial) -> None:
    answered: list[None] = []
    with pytest.raises(StanzaError):
        await trial.juliet.items(trial.jid, trial.node, on_answer=lambda: answered.append(None))
    assert answered == []


@asynccontextmanager
async def following(trial: Trial, folder: Path) -> AsyncIterator[Replica]:
    """Juliet's program, which follows the node and is soon to ask whether it is still subscribed to it."""
    entity = await trial.service.log_in("juliet")
    database = await open_database(f"sqlite:///{folder / 'news.db'}")
    replica = Replica(entity.transport, settings=Settings(revalidate=0.5), entry_points=False)
    replica.register_analyser(NOTES)
    await replica.open(database)
    try:
        await replica.get_items(trial.jid, trial.node)
        await becomes(replica, trial, {"a": "a", "b": "b"})
        yield replica
    finally:
        await replica.close()
        await entity.close()
        await database.close()


async def becomes(replica: Replica, trial: Trial, texts: dict[str, str]) -> None:
    """Soon the copy answers, as live, with these items."""
    async with asyncio.timeout(SECONDS):
        while True:
            await replica.settled()
            answer = await replica.get_items(trial.jid, trial.node)
            if (answer.origin, answer.stale, dict(contents(answer))) == (Origin.COPY, False, texts):
                return
            await asyncio.sleep(0.05)  # a real service is asked again; nothing tells when news of it arrive


async def test_a_copy_whose_subscription_was_lost_is_repaired_in_time(trial: Trial, tmp_path: Path) -> None:
    """The node is closed for a moment; where that loses nothing, juliet unsubscribes with another client."""
    await trial.create("a", "b")
    async with following(trial, tmp_path) as replica:
        if trial.does(Quirk.CLOSING_UNSUBSCRIBES):
            for model in ("whitelist", "open"):
                await trial.romeo.configure(trial.jid, trial.node, access_model=model)
        else:
            await trial.juliet.unsubscribe(trial.jid, trial.node)
        await trial.publish("a", "while nobody heard")
        await becomes(replica, trial, {"a": "while nobody heard", "b": "b"})
        await trial.publish("a", "heard again")
        await becomes(replica, trial, {"a": "heard again", "b": "b"})


async def test_a_copy_of_a_node_that_was_replaced_without_a_word_is_repaired_in_time(
    trial: Trial, tmp_path: Path
) -> None:
    trial.service.skip_if(Quirk.SUBSCRIPTION_OUTLIVES_NODE)
    untold = {"notify_delete": "0"} if trial.does(Quirk.DELETE_SILENT) else {}
    await trial.create("a", "b", **untold)
    async with following(trial, tmp_path) as replica:
        await trial.romeo.delete(trial.jid, trial.node)
        await trial.create("a", "b")
        await trial.publish("a", "of another node")
        await becomes(replica, trial, {"a": "of another node", "b": "b"})
        await trial.publish("a", "heard again")
        await becomes(replica, trial, {"a": "heard again", "b": "b"})
