"""After a gap: which items there are is found out first, by the ids; the contents after that, one large node at a time.
What the program's own reads show on the way is kept."""

from __future__ import annotations

import pytest

from newsstand import Analyser
from newsstand.errors import NotInCopy
from newsstand.model import NS_RSM, ItemsRequest, NodeKey, Origin, Policy, SyncState
from newsstand.rules.behaviour import Behaviour
from newsstand.serving.steps import Ask, Served
from newsstand.storage.database import Database
from newsstand.xmpp.transport import Session
from tests.fakes.hold import Hold
from tests.fakes.program import NODE, Program, at_work, contents
from tests.fakes.requests import Request
from tests.fakes.service import JULIET, NOTE, SERVICE, Service
from tests.servers.quirks import Quirk

ITEMS = tuple(f"i{number}" for number in range(12))
PAGE = 4
"""Items above which a node is large here."""
QUIRKS = [
    frozenset({Quirk.NO_RSM, Quirk.DISCO_NEWEST_FIRST}),
    frozenset({Quirk.OVERWRITE_STAYS, Quirk.OPAQUE_CURSORS}),
    frozenset({Quirk.MISSING_ID_REFUSED_TO_OWNER, Quirk.PUBLISHER_SHOWN}),
]


@pytest.fixture(params=QUIRKS, ids=lambda quirks: sorted(quirks)[0])
def service(request: pytest.FixtureRequest) -> Service:
    service = Service(quirks=request.param)
    service.create(NODE, *ITEMS)
    return service


async def held(program: Program, node: str = NODE) -> list[str]:
    """What the copy holds, live or not."""
    answer = await program.replica.get_items(SERVICE, node, policy=Policy.ONLY_COPY)
    return [item.id for item in answer.items]


async def back_to_listing(program: Program, service: Service) -> Hold:
    """A fresh session, up to where the contents are asked for."""
    listing = service.hold("items")
    program.stream.turn(Session.FRESH)
    await listing.reached()
    return listing


async def test_what_went_is_out_of_the_copy_before_the_contents_are_listed(
    database: Database, service: Service
) -> None:
    async with at_work(database, service, page_size=PAGE) as program:
        await program.follow()
        program.stream.turn(Session.LOST)
        service.retract(NODE, "i3", told=False)
        service.retract(NODE, "i7", told=False)
        listing = await back_to_listing(program, service)
        assert await held(program) == [id_ for id_ in ITEMS if id_ not in ("i3", "i7")]
        assert program.copy().record.state is not SyncState.LIVE, "contents may differ"
        assert await program.served_live() is None
        listing.release()
        await program.serves_live()


async def test_what_came_is_fetched_before_the_contents_are_listed(database: Database, service: Service) -> None:
    async with at_work(database, service, page_size=PAGE) as program:
        await program.follow()
        for id_ in ("i9", "i8"):  # that shows where overwritten items go
            service.publish(NODE, id_, "seen")
            await program.serves_live()
        program.stream.turn(Session.LOST)
        service.publish(NODE, "new", "while away", told=False)
        service.publish(NODE, "newer", "while away", told=False)
        moved = (
            service.overwritten is Behaviour.LAST and program.behaviour(SERVICE).disco_order is not Behaviour.UNKNOWN
        )
        service.publish(NODE, "i2", "rewritten", told=False)
        listed = service.counted("items")
        program.stream.turn(Session.FRESH)
        await program.settled()
        by_id = [r.action for r in service.requests if r.kind == "items" and len(r.action)]
        asked = {item.get("id") for action in by_id for item in action}
        assert {"new", "newer"} <= asked
        assert ("i2" in asked) is moved
        assert service.counted("items") > listed
        await program.serves_live()


async def test_a_list_of_ids_that_is_suddenly_much_shorter_is_not_believed_at_once(
    database: Database, service: Service
) -> None:
    async with at_work(database, service, page_size=PAGE) as program:
        await program.follow()
        program.stream.turn(Session.LOST)
        there = dict(service.nodes[NODE].items)
        asked = service.counted("ids")

        def forget_half(request: object) -> int:
            node = service.nodes[NODE]
            node.items.clear()
            node.items.update(there)
            if service.counted("ids") == asked + 1:  # the first list only
                for id_ in ITEMS[:6]:
                    del node.items[id_]
            return 0

        service.before = forget_half
        listing = await back_to_listing(program, service)
        assert await held(program) == list(ITEMS)
        assert service.counted("ids") == asked + 2
        listing.release()
        await program.serves_live()


