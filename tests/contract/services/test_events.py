"""What a service tells those who are subscribed (XEP-0060, 6 and 7.1.2)."""

from __future__ import annotations

from newsstand.model import NS_EVENT
from tests.contract.services._trial import Trial
from tests.servers.entities import Event, canonical, note, refusal
from tests.servers.quirks import Quirk


async def test_a_publish_is_told_with_its_payload(trial: Trial) -> None:
    await trial.create("a")
    await trial.subscribed()
    await trial.publish("b", "text")
    assert await trial.hears() == [Event("item", ("b",), ("text",))]


async def test_an_overwrite_is_told_though_nothing_changed(trial: Trial) -> None:
    await trial.create("a")
    await trial.subscribed()
    await trial.publish("a", "again")
    await trial.publish("a", "again")
    assert await trial.hears(2) == [Event("item", ("a",), ("again",))] * 2


async def test_an_event_is_from_the_service_to_the_subscriber_and_no_error(trial: Trial) -> None:
    await trial.create()
    await trial.subscribed()
    await trial.publish("a")
    await trial.hears()
    (message,) = (found for found in trial.juliet.messages if found.find(f"{{{NS_EVENT}}}event") is not None)
    assert message.get("from") == trial.jid
    assert message.get("to", "").partition("/")[0] == trial.juliet.jid
    assert message.get("type", "normal") in ("headline", "normal")


async def test_the_payload_of_an_event_is_what_was_published(trial: Trial) -> None:
    await trial.create()
    await trial.subscribed()
    payload = note("é <&> \n text")
    payload.set("plain", '"')
    await trial.romeo.publish(trial.jid, trial.node, "a", payload)
    await trial.hears()
    found = next(found for message in trial.juliet.messages for found in message.iter("{urn:example:note}note"))
    assert canonical(found) == canonical(payload)


async def test_a_retract_that_asks_to_be_told_is_told(trial: Trial) -> None:
    await trial.create("a", "b")
    await trial.subscribed()
    await trial.romeo.retract(trial.jid, trial.node, "a", notify=True)
    assert await trial.hears() == [Event("retract", ("a",))]


async def test_a_retract_that_does_not_ask_is_told_or_not(trial: Trial) -> None:
    await trial.create("a", "b")
    await trial.subscribed()
    await trial.romeo.retract(trial.jid, trial.node, "a", notify=False)
    await trial.publish("marker")
    silent = trial.does(Quirk.RETRACT_SILENT_WITHOUT_NOTIFY)
    told = [] if silent else [Event("retract", ("a",))]
    assert await trial.hears(len(told) + 1) == [*told, Event("item", ("marker",), ("marker",))]


async def test_a_purge_is_told(trial: Trial) -> None:
    await trial.create("a", "b")
    await trial.subscribed()
    await trial.romeo.purge(trial.jid, trial.node)
    assert await trial.hears() == [Event("purge")]


async def test_a_deletion_is_told(trial: Trial) -> None:
    await trial.create("a", **({"notify_delete": "1"} if trial.does(Quirk.DELETE_SILENT) else {}))
    await trial.subscribed()
    await trial.romeo.delete(trial.jid, trial.node)
    assert await trial.hears() == [Event("delete")]


async def test_events_come_in_the_order_of_what_happened(trial: Trial) -> None:
    await trial.create("a")
    await trial.subscribed()
    await trial.publish("b")
    await trial.publish("a", "again")
    await trial.romeo.retract(trial.jid, trial.node, "b")
    await trial.romeo.purge(trial.jid, trial.node)
    await trial.publish("c")
    heard = await trial.hears(5)
    told = [(event.kind, event.ids) for event in heard]
    happened = [("item", ("b",)), ("item", ("a",)), ("retract", ("b",)), ("purge", ()), ("item", ("c",))]
    if trial.does(Quirk.EVENTS_OUT_OF_ORDER):
        told, happened = sorted(told), sorted(happened)
    assert told == happened


async def test_who_is_not_subscribed_is_told_nothing(trial: Trial) -> None:
    await trial.create("a")
    await trial.subscribed()
    await trial.publish("b")
    await trial.hears()
    await trial.nurse.caught_up(trial.jid)
    assert trial.nurse.heard(trial.jid, trial.node) == []


async def test_who_unsubscribed_is_told_nothing_more(trial: Trial) -> None:
    await trial.create("a")
    await trial.subscribed()
    await trial.juliet.unsubscribe(trial.jid, trial.node)
    await trial.publish("b")
    await trial.romeo.caught_up(trial.jid)
    assert await trial.heard() == []


async def test_who_is_not_subscribed_cannot_unsubscribe(trial: Trial) -> None:
    await trial.create("a")
    error = await refusal(trial.juliet.unsubscribe(trial.jid, trial.node))
    assert error.condition in ("unexpected-request", "item-not-found")


async def test_subscribing_twice_is_subscribing_once(trial: Trial) -> None:
    await trial.create("a")
    await trial.subscribed()
    assert await trial.juliet.subscribe(trial.jid, trial.node) == "subscribed"
    await trial.juliet.caught_up(trial.jid)
    trial.juliet.messages.clear()
    await trial.publish("b")
    await trial.hears()
    await trial.publish("c")
    assert await trial.hears(2) == [Event("item", (item_id,), (item_id,)) for item_id in ("b", "c")]


async def test_subscribing_to_a_missing_node_is_refused(trial: Trial) -> None:
    assert (await refusal(trial.juliet.subscribe(trial.jid, trial.node))).condition == "item-not-found"


async def test_subscribing_to_a_node_that_may_not_be_read_is_refused(trial: Trial) -> None:
    await trial.create("a", access_model="whitelist")
    error = await refusal(trial.juliet.subscribe(trial.jid, trial.node))
    assert error.condition == ("not-allowed" if trial.does(Quirk.CLOSED_NODE_NOT_ALLOWED) else "forbidden")


async def test_after_a_deletion_nobody_is_subscribed(trial: Trial) -> None:
    await trial.create("a")
    await trial.subscribed()
    await trial.romeo.delete(trial.jid, trial.node)
    await trial.create("b")
    await trial.heard()
    trial.juliet.messages.clear()
    await trial.publish("c")
    await trial.romeo.caught_up(trial.jid)
    assert await trial.heard() == []
    await trial.subscribed()
    await trial.publish("d")
    assert await trial.hears() == [Event("item", ("d",), ("d",))]


async def test_an_eviction_is_told_or_not(trial: Trial) -> None:
    await trial.create("a", "b", max_items="2")
    await trial.subscribed()
    await trial.publish("c")
    assert await trial.ids() == ["b", "c"]
    retracts = [] if trial.does(Quirk.EVICTION_SILENT) else [Event("retract", ("a",))]
    heard = await trial.hears(len(retracts) + 1)
    assert [event for event in heard if event.kind == "retract"] == retracts
    assert [event for event in heard if event.kind == "item"] == [Event("item", ("c",), ("c",))]
