"""The fake service does wrong what it is told to, and nothing else."""

from __future__ import annotations

from xml.etree.ElementTree import Element

import pytest

from newsstand.errors import Disconnected, StanzaError
from newsstand.xmpp.transport import Session
from tests.fakes.service import JULIET, Service, Stream
from tests.servers.entities import Entity, refusal

NODE = "blog"


class Reader(Entity):
    """Juliet, subscribed to a node of three items."""

    def __init__(self) -> None:
        self.service = Service(quirks=frozenset())
        self.service.create(NODE, "a", "b", "c").subscribers.add(JULIET)
        stream = Stream(self.service)
        stream.turn(Session.FRESH)
        super().__init__(stream, self.never, stream.cut)

    async def never(self) -> None:
        raise AssertionError

    @property
    def told(self) -> list[str]:
        return [event.ids[0] for event in self.heard(self.service.jid, NODE)]

    def publish_all(self, *ids: str) -> None:
        for item_id in ids:
            self.service.publish(NODE, item_id, f"text {item_id}")


@pytest.fixture
async def reader() -> Reader:
    return Reader()


async def test_by_itself_it_does_nothing_wrong(reader: Reader) -> None:
    reader.publish_all("d", "e")
    assert reader.told == ["d", "e"]
    assert (await reader.items(reader.service.jid, NODE, page=2)).ids == ["a", "b"]


async def test_it_drops_notifications(reader: Reader) -> None:
    reader.service.mischief.drop(2)
    reader.publish_all("d", "e", "f")
    assert reader.told == ["f"]


async def test_it_doubles_notifications(reader: Reader) -> None:
    reader.service.mischief.double()
    reader.publish_all("d")
    assert reader.told == ["d", "d"]


async def test_it_holds_notifications_until_it_is_stopped(reader: Reader) -> None:
    reader.service.mischief.hold()
    reader.publish_all("d", "e")
    assert reader.told == []
    reader.service.mischief.stop()
    reader.publish_all("f")
    assert reader.told == ["d", "e", "f"]


async def test_it_reorders_notifications(reader: Reader) -> None:
    reader.service.mischief.reorder(2)
    reader.publish_all("d", "e", "f")
    assert reader.told == ["e", "d", "f"]


async def test_it_strips_payloads(reader: Reader) -> None:
    reader.service.mischief.strip_payloads()
    reader.publish_all("d")
    assert reader.told == ["d"]
    assert [event.texts for event in reader.heard(reader.service.jid, NODE)] == [("",)]
    assert (await reader.items(reader.service.jid, NODE, ids=["d"])).texts == ["text d"]


async def test_it_cuts_the_stream_in_place_of_an_answer(reader: Reader) -> None:
    reader.service.mischief.cut("items")
    with pytest.raises(Disconnected):
        await reader.items(reader.service.jid, NODE)
    assert reader.service.counted("items") == 1


async def test_it_refuses_and_leaves_without_an_answer(reader: Reader) -> None:
    reader.service.refuse("items", "resource-constraint", "wait")
    error = await refusal(reader.items(reader.service.jid, NODE))
    assert isinstance(error, StanzaError)
    assert (error.type, error.condition) == ("wait", "resource-constraint")
    reader.service.allow("items")
    assert (await reader.items(reader.service.jid, NODE)).ids == ["a", "b", "c"]


async def test_its_pages_lead_in_a_circle(reader: Reader) -> None:
    reader.service.mischief.loop_pages()
    first = await reader.items(reader.service.jid, NODE, page=3)
    second = await reader.items(reader.service.jid, NODE, page=3, after=first.last)
    assert first.ids == second.ids
    assert first.count is not None
    assert first.count > len(first.ids)


async def test_its_pages_have_no_end(reader: Reader) -> None:
    reader.service.mischief.pages_without_end()
    seen: set[str] = set()
    last = None
    for _ in range(10):
        page = await reader.items(reader.service.jid, NODE, page=3, after=last)
        assert not seen & set(page.ids)
        seen |= set(page.ids)
        last = page.last
    assert reader.service.mischief.pages == 10


async def test_it_shortens_listings(reader: Reader) -> None:
    reader.service.mischief.shorten()
    assert (await reader.items(reader.service.jid, NODE)).ids == ["a"]
    assert (await reader.items(reader.service.jid, NODE)).ids == ["a", "b", "c"]


async def test_it_shortens_listings_on_all_their_pages(reader: Reader) -> None:
    reader.service.mischief.shorten(left=2)
    first = await reader.items(reader.service.jid, NODE, page=1)
    second = await reader.items(reader.service.jid, NODE, page=1, after=first.last)
    assert (first.ids, first.count, second.ids, second.count) == (["a"], 2, ["b"], 2)
    first = await reader.items(reader.service.jid, NODE, page=2)
    second = await reader.items(reader.service.jid, NODE, page=2, after=first.last)
    assert (first.ids, first.count, second.ids, second.count) == (["a", "b"], 3, ["c"], 3)


async def test_a_component_has_the_accounts_of_its_domain(reader: Reader) -> None:
    gateway = Stream(reader.service, "gateway.example.org", is_component=True)
    gateway.turn(Session.FRESH)
    reader.service.nodes[NODE].subscribers |= {"one@gateway.example.org", "two@gateway.example.org"}
    heard: list[Element] = []
    gateway.on_message(heard.append)
    reader.publish_all("d")
    assert {message.get("to", "").partition("/")[0] for message in heard} == {
        "one@gateway.example.org",
        "two@gateway.example.org",
    }