async def test_a_small_node_is_listed_straight_away(database: Database, service: Service) -> None:
    service.create("small", "a", "b")
    async with at_work(database, service, page_size=PAGE) as program:
        await program.follow("small")
        asked = service.counted("ids")
        program.stream.turn(Session.LOST)
        program.stream.turn(Session.FRESH)
        await program.serves_live("small")
        assert service.counted("ids") - asked <= 1


async def test_large_nodes_are_listed_one_at_a_time_and_small_ones_meanwhile(
    database: Database, service: Service
) -> None:
    names = [f"large{number}" for number in range(3)]
    for name in names:
        service.create(name, *ITEMS)
    service.create("small", "a", "b")
    async with at_work(database, service, page_size=PAGE) as program:
        for name in (*names, "small"):
            await program.follow(name)
        program.stream.turn(Session.LOST)
        under_way: set[str] = set()
        most = 0

        def begun(request: object) -> int:
            nonlocal most
            copies = [program.copy(name) for name in names]
            under_way.clear()
            under_way.update(copy.key.node for copy in copies if copy.listing.under_way)
            most = max(most, len(under_way))
            return 3

        service.before = begun
        program.stream.turn(Session.FRESH)
        await program.serves_live("small")
        for name in names:
            await program.serves_live(name)
        assert most == 1


async def test_unchanged_items_are_not_written_again(database: Database, service: Service) -> None:
    async with at_work(database, service, page_size=PAGE) as program:
        await program.follow()
        before = program.copy().record.revision
        program.stream.turn(Session.LOST)
        program.stream.turn(Session.FRESH)
        await program.serves_live()
        assert program.copy().record.revision == before


async def test_what_a_passing_read_shows_is_in_the_copy_for_whoever_is_offline_next(
    database: Database, service: Service
) -> None:
    async with at_work(database, service, page_size=PAGE) as program:
        await program.follow()
        program.stream.turn(Session.LOST)
        service.publish(NODE, "i5", "rewritten", told=False)
        service.refuse("subscribe", "resource-constraint", "wait")  # it cannot be followed for now
        program.stream.turn(Session.FRESH)
        await program.settled()
        assert program.copy().record.state is SyncState.FAILED
        answer = await program.replica.get_items(SERVICE, NODE, item_ids=("i5",))
        assert contents(answer) == [("i5", "rewritten")]
        await program.settled()
        request = ItemsRequest(NodeKey(JULIET, SERVICE, NODE), ("i5",))
        assert isinstance(await program.comes_to(request), Ask)
        assert isinstance(await program.comes_to(request, max_age=60), Served), "it was seen a moment ago"
        program.stream.turn(Session.LOST)
        stale = await program.replica.get_items(SERVICE, NODE, item_ids=("i5",))
        assert (contents(stale), stale.stale) == ([("i5", "rewritten")], True)


async def test_a_node_that_cannot_be_listed_is_partial_and_only_the_copy_says_so(
    database: Database, service: Service
) -> None:
    async with at_work(database, service, page_size=PAGE, max_items=5) as program:
        assert len((await program.read()).items) == len(ITEMS)
        await program.settled()
        assert program.copy().record.state is SyncState.FAILED
        with pytest.raises(NotInCopy):
            await program.replica.get_items(SERVICE, NODE, policy=Policy.ONLY_COPY)
        await program.replica.get_items(SERVICE, NODE, item_ids=("i1", "i2"))
        await program.settled()
        part = await program.replica.get_items(SERVICE, NODE, policy=Policy.ONLY_COPY)
        assert [item.id for item in part.items] == ["i1", "i2"]
        assert (part.complete, part.stale) == (False, True)
        await program.asks_service()


