"""The hostile service does the harm that it is told to, to the nodes that it is told of, and none else."""

from __future__ import annotations

import asyncio
from xml.etree.ElementTree import Element, SubElement

import pytest

from newsstand.errors import Timeout
from newsstand.model import NS_EVENT, NS_PUBSUB, NS_RSM
from newsstand.xmpp.transport import Session
from tests.fakes.hostile import MEGABYTE, HostileService
from tests.fakes.service import JULIET, SERVICE, Stream
from tests.servers.entities import Entity, Page, refusal

NODE, OTHER = "blog", "another"
PAGE = 20


class Reader(Entity):
    """Juliet, subscribed to two nodes of three items each."""

    def __init__(self) -> None:
        self.service = HostileService(quirks=frozenset())
        for node in (NODE, OTHER):
            self.service.create(node, "a", "b", "c").subscribers.add(JULIET)
        stream = Stream(self.service)
        stream.turn(Session.FRESH)
        super().__init__(stream, self.never, stream.cut)

    async def never(self) -> None:
        raise AssertionError

    async def page(self, size: int = PAGE, *, after: str | None = None) -> Page:
        return await self.items(SERVICE, NODE, page=size, after=after)


@pytest.fixture
async def reader() -> Reader:
    return Reader()


async def test_it_never_answers(reader: Reader) -> None:
    reader.service.never_answer(NODE)
    asked = asyncio.ensure_future(reader.page())
    await reader.service.hang(NODE)
    reader.service.pass_time(1_000_000)
    assert await reader.ids(SERVICE, OTHER) == ["a", "b", "c"]
    assert not asked.done()
    asked.cancel()


async def test_whoever_waits_for_no_answer_may_give_up(reader: Reader) -> None:
    reader.service.never_answer(NODE)
    pubsub = Element(f"{{{NS_PUBSUB}}}pubsub")
    SubElement(pubsub, f"{{{NS_PUBSUB}}}items", {"node": NODE})
    with pytest.raises(Timeout):
        await reader.transport.iq("get", SERVICE, pubsub, timeout=0.01)
    await asyncio.sleep(0)
    assert reader.service.hanging == set()


async def test_it_drips(reader: Reader) -> None:
    reader.service.drip(NODE, 29, most=1)
    shown: list[str] = []
    after = None
    for _ in range(3):
        asked = asyncio.ensure_future(reader.page(after=after))
        await reader.service.hang(NODE)
        reader.service.pass_time(28)
        assert await reader.ids(SERVICE, OTHER) == ["a", "b", "c"]
        assert not asked.done()
        reader.service.pass_time(1)
        page = await asked
        assert page.count == 3
        shown += page.ids
        after = page.last
    assert shown == ["a", "b", "c"]


async def test_it_sends_more_than_was_asked_for(reader: Reader) -> None:
    reader.service.swell(NODE, 500)
    reader.service.overfill(NODE, 400)
    assert len((await reader.page(2)).ids) == 400


async def test_it_sends_pages_without_end(reader: Reader) -> None:
    reader.service.send_without_end(NODE)
    pages = [await reader.page(), await reader.page(), await reader.page()]
    assert len({item_id for page in pages for item_id in page.ids}) == 3 * PAGE
    assert {page.count for page in pages} == {99_999}
    assert {len(text) for page in pages for text in page.texts} == {MEGABYTE}


async def test_its_count_grows(reader: Reader) -> None:
    reader.service.send_without_end(NODE, size=10, count=50, grows=3)
    assert [(await reader.page()).count for _ in range(3)] == [50, 53, 56]


async def test_it_gives_items_other_ids_each_time(reader: Reader) -> None:
    reader.service.change_ids(NODE)
    first, second = await reader.page(2), await reader.page(2)
    assert not set(first.ids) & set(second.ids)
    assert (await reader.page(2, after=first.last)).texts == ["first c"]
    assert set(await reader.disco_items(SERVICE, NODE)) != set(await reader.disco_items(SERVICE, NODE))
    assert await reader.ids(SERVICE, OTHER) == ["a", "b", "c"]


async def test_its_node_is_large(reader: Reader) -> None:
    reader.service.swell(NODE, 100_000, size=7)
    whole = await reader.items(SERVICE, NODE)
    assert len(set(whole.ids)) == 100_003
    page = await reader.page(after=whole.ids[99_999])
    assert (page.count, page.ids, page.texts[-1]) == (100_003, whole.ids[100_000:], "x" * 7)


async def test_its_item_is_huge_until_it_is_overwritten(reader: Reader) -> None:
    reader.service.put_huge(NODE, "b", elements=100_000)
    payload = (await reader.items(SERVICE, NODE, ids=["b"])).iq.find(f".//{{{NS_PUBSUB}}}item/*")
    assert payload is not None
    assert len(payload) == 100_000
    reader.service.tell_huge(NODE, "b")
    told = reader.messages[-1].find(f"{{{NS_EVENT}}}event/{{{NS_EVENT}}}items/{{{NS_EVENT}}}item/*")
    assert told is not None
    assert len(told) == 100_000
    reader.service.publish(NODE, "b", "small")
    assert (await reader.items(SERVICE, NODE, ids=["b"])).texts == ["small"]


@pytest.mark.parametrize("stored", [True, False])
async def test_one_notification_holds_many_items(reader: Reader, stored: bool) -> None:
    reader.service.tell_many(NODE, 5_001, stored=stored)
    assert len(reader.messages) == 1
    told = [event.ids[0] for event in reader.heard(SERVICE, NODE)]
    assert len(set(told)) == 5_001
    assert (await reader.ids(SERVICE, NODE))[3:] == (told if stored else [])


async def test_it_refuses_everything_of_a_domain(reader: Reader) -> None:
    for account in ("mallory@evil.example", "marvin@evil.example", "nurse@example.org"):
        reader.service.add_account(account).create(NODE, "a")
    reader.service.refuse_domain("evil.example", "service-unavailable", "cancel")
    for account in ("mallory@evil.example", "marvin@evil.example"):
        assert (await refusal(reader.items(account, NODE))).condition == "service-unavailable"
        assert (await refusal(reader.subscribe(account, NODE))).condition == "service-unavailable"
    assert await reader.ids("nurse@example.org", NODE) == ["a"]


async def test_another_service_is_reached_on_the_same_stream(reader: Reader) -> None:
    reader.service.add_service("pubsub.example.net").create(NODE, "other")
    reader.service.never_answer(NODE)
    assert await reader.ids("pubsub.example.net", NODE) == ["other"]


async def test_it_is_good_again_when_it_is_told_to(reader: Reader) -> None:
    reader.service.never_answer(NODE)
    reader.service.refuse_all()
    reader.service.be_good()
    page = await reader.page(2)
    assert (page.ids, page.rsm is not None and page.rsm.findtext(f"{{{NS_RSM}}}count")) == (["a", "b"], "3")
