"""The table of quirks is a fact: each service has exactly the quirks that stand there."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from xml.etree.ElementTree import Element, SubElement

import pytest

from newsstand.errors import StanzaError
from newsstand.model import NS_EVENT, NS_PUBSUB, NS_RSM
from newsstand.xmpp.answers import read_published_ids
from tests.contract.services._trial import Trial
from tests.servers.entities import NOTE, canonical, note, publish_payload, read_events
from tests.servers.quirks import RACES, Quirk

Observe = Callable[[Trial], Awaitable[bool]]
OBSERVE: dict[Quirk, Observe] = {}


def shows(quirk: Quirk) -> Callable[[Observe], Observe]:
    """Marks what finds out whether a service has a quirk."""

    def keep(observe: Observe) -> Observe:
        OBSERVE[quirk] = observe
        return observe

    return keep


# Lists ---------------------------------------------------------------------------------------------------------


async def pages(trial: Trial, *ids: str) -> bool:
    """Make a node of these items; whether the service knows pages."""
    await trial.create(*ids)
    return (await trial.juliet.items(trial.jid, trial.node, page=2)).rsm is not None


@shows(Quirk.NO_RSM)
async def _no_rsm(trial: Trial) -> bool:
    await trial.create("a", "b", "c", "d")
    page = await trial.juliet.items(trial.jid, trial.node, page=2)
    return page.rsm is None and len(page.ids) == 4


@shows(Quirk.RSM_UNANNOUNCED)
async def _rsm_unannounced(trial: Trial) -> bool:
    return await pages(trial, "a", "b", "c") and NS_RSM not in await trial.juliet.features(trial.jid)


@shows(Quirk.OPAQUE_CURSORS)
async def _opaque_cursors(trial: Trial) -> bool:
    if not await pages(trial, "a", "b", "c"):
        return False
    page = await trial.juliet.items(trial.jid, trial.node, page=2)
    return page.last != page.ids[-1]


@shows(Quirk.INDEX_ALWAYS_ZERO)
async def _index_always_zero(trial: Trial) -> bool:
    if not await pages(trial, "a", "b", "c"):
        return False
    page = await trial.juliet.items(trial.jid, trial.node, page=2)
    return (await trial.juliet.items(trial.jid, trial.node, page=2, after=page.last)).index == 0


@shows(Quirk.LAST_PAGE_REVERSED)
async def _last_page_reversed(trial: Trial) -> bool:
    if not await pages(trial, "a", "b", "c"):
        return False
    page = await trial.juliet.items(trial.jid, trial.node, page=2, before="")
    assert sorted(page.ids) == ["b", "c"]
    return page.ids == ["c", "b"]


@shows(Quirk.UNKNOWN_BEFORE_IS_LAST_PAGE)
async def _unknown_before(trial: Trial) -> bool:
    if not await pages(trial, "a", "b", "c"):
        return False
    page = await trial.juliet.items(trial.jid, trial.node, page=2, before="no-such-cursor")
    assert sorted(page.ids) in ([], ["b", "c"])
    return page.ids != []


@shows(Quirk.OVERWRITE_STAYS)
async def _overwrite_stays(trial: Trial) -> bool:
    await trial.create("a", "b", "c")
    await trial.publish("a", "again")
    return await trial.ids() == ["a", "b", "c"]


@shows(Quirk.MAX_ITEMS_REVERSED)
async def _max_items_reversed(trial: Trial) -> bool:
    await trial.create("a", "b", "c")
    limited = (await trial.juliet.items(trial.jid, trial.node, max_items=2)).ids
    assert sorted(limited) == ["b", "c"]
    return limited == ["c", "b"]


@shows(Quirk.LIMITED_SET_SHOWN)
async def _limited_set_shown(trial: Trial) -> bool:
    await trial.create("a", "b", "c")
    limited = await trial.juliet.items(trial.jid, trial.node, max_items=2)
    if limited.rsm is None:
        return False
    more = await trial.juliet.items(trial.jid, trial.node, max_items=5)
    assert (limited.count, more.count) == (3, 3)
    assert limited.first != limited.last
    assert (limited.index, more.index) == ((0, 0) if trial.does(Quirk.INDEX_ALWAYS_ZERO) else (1, -2))
    return True


@shows(Quirk.IDS_IN_NODE_ORDER)
async def _ids_in_node_order(trial: Trial) -> bool:
    await trial.create("a", "b", "c")
    return (await trial.juliet.items(trial.jid, trial.node, ids=["c", "a"])).ids == ["a", "c"]


@shows(Quirk.MISSING_ID_REFUSED_TO_OWNER)
async def _missing_id_refused_to_owner(trial: Trial) -> bool:
    await trial.create("a")
    try:
        await trial.romeo.items(trial.jid, trial.node, ids=["a", "missing"])
    except StanzaError as error:
        return error.condition == "item-not-found"
    return False


@shows(Quirk.DISCO_NEWEST_FIRST)
async def _disco_newest_first(trial: Trial) -> bool:
    await trial.create("a", "b", "c")
    return await trial.juliet.disco_items(trial.jid, trial.node) == ["c", "b", "a"]


@shows(Quirk.DISCO_ITEMS_CUT)
async def _disco_items_cut(trial: Trial) -> bool:
    nodes = {f"{trial.node}-{number}" for number in range(101)}
    await asyncio.gather(*(trial.romeo.create(trial.jid, node) for node in nodes))
    listed = set(await trial.juliet.disco_items(trial.jid))
    await asyncio.gather(*(trial.romeo.delete(trial.jid, node) for node in nodes))
    return not nodes <= listed


@shows(Quirk.DISCO_MISSING_NODE_FAULT)
async def _disco_missing_node_fault(trial: Trial) -> bool:
    with pytest.raises(StanzaError) as refused:
        await trial.juliet.disco_items(trial.jid, trial.node)
    return refused.value.condition == "internal-server-error"


@shows(Quirk.EMPTY_NAMESPACE_LOST)
async def _empty_namespace_lost(trial: Trial) -> bool:
    await trial.create()
    payload = note("")
    payload.append(Element("plain"))
    await trial.romeo.publish(trial.jid, trial.node, "a", payload)
    found = next((await trial.juliet.items(trial.jid, trial.node)).iq.iter(f"{{{NOTE}}}note"))
    assert found[0].tag in ("plain", f"{{{NOTE}}}plain")
    return found[0].tag != "plain"


async def told_and_listed(trial: Trial, payload: Element, text: str = "") -> tuple[Element, Element]:
    """An item with this payload, and this text before it, as it is told and as it is listed."""
    await trial.create()
    await trial.subscribed()
    pubsub = publish_payload(trial.node, "a", payload)
    pubsub[0][0].text = text
    await trial.romeo.iq("set", trial.jid, pubsub)
    await trial.juliet.hears(trial.jid, trial.node)
    (told,) = (item for message in trial.juliet.messages for item in message.iter(f"{{{NS_EVENT}}}item") if len(item))
    (listed,) = (await trial.juliet.items(trial.jid, trial.node)).iq.iter(f"{{{NS_PUBSUB}}}item")
    return told, listed


@shows(Quirk.PUBSUB_PAYLOAD_TOLD_AS_EVENT)
async def _pubsub_payload_told_as_event(trial: Trial) -> bool:
    payload = Element(f"{{{NS_PUBSUB}}}note")
    SubElement(payload, f"{{{NS_PUBSUB}}}part").text = "text"
    told, listed = await told_and_listed(trial, payload)
    assert canonical(listed[0]) == canonical(payload)
    if told[0].tag == f"{{{NS_EVENT}}}note":
        assert told[0][0].tag == f"{{{NS_EVENT}}}part"
        return True
    assert canonical(told[0]) == canonical(payload)
    return False


@shows(Quirk.TEXT_BESIDE_PAYLOAD_LOST)
async def _text_beside_payload_lost(trial: Trial) -> bool:
    told, listed = await told_and_listed(trial, note("text"), "beside")
    assert {told.text, listed.text} <= {None, "", "beside"}
    return told.text == "beside" and listed.text != "beside"


@shows(Quirk.PUBLISHER_SHOWN)
async def _publisher_shown(trial: Trial) -> bool:
    await trial.create("a")
    publishers = (await trial.juliet.items(trial.jid, trial.node)).publishers
    return publishers != [None]


@shows(Quirk.PUBLISHED_ID_UNTOLD)
async def _published_id_untold(trial: Trial) -> bool:
    await trial.create()
    return read_published_ids(await trial.romeo.publish(trial.jid, trial.node, "a", "text")) == ()


# Limits --------------------------------------------------------------------------------------------------------


@shows(Quirk.EVICTION_SILENT)
async def _eviction_silent(trial: Trial) -> bool:
    await trial.create(max_items="2")
    await trial.subscribed()
    for item_id in ("a", "b", "c"):
        await trial.publish(item_id)
    await trial.hears(3)
    assert sorted(await trial.ids()) == ["b", "c"]
    return "retract" not in {event.kind for event in await trial.heard()}


@shows(Quirk.RETRACTS_JOINED)
async def _retracts_joined(trial: Trial) -> bool:
    await trial.create("a", "b", "c", "d")
    await trial.subscribed()
    try:
        await trial.romeo.configure(trial.jid, trial.node, max_items="2")
    except StanzaError:
        return False
    await trial.publish("e")
    await trial.hears()
    retracted = [event.ids for event in await trial.heard() if event.kind == "retract"]
    return any(len(item_id) > 1 for ids in retracted for item_id in ids)


@shows(Quirk.EVICTS_PER_PUBLISHER)
async def _evicts_per_publisher(trial: Trial) -> bool:
    await trial.create("a", "b", max_items="2", publish_model="open")
    for item_id in ("c", "d"):
        await trial.juliet.publish(trial.jid, trial.node, item_id, "by juliet")
    return sorted(await trial.ids()) == ["a", "b", "c", "d"]


@shows(Quirk.TRIMS_AT_NEXT_PUBLISH)
async def _trims_at_next_publish(trial: Trial) -> bool:
    await trial.create("a", "b", "c")
    try:
        await trial.romeo.configure(trial.jid, trial.node, max_items="2")
    except StanzaError:
        return False
    return len(await trial.ids()) == 3


@shows(Quirk.LOWER_LIMIT_REFUSED)
async def _lower_limit_refused(trial: Trial) -> bool:
    await trial.create("a", "b", "c")
    try:
        await trial.romeo.configure(trial.jid, trial.node, max_items="2")
    except StanzaError:
        return True
    return False


@shows(Quirk.ITEM_EXPIRE_IGNORED)
async def _item_expire_ignored(trial: Trial) -> bool:
    await trial.create("a", item_expire="0")
    trial.service.pass_time()
    await trial.service.delete_expired()
    return await trial.ids() == ["a"]


@shows(Quirk.PEP_ITEM_EXPIRE_IGNORED)
async def _pep_item_expire_ignored(trial: Trial) -> bool:
    stayed, deleted = await expires_on_pep(trial)
    return stayed and not deleted


@shows(Quirk.EXPIRED_ITEMS_STAY)
async def _expired_items_stay(trial: Trial) -> bool:
    stayed, deleted = await expires_on_pep(trial)
    return stayed and deleted


async def expires_on_pep(trial: Trial) -> tuple[bool, bool]:
    """Whether an item that has expired stays, and whether the administrator's command then deletes it."""
    pep = trial.romeo.jid
    await trial.romeo.create(pep, trial.node, access_model="open", item_expire="0")
    await trial.romeo.publish(pep, trial.node, "a", "text")
    trial.service.pass_time()
    stayed = await trial.juliet.ids(pep, trial.node) == ["a"]
    await trial.service.delete_expired()
    return stayed, await trial.juliet.ids(pep, trial.node) == []


