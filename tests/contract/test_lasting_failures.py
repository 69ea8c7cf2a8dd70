"""What cannot succeed is not tried over and over: it waits until something changes, over restarts, too."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any
from xml.etree.ElementTree import Element, SubElement

import pytest

from newsstand.errors import ListingError, NodeTooLarge, NotFollowed
from newsstand.model import NS_DISCO_ITEMS, NS_PUBSUB, NS_RSM, ItemsRequest, NodeKey, SyncState
from newsstand.storage.database import Database
from newsstand.xmpp.requests import items_request
from newsstand.xmpp.transport import Session
from tests.fakes.hostile import HostileService
from tests.fakes.program import NODE, Program, at_work
from tests.fakes.requests import Request, read
from tests.fakes.service import JULIET, SERVICE
from tests.servers.quirks import Quirk

MOST = 20
"""Items of a node, here."""
PAGE = 5
DAY = 86_400
EVIL = "evil.example"
CONTACTS = [f"contact-{number}@{EVIL}" for number in range(8)]
ITEM = f"{{{NS_PUBSUB}}}pubsub/{{{NS_PUBSUB}}}items/{{{NS_PUBSUB}}}item"


@pytest.fixture(params=["by pages", "whole"])
def service(request: pytest.FixtureRequest) -> HostileService:
    """With a node above the limit."""
    service = HostileService(quirks=frozenset() if request.param == "by pages" else frozenset({Quirk.NO_RSM}))
    service.create(NODE, "a")
    service.swell(NODE, MOST + 9)
    return service


def working(database: Database, service: HostileService, **settings: Any) -> Any:
    return at_work(database, service, **{"max_items": MOST, "page_size": PAGE, **settings})


@asynccontextmanager
async def failed(database: Database, service: HostileService, **settings: Any) -> AsyncIterator[Program]:
    """A program that read the node, and could not follow it."""
    async with working(database, service, **settings) as program:
        await program.read()
        await program.settled()
        yield program


def new_session(program: Program) -> None:
    program.stream.turn(Session.LOST, Session.FRESH)


async def waits(program: Program, node: str = NODE, *, at: str = SERVICE) -> None:
    """The copy failed, is not tried again for long, and not in a new session either."""
    await program.settled()
    record = program.copy(node, at=at).record
    assert record.state is SyncState.FAILED
    assert record.failed_by is not None
    assert record.retry_at is not None
    assert record.retry_at - program.replica._open.context.clock() > 0.7 * DAY * 1_000_000
    asked = len(program.service.find(at).requests)
    new_session(program)
    await program.settled()
    program.replica._open.synchroniser.want(program.copy(node, at=at))
    program.replica._open.synchroniser.try_again(program.copy(node, at=at))
    await program.settled()
    assert len(program.service.find(at).requests) == asked


# A node that is too large ------------------------------------------------------------------------------------------


async def test_a_node_above_the_limit_is_listed_no_further_than_shows_it(
    database: Database, service: HostileService
) -> None:
    async with failed(database, service) as program:
        reads, listed = [r for r in service.requests if r.kind == "items"]
        assert (reads.rsm, listed.rsm is None) == (None, False)
        assert program.copy().record.reason == f"the node has more than {MOST} items, at least 30 (setting max_items)"
        await waits(program)


async def test_nor_is_it_listed_again_after_a_restart(database: Database, service: HostileService) -> None:
    async with failed(database, service):
        pass
    asked = service.counted("items")
    async with working(database, service) as program:
        await waits(program)
        assert service.counted("items") == asked
        await program.asks_service()


async def test_another_limit_has_it_tried_after_the_restart(database: Database, service: HostileService) -> None:
    async with failed(database, service):
        pass
    async with working(database, service, max_items=1000) as program:
        await program.serves_live()


async def test_another_version_has_it_tried_after_the_restart(
    database: Database, service: HostileService, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with failed(database, service):
        pass
    service.nodes[NODE].items.clear()
    service.create(NODE, "a")
    monkeypatch.setattr("newsstand.rules.lasting.VERSION", "99.0")
    async with working(database, service) as program:
        await program.serves_live()


async def test_whoever_asks_for_it_is_told_why(database: Database, service: HostileService) -> None:
    async with failed(database, service) as program:
        for _ in range(2):
            with pytest.raises(NodeTooLarge) as raised:
                await program.replica.synchronise(SERVICE, NODE)
            assert (raised.value.setting, raised.value.limit) == ("max_items", MOST)
        await waits(program)
        service.create(NODE, "a", "b")
        await program.replica.synchronise(SERVICE, NODE)
        await program.serves_live()


async def test_it_is_tried_again_when_the_pause_is_over(database: Database, service: HostileService) -> None:
    async with failed(database, service, retry_lasting=0.05) as program:
        service.create(NODE, "a", "b")
        await program.becomes_live()
        await program.serves_live()


async def test_it_is_tried_again_in_time_by_the_next_program(database: Database, service: HostileService) -> None:
    async with failed(database, service, retry_lasting=0.5):
        pass
    async with working(database, service, retry_lasting=0.5) as program:
        service.create(NODE, "a", "b")
        await program.becomes_live()


async def test_it_is_tried_again_when_so_many_items_went_that_it_may_do(
    database: Database, service: HostileService
) -> None:
    async with failed(database, service) as program:
        asked, surplus = service.counted("items"), len(service.nodes[NODE].items) - MOST
        for item_id in list(service.nodes[NODE].items)[: surplus - 1]:
            service.retract(NODE, item_id)
            await program.settled()
        assert service.counted("items") == asked
        service.retract(NODE, next(iter(service.nodes[NODE].items)))
        await program.becomes_live()
        await program.serves_live()


async def test_it_is_tried_again_when_all_items_went(database: Database, service: HostileService) -> None:
    async with failed(database, service) as program:
        service.purge(NODE)
        service.publish(NODE, "b", "after the purge")
        await program.becomes_live()
        await program.serves_live()


async def test_it_is_tried_again_when_its_configuration_changed(database: Database, service: HostileService) -> None:
    async with failed(database, service) as program:
        node = service.nodes[NODE]
        node.limit = 3
        service.trim(NODE)
        service.tell_configured(NODE)
        await program.becomes_live()
        await program.serves_live()


async def test_it_is_tried_again_when_all_items_went_while_it_was_being_listed(
    database: Database, service: HostileService
) -> None:
    async with working(database, service) as program:
        await program.read()
        held = service.hold("items", answered=True)
        await held.reached()
        service.purge(NODE)
        service.publish(NODE, "b", "after the purge")
        held.release()
        await program.settled()
        await program.becomes_live()
        await program.serves_live()


async def test_that_it_changed_is_known_after_a_restart(database: Database, service: HostileService) -> None:
    async with failed(database, service, retry_first=300.0) as program:
        service.purge(NODE)
        await program.settled()
        assert program.copy().record.failed_by is None
    service.publish(NODE, "b", "after the purge")
    async with working(database, service, retry_first=300.0) as program:
        await program.serves_live()


async def test_news_that_change_nothing_about_it_do_not_have_it_tried(
    database: Database, service: HostileService
) -> None:
    async with failed(database, service) as program:
        service.publish(NODE, "more", "of it")
        service.publish(NODE, "a", "overwritten")
        await waits(program)


async def test_news_that_tell_of_changes_all_the_time_have_it_tried_less_and_less_often(
    database: Database, service: HostileService
) -> None:
    """By the pauses of any other failure, which become longer."""
    async with failed(database, service, retry_first=1000.0) as program:
        asked = service.counted("items")
        for _ in range(50):
            service.tell_configured(NODE)
            await program.settled()
        assert service.counted("items") == asked


async def test_a_node_that_grew_above_the_limit_is_left_to_its_service(
    database: Database, service: HostileService
) -> None:
    service.create(NODE, "a", "b")
    async with working(database, service) as program:
        await program.follow()
        service.swell(NODE, MOST)
        new_session(program)
        await waits(program)
        await program.asks_service()


# A service that cannot be relied on --------------------------------------------------------------------------------


def without_ids(request: Request, answer: Element) -> None:
    for item in answer.findall(ITEM):
        item.attrib.pop("id", None)


def twice(request: Request, answer: Element) -> None:
    items = answer.find(ITEM + "/..")
    if items is not None and len(items):
        items.append(items[0])


def without_count(request: Request, answer: Element) -> None:
    rsm = answer.find(f"{{{NS_PUBSUB}}}pubsub/{{{NS_RSM}}}set")
    if rsm is not None:
        rsm[:] = [child for child in rsm if not child.tag.endswith("count")]


@pytest.mark.parametrize(
    ("how", "pages"),
    [(without_ids, True), (without_ids, False), (twice, False), (without_count, True)],
)
async def test_a_node_from_which_no_copy_can_be_made_waits_for_a_change(
    database: Database, how: Callable[[Request, Element], None], pages: bool
) -> None:
    service = HostileService(quirks=frozenset() if pages else frozenset({Quirk.NO_RSM}))
    service.create(NODE, "a", "b", "c")
    async with working(database, service) as program:
        await program.follow()
        service.distort(NODE, how)
        new_session(program)
        await waits(program)
        with pytest.raises(ListingError):
            await program.replica.synchronise(SERVICE, NODE)
        service.be_good()
        service.tell_configured(NODE)
        await program.becomes_live()


def by_another_name(request: Request, answer: Element) -> None:
    if request.kind == "items":
        answer.set("from", "another.example.org")


async def test_a_node_whose_answers_bear_another_name_is_paused_and_not_for_long(database: Database) -> None:
    """Whoever can spoof one answer must not close the node for a day; and one request a pause is all that it costs."""
    service = HostileService(quirks=frozenset())
    service.create(NODE, "a", "b", "c")
    async with working(database, service, retry_first=300.0) as program:
        await program.follow()
        service.distort(NODE, by_another_name)
        asked = service.counted("items")
        new_session(program)
        await program.settled()
        record = program.copy().record
        assert (record.state, record.failed_by) == (SyncState.FAILED, None)
        assert record.retry_at is not None
        assert 0 < record.retry_at - program.replica._open.context.clock() < 2 * 300 * 1_000_000
        assert service.counted("items") == asked + 1
        program.replica._open.synchroniser.try_again(program.copy())
        await program.settled()
        assert service.counted("items") == asked + 1
        service.be_good()
        await program.replica.synchronise(SERVICE, NODE)
        await program.serves_live()


async def test_pages_of_which_one_brings_an_item_again_are_tried_again(database: Database) -> None:
    """It may have moved while they were read."""
    service = HostileService(quirks=frozenset())
    service.create(NODE, *(f"i{number}" for number in range(12)))
    async with working(database, service, retry_first=300.0) as program:
        await program.follow()
        service.distort(NODE, _the_first_page_again)
        asked = service.counted("items")
        new_session(program)
        await program.settled()
        assert (program.copy().record.state, program.copy().record.failed_by) == (SyncState.FAILED, None)
        assert service.counted("items") == asked + 2, "the second page shows it"


def _the_first_page_again(request: Request, answer: Element) -> None:
    for number, item in enumerate(answer.findall(ITEM)):
        item.set("id", f"i{number}")


async def test_a_live_copy_whose_ids_cannot_be_checked_is_listed_and_live_again(database: Database) -> None:
    """Several pages do not need them."""
    service = HostileService(quirks=frozenset())
    service.create(NODE, *(f"i{number}" for number in range(12)))
    async with working(database, service) as program:
        await program.follow()
        service.distort(NODE, _cut_ids)
        service.publish(NODE, "c", "perhaps another one was evicted")
        await program.settled()
        assert program.copy().record.failed_by is None
        await program.becomes_live()


def _cut_ids(request: Request, answer: Element) -> None:
    query = answer.find(f"{{{NS_DISCO_ITEMS}}}query")
    if query is not None and request.kind == "ids":
        SubElement(SubElement(query, f"{{{NS_RSM}}}set"), f"{{{NS_RSM}}}count").text = "1000"


async def test_a_refused_subscription_is_not_asked_for_again_and_again(database: Database) -> None:
    service = HostileService(quirks=frozenset())
    service.create(NODE, "a")
    service.refuse("subscribe", "not-allowed")
    async with working(database, service) as program:
        await program.read()
        await waits(program)
        with pytest.raises(NotFollowed):
            await program.replica.synchronise(SERVICE, NODE)
        service.allow("subscribe")
        await program.replica.synchronise(SERVICE, NODE)
        await program.serves_live()


async def test_a_subscription_that_is_refused_for_the_moment_is_asked_for_again(database: Database) -> None:
    service = HostileService(quirks=frozenset())
    service.create(NODE, "a")
    service.refuse("subscribe", "resource-constraint", "wait")
    async with working(database, service) as program:
        await program.read()
        await program.settled()
        assert program.copy().record.failed_by is None
        service.allow("subscribe")
        await program.becomes_live()


# A domain that has no PEP for us -----------------------------------------------------------------------------------


async def following_contacts(program: Program) -> None:
    for contact in CONTACTS:
        await program.follow(at=contact)


@pytest.fixture
def contacts() -> HostileService:
    """A service on whose streams eight contacts of one domain, and one of another, are reached."""
    service = HostileService(quirks=frozenset())
    for account in (*CONTACTS, "nurse@example.net"):
        service.add_account(account).create(NODE, "a")
    return service


def asked(service: HostileService) -> dict[str, int]:
    """How many requests each contact got."""
    return {contact: len(service.accounts[contact].requests) for contact in CONTACTS}


def asked_since(service: HostileService, before: dict[str, int]) -> set[str]:
    return {contact for contact, count in asked(service).items() if count > before[contact]}


@pytest.mark.parametrize(
    ("condition", "type"),
    [("service-unavailable", "cancel"), ("feature-not-implemented", "cancel"), ("forbidden", "auth")],
)
async def test_where_the_domain_of_many_contacts_has_no_pep_not_each_of_them_is_tried(
    database: Database, contacts: HostileService, condition: str, type: str
) -> None:
    async with working(database, contacts, parallel=2, retry_first=300.0) as program:
        await following_contacts(program)
        await program.follow(at="nurse@example.net")
        before = asked(contacts)
        contacts.refuse_domain(EVIL, condition, type)
        new_session(program)
        await program.settled()
        assert len(asked_since(contacts, before)) == 3
        assert program.copy(at="nurse@example.net").record.state is SyncState.LIVE
        before = asked(contacts)
        new_session(program)
        await program.settled()
    async with working(database, contacts, parallel=2, retry_first=300.0) as program:
        await program.settled()
        assert len(asked_since(contacts, before)) <= 3, "those that failed before the domain was known"
        reasons = [program.copy(at=contact).record.reason or "" for contact in CONTACTS]
        assert sum(f"no PEP service of @{EVIL}" in reason for reason in reasons) >= len(CONTACTS) - 3


async def test_once_one_contact_answers_the_others_are_tried_again(
    database: Database, contacts: HostileService
) -> None:
    async with working(database, contacts, parallel=2) as program:
        await following_contacts(program)
        contacts.refuse_domain(EVIL, "service-unavailable", "cancel")
        new_session(program)
        await program.settled()
    async with working(database, contacts, parallel=2) as program:
        await program.settled()
        for contact in CONTACTS:
            contacts.accounts[contact].be_good()  # type: ignore[attr-defined]
        await program.read(at=CONTACTS[-1])
        for contact in CONTACTS:
            await program.becomes_live(at=contact)


async def test_so_they_are_when_the_programs_own_request_is_answered(
    database: Database, contacts: HostileService
) -> None:
    async with working(database, contacts, parallel=2) as program:
        await following_contacts(program)
        contacts.refuse_domain(EVIL, "service-unavailable", "cancel")
        new_session(program)
        await program.settled()
        for contact in CONTACTS:
            contacts.accounts[contact].be_good()  # type: ignore[attr-defined]
        request = ItemsRequest(NodeKey(JULIET, CONTACTS[0], NODE))
        answer = contacts.accounts[CONTACTS[0]].carry_out(read(items_request(NODE), JULIET))
        program.port.replied(program.ask(request), answer)
        for contact in CONTACTS:
            await program.becomes_live(at=contact)


async def test_so_they_are_when_one_of_them_tells_something(database: Database, contacts: HostileService) -> None:
    async with working(database, contacts, parallel=2) as program:
        await following_contacts(program)
        contacts.refuse_domain(EVIL, "service-unavailable", "cancel")
        new_session(program)
        await program.settled()
        for contact in CONTACTS:
            contacts.accounts[contact].be_good()  # type: ignore[attr-defined]
        contacts.accounts[CONTACTS[0]].publish(NODE, "b", "news")
        for contact in CONTACTS:
            await program.becomes_live(at=contact)


async def test_a_contact_that_refuses_us_says_nothing_of_the_others(
    database: Database, contacts: HostileService
) -> None:
    async with working(database, contacts, parallel=1) as program:
        await following_contacts(program)
        for contact in CONTACTS[:-1]:  # the one that was read last comes first, and answers
            contacts.accounts[contact].refuse_all()  # type: ignore[attr-defined]
        before = asked(contacts)
        new_session(program)
        await program.settled()
        assert asked_since(contacts, before) == set(CONTACTS)
        assert {program.copy(at=contact).record.state for contact in CONTACTS[:-1]} == {SyncState.GONE}


async def test_whoever_asks_for_a_contacts_node_is_not_kept_from_it(
    database: Database, contacts: HostileService
) -> None:
    async with working(database, contacts, parallel=2, retry_first=300.0) as program:
        await following_contacts(program)
        contacts.refuse_domain(EVIL, "service-unavailable", "cancel")
        new_session(program)
        await program.settled()
        contacts.accounts[CONTACTS[0]].be_good()  # type: ignore[attr-defined]
        await program.replica.synchronise(CONTACTS[0], NODE)
        await program.serves_live(at=CONTACTS[0])
        assert contacts.accounts[CONTACTS[0]].is_subscribed(NODE, JULIET)
