"""Whatever a service sends: memory, the work within one step of the event loop, and what the database holds are
bounded."""

from __future__ import annotations

import sys
import tracemalloc
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any
from xml.etree.ElementTree import Element

import pytest
from sqlalchemy import select

from newsstand.errors import NodeTooLarge
from newsstand.model import NS_RSM, Configured, ItemsRequest, NodeKey, Published, SyncState
from newsstand.rules.doubts import RELIST
from newsstand.serving.steps import Rows, Served
from newsstand.state.doubts import doubt
from newsstand.storage.database import Database
from newsstand.storage.mapping import PubsubItem
from newsstand.xmpp.notifications import MOST, MOST_HEAVY, read_message
from newsstand.xmpp.transport import Session
from tests.fakes.hold import SECONDS
from tests.fakes.hostile import HostileService
from tests.fakes.node import Node
from tests.fakes.program import NODE, Program, at_work
from tests.fakes.service import JULIET, SERVICE, Stream
from tests.servers.quirks import Quirk

OTHER = "another"
PAGES = frozenset({Quirk.CONFIGURATION_SILENT, Quirk.DISCO_NEWEST_FIRST, Quirk.EVICTION_SILENT})
"""Of a service that knows pages (XEP-0059)."""
MB = 1_000_000


@contextmanager
def no_more_than(megabytes: float) -> Iterator[None]:
    """Python's own memory rises by no more meanwhile. That of what the test makes counts as well."""
    tracemalloc.start()
    try:
        before, _ = tracemalloc.get_traced_memory()
        yield
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak - before < megabytes * MB, f"{(peak - before) / MB:.1f} MB"


class Calls:
    """Counts the calls of functions within a step: a measure of work that no busy machine disturbs."""

    def __init__(self) -> None:
        self.count = 0

    def __enter__(self) -> Calls:
        sys.setprofile(self._called)
        return self

    def __exit__(self, *_: object) -> None:
        sys.setprofile(None)

    def _called(self, frame: FrameType, event: str, argument: Any) -> None:
        self.count += event in ("call", "c_call")


@pytest.fixture
def service() -> HostileService:
    return HostileService(quirks=PAGES)


def asked(service: HostileService, node: str = NODE) -> list[str]:
    return [request.kind for request in service.requests if request.node == node]


def pages_asked(service: HostileService) -> list[int]:
    """How many items each page was to have."""
    found = (request.rsm.findtext(f"{{{NS_RSM}}}max") for request in service.requests if request.rsm is not None)
    return [int(most) for most in found if most]


async def fail(program: Program, node: str = NODE) -> str:
    """Why the copy of a node that was read is not kept."""
    await program.read(node)
    await program.settled()
    record = program.copy(node).record
    assert record.state is SyncState.FAILED
    return record.reason or ""


# Listings