@shows(Quirk.RETRACT_OF_OWN_ONLY)
async def _retract_of_own_only(trial: Trial) -> bool:
    await trial.create("a")
    await trial.romeo.affiliate(trial.jid, trial.node, trial.juliet.jid, "publisher")
    try:
        await trial.juliet.retract(trial.jid, trial.node, "a")
    except StanzaError:
        return True
    return False


# Events --------------------------------------------------------------------------------------------------------


@shows(Quirk.RETRACT_SILENT_WITHOUT_NOTIFY)
async def _retract_silent(trial: Trial) -> bool:
    await trial.create("a")
    await trial.subscribed()
    await trial.romeo.retract(trial.jid, trial.node, "a", notify=False)
    await trial.publish("marker")
    return "retract" not in {event.kind for event in await trial.hears()}


@shows(Quirk.DELETE_SILENT)
async def _delete_silent(trial: Trial) -> bool:
    await trial.create("a")
    await trial.subscribed()
    await trial.romeo.delete(trial.jid, trial.node)
    await trial.romeo.caught_up(trial.jid)
    return await trial.heard() == []


@shows(Quirk.CONFIGURATION_SILENT)
async def _configuration_silent(trial: Trial) -> bool:
    await trial.create("a", notify_config="1")
    await trial.subscribed()
    await trial.romeo.configure(trial.jid, trial.node, title="another")
    await trial.publish("marker")
    return "configuration" not in {event.kind for event in await trial.hears()}


