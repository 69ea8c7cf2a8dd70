"""Every account's own service (XEP-0163), by explicit subscription."""

from __future__ import annotations

from tests.contract.services._trial import Trial
from tests.servers.entities import Event, refusal
from tests.servers.quirks import Quirk

OPEN = {"access_model": "open"}


async def test_an_account_reads_what_it_published(trial: Trial) -> None:
    await trial.juliet.publish(trial.juliet.jid, trial.node, "a", "mine")
    page = await trial.juliet.items(trial.juliet.jid, trial.node)
    assert (page.ids, page.texts) == (["a"], ["mine"])
    assert page.iq.get("from") in (None, trial.juliet.jid)


async def test_a_missing_node_of_ones_own_is_not_found(trial: Trial) -> None:
    assert (await refusal(trial.juliet.items(trial.juliet.jid, trial.node))).condition == "item-not-found"


async def test_a_node_of_another_is_read_where_it_is_open(trial: Trial) -> None:
    await trial.romeo.publish(trial.romeo.jid, trial.node, "a", "romeo's", options=OPEN)
    page = await trial.juliet.items(trial.romeo.jid, trial.node)
    assert (page.ids, page.texts) == (["a"], ["romeo's"])
    assert page.iq.get("from") == trial.romeo.jid


async def test_a_node_of_another_is_refused_to_who_is_no_contact(trial: Trial) -> None:
    await trial.romeo.publish(trial.romeo.jid, trial.node, "a", "romeo's", options={"access_model": "presence"})
    error = await refusal(trial.juliet.items(trial.romeo.jid, trial.node))
    assert error.condition in ("forbidden", "not-authorized")


async def test_only_the_account_publishes(trial: Trial) -> None:
    await trial.romeo.publish(trial.romeo.jid, trial.node, "a", "romeo's", options=OPEN)
    error = await refusal(trial.juliet.publish(trial.romeo.jid, trial.node, "b", "juliet's"))
    assert error.condition in ("forbidden", "not-allowed")


async def test_who_subscribed_is_told_of_what_another_publishes(trial: Trial) -> None:
    pep = trial.romeo.jid
    await trial.romeo.publish(pep, trial.node, "a", "romeo's", options=OPEN)
    await trial.juliet.subscribe(pep, trial.node)
    await trial.juliet.caught_up(trial.juliet.jid)
    trial.juliet.messages.clear()
    await trial.romeo.publish(pep, trial.node, "a", "again")
    assert await trial.juliet.hears(pep, trial.node) == [Event("item", ("a",), ("again",))]


async def test_a_retract_with_notify_is_told(trial: Trial) -> None:
    pep = trial.romeo.jid
    await trial.romeo.publish(pep, trial.node, "a", "romeo's", options=OPEN)
    await trial.juliet.subscribe(pep, trial.node)
    await trial.juliet.caught_up(trial.juliet.jid)
    trial.juliet.messages.clear()
    await trial.romeo.retract(pep, trial.node, "a", notify=True)
    assert await trial.juliet.hears(pep, trial.node) == [Event("retract", ("a",))]


async def test_a_purge_is_told_or_not(trial: Trial) -> None:
    pep = trial.romeo.jid
    await trial.romeo.publish(pep, trial.node, "a", "romeo's", options=OPEN)
    await trial.juliet.subscribe(pep, trial.node)
    await trial.juliet.caught_up(trial.juliet.jid)
    trial.juliet.messages.clear()
    await trial.romeo.purge(pep, trial.node)
    await trial.romeo.publish(pep, trial.node, "b", "marker")
    told = [] if trial.does(Quirk.PEP_PURGE_SILENT) else [Event("purge")]
    assert await trial.juliet.hears(pep, trial.node, len(told) + 1) == [*told, Event("item", ("b",), ("marker",))]


async def test_a_node_keeps_one_item_by_itself(trial: Trial) -> None:
    await trial.juliet.publish(trial.juliet.jid, trial.node, "a", "first")
    await trial.juliet.publish(trial.juliet.jid, trial.node, "b", "second")
    assert await trial.juliet.ids(trial.juliet.jid, trial.node) == ["b"]