@pytest.mark.parametrize("news", [False, True])
async def test_a_listing_that_is_interrupted_goes_on_where_it_was_if_the_session_is_resumed(
    database: Database, news: bool
) -> None:
    service = Service(quirks=frozenset({Quirk.OVERWRITE_STAYS, Quirk.OPAQUE_CURSORS}))
    service.create(NODE, *ITEMS)
    async with at_work(database, service, page_size=PAGE) as program:
        await read_until_cut(program, page=3)
        assert not program.copy().record.complete
        assert program.copy().listing.pages is not None
        if news:  # it came over the resumed stream, between two pages
            service.mischief.hold()
            service.publish(NODE, "i0", "rewritten")
        before = len(service.requests)
        program.stream.turn(Session.RESUMED)
        service.mischief.stop()
        await program.serves_live()
        pages = [request.rsm for request in service.requests[before:] if request.rsm is not None]
        firsts = [rsm for rsm in pages if rsm.find(f"{{{NS_RSM}}}after") is None]
        assert pages[0] not in firsts, "it goes on where it was"
        # The last time it is looked whether the node is still in that order, when the service's behaviour was learnt.
        assert len(firsts) == (2 if news else 1), "what was disturbed is listed anew, what was not is not"


async def test_a_listing_that_is_interrupted_begins_anew_in_a_fresh_session(database: Database) -> None:
    service = Service(quirks=frozenset({Quirk.OVERWRITE_STAYS, Quirk.OPAQUE_CURSORS}))
    service.create(NODE, *ITEMS)
    async with at_work(database, service, page_size=PAGE) as program:
        await read_until_cut(program, page=2)
        service.publish(NODE, "i0", "rewritten while away", told=False)
        program.stream.turn(Session.FRESH)
        await program.serves_live()


async def read_until_cut(program: Program, *, page: int) -> None:
    """Read the node; the stream ends when this page of its listing is asked for."""
    pages = 0

    def count(request: Request) -> int:
        nonlocal pages
        pages += request.rsm is not None
        if request.rsm is not None and pages == page:
            program.service.mischief.cut("items")
        return 0

    program.service.before = count
    await program.read()
    await program.settled()
    assert pages == page


async def test_a_whole_answer_to_a_passing_read_is_in_the_service_s_order(database: Database, service: Service) -> None:
    async with at_work(database, service, page_size=PAGE) as program:
        await program.follow()
        program.stream.turn(Session.LOST)
        service.publish(NODE, "i5", "rewritten", told=False)
        service.publish(NODE, "new", "came", told=False)
        service.refuse("subscribe", "resource-constraint", "wait")
        program.stream.turn(Session.FRESH)
        await program.settled()
        await program.read()
        await program.settled()
        aged = await program.replica.get_items(SERVICE, NODE, max_age=60)
        assert (aged.origin, contents(aged)) == (Origin.COPY, service.contents(NODE))
        assert program.copy().record.state is SyncState.FAILED


async def test_no_program_is_served_with_a_part_by_an_analyser_s_policy(database: Database, service: Service) -> None:
    only_copy = Analyser("notes", "notes", namespace=NOTE, to_sync=True, policy=Policy.ONLY_COPY)
    async with at_work(database, service, analysers=(only_copy,), page_size=PAGE, max_items=5) as program:
        await program.replica.get_items(SERVICE, NODE, item_ids=("i1", "i2"), policy=Policy.ONLY_SERVICE)
        await program.settled()
        await program.replica.get_items(SERVICE, NODE, item_ids=("i1", "i2"), policy=Policy.ONLY_SERVICE)
        await program.settled()
        assert program.copy().record.item_count == 2
        assert isinstance(await program.comes_to(ItemsRequest(NodeKey(JULIET, SERVICE, NODE))), Ask)
        with pytest.raises(NotInCopy):
            await program.replica.get_items(SERVICE, NODE)


async def test_many_evictions_at_once_are_believed_when_they_are_seen_twice(database: Database) -> None:
    service = Service()
    service.create(NODE, *ITEMS)
    async with at_work(database, service) as program:
        await program.follow()
        service.publish(NODE, "new", "shows where a new item goes")
        await program.serves_live()
        asked, hidden = service.counted("ids"), dict(service.nodes[NODE].items)

        def hide_half_once(request: Request) -> int:
            node = service.nodes[NODE]
            if request.kind == "ids" and service.counted("ids") == asked + 1:
                hidden.update(node.items)
                for id_ in ITEMS[:6]:
                    del node.items[id_]
            elif len(node.items) < len(hidden):
                node.items.clear()
                node.items.update(hidden)
            return 0

        service.before = hide_half_once
        service.publish(NODE, "newer", "may have evicted something")
        await program.settled()
        assert service.counted("ids") > asked + 1
        assert await held(program) == [*ITEMS, "new", "newer"]
        await program.serves_live()