@shows(Quirk.LAST_ITEM_ON_SUBSCRIBE)
async def _last_item_on_subscribe(trial: Trial) -> bool:
    return await told_on_subscribe(trial) is not None


@shows(Quirk.LAST_ITEM_LOOKS_NEW)
async def _last_item_looks_new(trial: Trial) -> bool:
    message = await told_on_subscribe(trial)
    return message is not None and message.find("{urn:xmpp:delay}delay") is None


async def told_on_subscribe(trial: Trial) -> Element | None:
    """The message that brings the last of the items that were there when juliet subscribed."""
    await trial.create("a", "b")
    await trial.juliet.subscribe(trial.jid, trial.node)
    await trial.publish("marker")
    while ("marker",) not in {event.ids for event in await trial.heard()}:
        await trial.hears(1 + len(await trial.heard()))
    for message in trial.juliet.messages:
        if ("b",) in {event.ids for event in read_events(message, trial.node)}:
            return message
    return None


@shows(Quirk.OWNER_HEARS_UNSUBSCRIBED)
async def _owner_hears_unsubscribed(trial: Trial) -> bool:
    await trial.create("a")
    for _ in range(2):
        await trial.romeo.caught_up(trial.jid)
    return trial.romeo.heard(trial.jid, trial.node) != []