async def test_large_items_without_end_are_left_to_their_service(database: Database, service: HostileService) -> None:
    service.send_without_end(NODE, size=MB // 2)
    with no_more_than(12):
        async with at_work(database, service, max_bytes=20 * MB, page_size=8, retry_first=1000) as program:
            assert "max_bytes" in await fail(program)
            error = program.copy().work.failure
    assert isinstance(error, NodeTooLarge)
    assert (error.setting, error.limit) == ("max_bytes", 20 * MB)
    # After the first page of 4 MB, as many are asked for as 2 MB hold: three.
    assert asked(service).count("items") <= 2 + 16 * MB // (3 * MB // 2) + 1


async def test_the_first_page_is_of_few_items_until_it_is_known_how_large_they_are(
    database: Database, service: HostileService
) -> None:
    service.swell(NODE, 299, size=MB // 50)
    fits = range(95, 106)
    async with at_work(database, service) as program:
        await program.replica.synchronise(SERVICE, NODE)
        first, *others = pages_asked(service)
        assert first == 40
        assert all(page in fits for page in others[:2]), others
    service.requests.clear()
    async with at_work(database, service) as program:
        await program.read(NODE)
        await program.settled()
        assert pages_asked(service)[0] in fits, "as the copy lets foresee"


async def test_a_node_of_many_items_takes_the_memory_of_a_few(database: Database, service: HostileService) -> None:
    service.create(NODE, "a")
    service.swell(NODE, 1_000, size=20_000)
    async with at_work(database, service) as program:
        with no_more_than(8):
            await program.replica.synchronise(SERVICE, NODE)
        assert (program.copy().record.item_count, program.copy().record.payload_bytes > 20 * MB - 1) == (1_001, True)
        assert (await program.replica.verify(SERVICE, NODE)).equal


async def test_a_whole_answer_of_many_items_is_freed_as_it_is_read(database: Database) -> None:
    service = HostileService()
    service.swell(NODE, 1_000, size=20_000)
    async with at_work(database, service) as program:
        with no_more_than(8):  # the texts of the answer are one object
            await program.replica.synchronise(SERVICE, NODE)
        assert program.copy().record.item_count == 1_000


async def test_a_page_that_is_overfull_is_no_harm(database: Database, service: HostileService) -> None:
    service.create(NODE, "a")
    service.swell(NODE, 1_000)
    service.overfill(NODE, 100_000)
    async with at_work(database, service, page_size=20) as program:
        await program.follow()


async def test_ids_that_are_large_by_themselves_are_no_way_to_fill_memory(
    database: Database, service: HostileService, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("newsstand.sync.listing.ID_CHARACTERS", 10_000)
    service.create(NODE, *(f"{number}" * 3_000 for number in range(5)))
    async with at_work(database, service, retry_first=1000) as program:
        assert "item ids" in await fail(program)


# Items


@pytest.mark.parametrize(
    ("setting", "limit", "reason"),
    [
        ("max_item_bytes", 500, "larger than 500 bytes"),
        ("max_item_elements", 3, "more than 3 elements"),
        ("max_item_depth", 1, "deeper than 1 levels"),
    ],
)
async def test_how_large_an_item_may_be_is_a_setting(database: Database, setting: str, limit: Any, reason: str) -> None:
    service = HostileService()
    service.create(NODE, "a")
    service.publish(NODE, "b", "x" * 500)
    service.put_huge(NODE, "c", 5)
    settings: dict[str, Any] = {setting: limit}
    async with at_work(database, service, **settings) as program:
        await program.read()
        await program.settled()
        async with program.replica.session() as session:
            kept = {item.item_id: item.quarantine or "" for item in await session.scalars(select(PubsubItem))}
    assert any(reason in why for why in kept.values()), kept


async def test_an_item_of_a_million_elements_is_asked_for_once(database: Database, service: HostileService) -> None:
    service.create(NODE, "a", "b")
    async with at_work(database, service) as program:
        await program.follow()
        service.put_huge(NODE, "huge", 200_000)
        before = len(asked(service))
        service.tell_huge(NODE, "huge")
        await program.settled()
        assert program.copy().record.quarantined == 1
        requests = service.requests[-(len(asked(service)) - before) :]
        named = [item.get("id") for request in requests for item in request.action]
        assert named.count("huge") <= 1
        again = len(service.requests)
        program.replica._open.synchroniser.revalidation.begin()
        service.publish(NODE, "a", "again")
        await program.settled()
        assert not any(item.get("id") == "huge" for r in service.requests[again:] for item in r.action)


# Notifications


@pytest.mark.parametrize("count", [MOST + 1, 100_000])
async def test_a_notification_of_very_many_items_is_not_taken_apart(count: int) -> None:
    service = HostileService()
    told = _told(service, lambda: service.tell_many(NODE, count, stored=False))
    with Calls() as calls:
        (found,) = read_message(told, JULIET)
    assert found.news == (Configured(),)
    assert calls.count < 200


@pytest.mark.parametrize(("items", "known"), [(1, True), (MOST_HEAVY + 1, False)])
async def test_of_a_heavy_notification_the_ids_are_taken(items: int, known: bool) -> None:
    service = HostileService()
    told = _told(service, lambda: service.tell_many(NODE, items, size=600_000, stored=False))
    with Calls() as calls:
        (found,) = read_message(told, JULIET)
    assert calls.count < 2_000
    if known:
        (news,) = found.news
        assert isinstance(news, Published)
        assert not news.items[0].has_payload
    else:
        assert found.news == (Configured(),)


async def test_a_notification_of_an_item_of_a_million_elements_costs_no_more_than_one_of_a_few_thousand() -> None:
    service = HostileService()
    service.create(NODE)
    service.put_huge(NODE, "huge")
    told = _told(service, lambda: service.tell_huge(NODE, "huge"))
    with Calls() as calls:
        read_message(told, JULIET)
    assert calls.count < 20_000


def _told(service: HostileService, tell: Callable[[], None]) -> Element:
    service.nodes.setdefault(NODE, Node()).subscribers.add(JULIET)
    stream = Stream(service)
    found: list[Element] = []
    stream.on_message(found.append)
    stream.turn(Session.FRESH)
    tell()
    (message,) = found
    return message


async def test_after_a_notification_of_very_many_items_the_copy_is_right(
    database: Database, service: HostileService
) -> None:
    service.create(NODE, "a", "b")
    async with at_work(database, service) as program:
        await program.follow()
        service.tell_many(NODE, 5_001)
        assert await program.served_live() is None, "something is in doubt at once"
        await program.serves_live()


async def test_of_a_heavy_notification_the_contents_are_fetched(database: Database, service: HostileService) -> None:
    service.create(NODE, "a", "b")
    async with at_work(database, service) as program:
        await program.follow()
        service.publish(NODE, "b", "x" * 600_000)
        assert await program.served_live() is None, "something is in doubt at once"
        await program.serves_live()


async def test_notifications_that_wait_take_a_bounded_room(database: Database, service: HostileService) -> None:
    service.create(NODE, "a")
    service.create(OTHER, "a")
    async with at_work(database, service, max_waiting_bytes=100_000) as program:
        await program.follow()
        await program.follow(OTHER)
        held = service.hold("items")
        doubt(program.copy(), RELIST)
        program.replica._open.synchroniser.want(program.copy())
        await held.reached()
        for number in range(50):
            service.publish(NODE, f"n{number}", "x" * 10_000)
            assert sum(told.bytes for told in program.copy().inbox) <= 100_000
        held.release()
        service.publish(OTHER, "b", "others go on")
        await program.serves_live()
        await program.serves_live(OTHER)


async def test_what_orders_are_learnt_from_keeps_no_payloads(database: Database) -> None:
    service = HostileService()
    service.create(NODE, "a", "b", "c")
    async with at_work(database, service) as program:
        await program.follow()
        copy = program.copy()
        copy.order.remember(["a", "b", "c"], [])
        service.publish(NODE, "a", "y" * 50_000)
        assert "y" * 100 not in repr(copy.order.history)


# Answers


async def test_a_large_answer_of_the_copy_is_not_read_within_the_call(
    database: Database, service: HostileService
) -> None:
    service.create(NODE, *(f"i{number}" for number in range(30)))
    for item_id in list(service.nodes[NODE].items):
        service.publish(NODE, item_id, "x" * 100_000, told=False)
    async with at_work(database, service) as program:
        await program.follow()
        key = NodeKey(JULIET, SERVICE, NODE)
        for large in (ItemsRequest(key), ItemsRequest(key, max_items=25)):
            assert isinstance(program.port.read(large, SECONDS, ()), Rows)
        small = program.port.read(ItemsRequest(key, max_items=5), SECONDS, ())
        assert isinstance(small, Rows if database.instant is None else Served)
        served = await program.served_live()
        assert served is not None
        assert len(served) == 30


# The database


async def test_what_was_not_read_for_longest_goes_when_the_database_holds_too_much(
    database: Database, service: HostileService
) -> None:
    for node in ("old", "new", "newest"):
        service.create(node)
        service.publish(node, "a", "x" * 4_000, told=False)
        service.publish(node, "b", "x" * 1_000, told=False)
    async with at_work(database, service, max_total_bytes=12_000, max_bytes=12_000) as program:
        for age, node in enumerate(("newest", "new", "old")):
            await program.follow(node)
            program.copy(node).update(read_at=1_000_000 - age)
        kept = {node: program.copy(node) for node in ("old", "new", "newest")}
        program.replica._open.unread.limit_size()
        await program.settled()
        assert [node for node, copy in kept.items() if copy.dropped] == ["old"]
        assert not service.nodes["old"].subscribers
        assert {record.key.node for record in program.replica.nodes()} == {"new", "newest"}
        program.replica._open.unread.limit_size()
        assert not kept["new"].dropped, "there is room now"


async def test_how_much_a_node_takes_is_counted_whatever_happens_to_its_items(
    database: Database, service: HostileService
) -> None:
    service.create(NODE, "a", "b", "c")
    async with at_work(database, service) as program:
        await program.follow()
        for change in (
            lambda: service.publish(NODE, "d", "é" * 5_000),
            lambda: service.publish(NODE, "a", "shorter"),
            lambda: service.retract(NODE, "b"),
            lambda: service.purge(NODE),
            lambda: service.publish(NODE, "e", "again"),
        ):
            change()
            await program.serves_live()
            answer = await program.read()
            held = sum(len(item.xml.encode()) for item in answer.items)
            assert program.copy().record.payload_bytes == held
            (record,) = program.replica.nodes()
            assert record.payload_bytes == held
