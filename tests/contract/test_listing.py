"""A node is listed by what its service can do: by pages (XEP-0059), or its ids and then the items in batches."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal
from xml.etree.ElementTree import Element, SubElement

import pytest

from newsstand.analysis.analysers import Analysers
from newsstand.config import Settings
from newsstand.engine import Engine
from newsstand.errors import ListingError, NodeTooLarge, NotListable, StanzaError, Timeout
from newsstand.model import NS_DISCO_ITEMS, NS_PUBSUB, NS_RSM, NodeKey, Provenance
from newsstand.rules.batch_sizes import LARGE, BatchSizes
from newsstand.rules.behaviour import Behaviour, ServiceBehaviour
from newsstand.state.pages import Pages
from newsstand.storage.database import Database
from newsstand.sync import listing
from newsstand.xmpp.transport import Session

KEY = NodeKey("juliet@example.org", "pubsub.example.org", "blog")
IDS = [f"i{number}" for number in range(45)]


LONG = "x" * (LARGE // 10)


class PagingService:
    """Answers by pages of at most `most` items; `whole=False`: only what asks for ids is ever answered. An answer of
    more than `limit` items never arrives."""

    own_jid = KEY.account
    is_component = False

    def __init__(
        self,
        *,
        count: int = len(IDS),
        whole: bool = True,
        stuck: bool = False,
        limit: int = 1000,
        text: str = "",
        named: Sequence[str] = IDS,
        gone: str = "",
        nameless: bool = False,
    ) -> None:
        self.count, self.whole, self.stuck, self.limit, self.text = count, whole, stuck, limit, text
        self.named, self.gone, self.nameless = named, gone, nameless
        self.refused = 0
        self.asked: list[int] = []
        self.lost: list[int] = []

    async def iq(
        self,
        type: Literal["get", "set"],
        to: str,
        payload: Element,
        *,
        ifrom: str | None = None,
        timeout: float | None = None,
        on_answer: Callable[[], None] | None = None,
    ) -> Element:
        result = Element("iq", {"from": to})
        if payload.tag == f"{{{NS_DISCO_ITEMS}}}query":
            query = SubElement(result, payload.tag)
            for item_id in reversed(self.named):
                SubElement(query, f"{{{NS_DISCO_ITEMS}}}item", {"name": item_id})
            return result
        wanted = [item.attrib["id"] for item in payload[0]]
        if self.gone in wanted:
            raise StanzaError("cancel", "item-not-found")
        if not wanted and not self.whole:
            self.refused += 1
            raise Timeout("too large to arrive")
        self._answer(SubElement(result, f"{{{NS_PUBSUB}}}pubsub"), payload, wanted)
        if self.asked[-1] > self.limit:
            self.lost.append(self.asked.pop())
            raise Timeout("too large to arrive")
        return result

    def _answer(self, pubsub: Element, payload: Element, wanted: list[str]) -> None:
        items = SubElement(pubsub, f"{{{NS_PUBSUB}}}items", {"node": KEY.node})
        chosen = wanted
        if not wanted:
            size = int(payload[1].findtext(f"{{{NS_RSM}}}max") or 0)
            after = payload[1].findtext(f"{{{NS_RSM}}}after")
            start = IDS.index(after) + 1 if after is not None and not self.stuck else 0
            chosen = IDS[start : start + size]
            rsm = SubElement(pubsub, f"{{{NS_RSM}}}set")
            SubElement(rsm, f"{{{NS_RSM}}}count").text = str(self.count)
            if chosen:
                SubElement(rsm, f"{{{NS_RSM}}}last").text = chosen[-1]
        self.asked.append(len(chosen))
        for item_id in chosen:
            item = SubElement(items, f"{{{NS_PUBSUB}}}item", {} if self.nameless else {"id": item_id})
            SubElement(item, "{urn:example:note}note").text = self.text

    def deliver(self, message: Element, made_of: Provenance) -> None: ...

    def on_message(self, listener: Callable[[Element], None]) -> None: ...

    def on_session(self, listener: Callable[[Session], None]) -> None: ...


async def list_node(
    database: Database,
    service: PagingService,
    behaviour: ServiceBehaviour,
    pages: Pages | None = None,
    on_begin: Callable[[], None] | None = None,
    max_items: int = 1000,
) -> listing.Listed:
    settings = Settings(page_size=20, max_items=max_items)
    context = Engine(database, service, Analysers(), settings, only_when_asked=True).context
    return await listing.download(context, KEY, behaviour, on_begin=on_begin, pages=pages)


async def test_every_page_is_asked_for_and_counted(database: Database) -> None:
    service = PagingService()
    listed = await list_node(database, service, ServiceBehaviour())
    assert (listed.items.ids, listed.paged, listed.behaviour.paging) == (IDS, True, Behaviour.HONOURED)
    assert service.asked == [20, 20, 5]


@pytest.mark.parametrize("count", [44, 46, 90])
async def test_pages_that_are_not_as_many_items_as_they_count_are_not_believed(database: Database, count: int) -> None:
    with pytest.raises(ListingError):
        await list_node(database, PagingService(count=count), ServiceBehaviour())


async def test_pages_that_begin_anew_are_not_believed(database: Database) -> None:
    service = PagingService(stuck=True)
    with pytest.raises(ListingError, match="twice"):
        await list_node(database, service, ServiceBehaviour())
    assert service.asked == [20, 20], "the second page shows it"


async def test_a_node_that_counts_more_than_the_limit_is_not_asked_for_more(database: Database) -> None:
    service = PagingService()
    with pytest.raises(NodeTooLarge) as raised:
        await list_node(database, service, ServiceBehaviour(), max_items=len(IDS) - 1)
    assert (raised.value.setting, raised.value.found) == ("max_items", len(IDS))
    assert service.asked == [20], "the first page counts them"


async def test_a_node_that_names_more_ids_than_the_limit_is_not_asked_for_them(database: Database) -> None:
    service = PagingService(whole=False)
    with pytest.raises(NodeTooLarge):
        await list_node(database, service, ServiceBehaviour(disco_order=Behaviour.REVERSED), max_items=len(IDS) - 1)
    assert service.asked == []


async def test_a_node_as_large_as_the_limit_is_listed(database: Database) -> None:
    assert (await list_node(database, PagingService(), ServiceBehaviour(), max_items=len(IDS))).items.ids == IDS


async def test_an_item_without_an_id_ends_the_listing_at_once(database: Database) -> None:
    service = PagingService(nameless=True)
    with pytest.raises(NotListable, match="without an id"):
        await list_node(database, service, ServiceBehaviour())
    assert service.asked == [20]


async def test_an_answer_too_large_to_arrive_is_asked_for_in_batches_of_ids(database: Database) -> None:
    service = PagingService(whole=False)
    listed = await list_node(database, service, ServiceBehaviour(disco_order=Behaviour.REVERSED))
    assert listed.items.ids == IDS
    assert service.asked == [20, 20, 5]


async def test_a_page_too_large_to_arrive_is_asked_for_again_smaller(database: Database) -> None:
    service = PagingService(limit=12, text=LONG)
    listed = await list_node(database, service, ServiceBehaviour())
    assert (listed.items.ids, listed.paged) == (IDS, True)
    assert (service.lost, service.asked) == ([20], [1, 9, 9, 9, 9, 8])


async def test_a_page_that_was_not_too_large_is_tried_once_more(database: Database) -> None:
    service = PagingService(limit=12)
    assert (await list_node(database, service, ServiceBehaviour())).items.ids == IDS
    assert (service.lost, service.asked) == ([20, 20], [1, 1, 10, 10, 10, 10, 3])


async def test_where_small_pages_do_not_arrive_either_batches_of_ids_may(database: Database) -> None:
    service = PagingService(whole=False, limit=12, text=LONG)
    listed = await list_node(database, service, ServiceBehaviour(disco_order=Behaviour.REVERSED))
    assert (listed.items.ids, service.lost, service.asked) == (IDS, [20], [1, 9, 9, 9, 9, 8])


async def test_what_arrives_of_a_node_is_remembered(database: Database) -> None:
    service, pages = PagingService(limit=12, text=LONG), Pages(BatchSizes(20))
    await list_node(database, service, ServiceBehaviour(), pages)
    service.lost.clear()
    listed = await list_node(database, service, ServiceBehaviour(), Pages(pages.batch_sizes))
    assert (listed.items.ids, service.lost) == (IDS, [])


async def test_a_node_that_only_arrives_by_ids_is_listed_by_them_again(database: Database) -> None:
    service, pages, behaviour = (
        PagingService(whole=False, text=LONG),
        Pages(BatchSizes(20)),
        ServiceBehaviour(disco_order=Behaviour.REVERSED),
    )
    await list_node(database, service, behaviour, pages)
    tried = service.refused
    assert tried
    assert (await list_node(database, service, behaviour, Pages(pages.batch_sizes))).items.ids == IDS
    assert service.refused == tried


async def test_each_first_request_begins_anew(database: Database) -> None:
    """What came until then is in its answer, and not only what came before one that was lost."""
    service = PagingService(limit=12, text=LONG)
    asked: list[tuple[int, int]] = []
    await list_node(
        database, service, ServiceBehaviour(), on_begin=lambda: asked.append((len(service.lost), len(service.asked)))
    )
    assert asked == [(0, 0), (1, 0)]


async def test_ids_that_are_named_twice_are_not_believed(database: Database) -> None:
    service = PagingService(whole=False, named=[*IDS, IDS[3]])
    with pytest.raises(ListingError, match="twice"):
        await list_node(database, service, ServiceBehaviour(disco_order=Behaviour.REVERSED))


async def test_an_item_that_went_while_the_ids_were_asked_for_is_not_the_node_that_went(database: Database) -> None:
    service, pages = PagingService(whole=False, gone=IDS[30]), Pages(BatchSizes(20))
    pages.batch_sizes.by_ids = True
    with pytest.raises(ListingError, match="went"):
        await list_node(database, service, ServiceBehaviour(disco_order=Behaviour.REVERSED), pages)
    assert not pages.batch_sizes.by_ids, "the whole may do"


async def test_a_service_that_is_known_to_have_pages_is_asked_for_pages(database: Database) -> None:
    """Once the ids did where it gave nothing; but it had only been away."""
    service, pages = PagingService(text=LONG), Pages(BatchSizes(20))
    pages.batch_sizes.by_ids = True
    listed = await list_node(
        database, service, ServiceBehaviour(disco_order=Behaviour.REVERSED, paging=Behaviour.HONOURED), pages
    )
    assert (listed.items.ids, service.asked) == (IDS, [20, 20, 5])


async def test_where_the_order_of_ids_is_not_known_an_answer_that_does_not_arrive_stays_one(database: Database) -> None:
    with pytest.raises(Timeout):
        await list_node(database, PagingService(whole=False), ServiceBehaviour())