@shows(Quirk.OUTCAST_STILL_HEARS)
async def _outcast_still_hears(trial: Trial) -> bool:
    await trial.create("a")
    await trial.subscribed()
    with contextlib.suppress(StanzaError):  # Prosody says forbidden, and has done it: it trips over the subscription
        await trial.romeo.affiliate(trial.jid, trial.node, trial.juliet.jid, "outcast")
    await trial.publish("b")
    assert await trial.is_refused(trial.juliet)
    return await trial.heard() != []


@shows(Quirk.CLOSING_UNSUBSCRIBES)
async def _closing_unsubscribes(trial: Trial) -> bool:
    await trial.create("a")
    await trial.subscribed()
    for model in ("whitelist", "open"):
        await trial.romeo.configure(trial.jid, trial.node, access_model=model)
    return await trial.juliet.subscription(trial.jid, trial.node) is None


@shows(Quirk.SUBSCRIPTION_OUTLIVES_NODE)
async def _subscription_outlives_node(trial: Trial) -> bool:
    await trial.create("a")
    await trial.subscribed()
    await trial.romeo.delete(trial.jid, trial.node)
    await trial.create("a")
    assert "item" not in {event.kind for event in await trial.heard()}
    return await trial.juliet.subscription(trial.jid, trial.node) == "subscribed"


@shows(Quirk.PEP_RETRACT_SILENT_WITHOUT_NOTIFY)
async def _pep_retract_silent(trial: Trial) -> bool:
    heard = await hears_of_pep(trial, lambda: trial.romeo.retract(trial.romeo.jid, trial.node, "a", notify=False))
    return "retract" not in heard


@shows(Quirk.PEP_PURGE_SILENT)
async def _pep_purge_silent(trial: Trial) -> bool:
    heard = await hears_of_pep(trial, lambda: trial.romeo.purge(trial.romeo.jid, trial.node))
    return "purge" not in heard


async def hears_of_pep(trial: Trial, happen: Callable[[], Awaitable[None]]) -> set[str]:
    """The kinds of events that juliet, who is subscribed to a node of romeo's own, is told."""
    pep = trial.romeo.jid
    await trial.romeo.publish(pep, trial.node, "a", "first", options={"access_model": "open"})
    await trial.juliet.subscribe(pep, trial.node)
    await happen()
    await trial.romeo.publish(pep, trial.node, "marker", "last")
    while ("marker",) not in {event.ids for event in trial.juliet.heard(pep, trial.node)}:
        await trial.juliet.hears(pep, trial.node, 1 + len(trial.juliet.heard(pep, trial.node)))
    return {event.kind for event in trial.juliet.heard(pep, trial.node)}


# Streams -------------------------------------------------------------------------------------------------------

ROUNDS = 10
"""Within which what may happen has happened."""


@shows(Quirk.OWN_EVENT_AFTER_ANSWER)
async def _own_event_after_answer(trial: Trial) -> bool:
    await trial.create(publish_model="open")
    await trial.subscribed()
    await trial.juliet.publish(trial.jid, trial.node, "a", "by juliet")
    return trial.juliet.heard(trial.jid, trial.node) == []


@shows(Quirk.ANSWERS_OUT_OF_ORDER)
async def _answers_out_of_order(trial: Trial) -> bool:
    await trial.create("a")
    return any([await answer_order(trial) != sorted(await answer_order(trial)) for _ in range(3)])


async def answer_order(trial: Trial) -> list[int]:
    """In which ten requests that are under way together are answered."""
    answered: list[int] = []

    async def ask(number: int) -> None:
        await trial.juliet.items(trial.jid, trial.node, on_answer=lambda: answered.append(number))

    await asyncio.gather(*map(ask, range(10)))
    return answered


@shows(Quirk.EVENTS_OVERTAKE_ANSWERS)
async def _events_overtake_answers(trial: Trial) -> bool:
    await trial.create("a")
    await trial.subscribed()
    for number in range(ROUNDS):
        if await event_overtakes(trial, number):
            return True
    return False


async def event_overtakes(trial: Trial, number: int) -> bool:
    """Whether juliet was told of an item before an answer came that did not hold it."""
    told: list[str] = []

    def on_answer() -> None:
        told.extend(event.ids[0] for event in trial.juliet.heard(trial.jid, trial.node))

    writing = asyncio.ensure_future(asyncio.gather(*(trial.publish(f"{number}-{item}") for item in range(5))))
    overtaken = False
    while not writing.done():
        told.clear()
        page = await trial.juliet.items(trial.jid, trial.node, on_answer=on_answer)
        overtaken |= not set(told) <= set(page.ids)
    await writing
    return overtaken


@shows(Quirk.EVENTS_OUT_OF_ORDER)
async def _events_out_of_order(trial: Trial) -> bool:
    await trial.create()
    await trial.subscribed()
    ids = [str(number) for number in range(ROUNDS)]
    for item_id in ids:
        await trial.publish(item_id)
    return [event.ids[0] for event in await trial.hears(ROUNDS)] != ids


# Refusals ------------------------------------------------------------------------------------------------------


@shows(Quirk.CLOSED_NODE_NOT_ALLOWED)
async def _closed_node_not_allowed(trial: Trial) -> bool:
    await trial.create("a", access_model="whitelist")
    with pytest.raises(StanzaError) as refused:
        await trial.juliet.items(trial.jid, trial.node)
    return (refused.value.condition, refused.value.app_condition) == ("not-allowed", "closed-node")


# ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("quirk", OBSERVE)
async def test_the_table_says_what_the_service_does(trial: Trial, quirk: Quirk) -> None:
    seen = await OBSERVE[quirk](trial)
    assert seen == trial.does(quirk) or (quirk in RACES and not seen)


def test_every_quirk_is_verified() -> None:
    assert set(OBSERVE) == set(Quirk)
