"""Oddities of services that the convergence machine found: copies answer as the service does all the same."""

from __future__ import annotations

import asyncio

import pytest

from newsstand.errors import StanzaError
from newsstand.model import Answer, Origin
from newsstand.rules.behaviour import Behaviour
from newsstand.storage.database import Database
from newsstand.sync import evictions
from newsstand.xmpp.transport import Session
from tests.fakes.program import NODE, Program, at_work
from tests.fakes.service import JULIET, SERVICE, SIMPLE, Request, Service
from tests.servers.quirks import Quirk

MISSING = ("i0", "nowhere")


async def read_missing(program: Program, node: str) -> Answer | StanzaError:
    try:
        return await program.replica.get_items(SERVICE, node, item_ids=MISSING)
    except StanzaError as error:
        return error


async def test_a_purge_that_left_items_is_noticed(database: Database) -> None:
    """ejabberd with Mnesia: a node that took a deleted one's place in its tables also has items that no purge takes."""
    service = Service()
    service.create(NODE, "i0", "i1")
    async with at_work(database, service) as program:
        await program.follow()
        left = dict(service.nodes[NODE].items)
        service.purge(NODE)
        service.nodes[NODE].items.update(left)
        await program.serves_live()


async def test_a_new_session_does_not_wait_for_a_node_that_rests(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After a check that news disturbed, a node is left in peace for long: but not across sessions."""
    service = Service()
    service.create(NODE, "i0")
    async with at_work(database, service) as program:
        await program.follow()
        for item_id in ("i1", "i0", "i2"):
            service.publish(NODE, item_id, "shows where items go")
            await program.settled()
        assert program.behaviour(SERVICE).new is Behaviour.LAST
        monkeypatch.setattr(evictions, "CHECK_REST", 1e6)
        hold = service.hold("ids")
        service.publish(NODE, "i3", "new")
        await hold.reached()
        service.publish(NODE, "i4", "in the middle of the check")
        await program.copy().inbox.quiet()
        hold.release()
        await asyncio.sleep(0.1)  # now it rests: nothing tells so
        program.stream.turn(Session.LOST, Session.FRESH)
        await program.serves_live()


async def test_an_order_in_which_lost_news_had_a_part_teaches_nothing(database: Database) -> None:
    """Of all that moved it, one overwrite was not told: it must not look as if new items came first."""
    service = Service(overwritten=Behaviour.LAST)
    service.create(NODE, "a")
    async with at_work(database, service) as program:
        await program.follow()
        service.publish(NODE, "b", "new")
        await program.copy().inbox.quiet()
        service.publish(NODE, "a", "overwritten", told=False)
        await program.replica.synchronise(SERVICE, NODE)
        await program.serves_live()
        assert program.behaviour(SERVICE).new is not Behaviour.FIRST
        service.publish(NODE, "d", "new")
        await program.serves_live()


async def test_a_silent_retract_does_not_make_an_item_look_moved(database: Database) -> None:
    """The item came back as a new one; one that is overwritten stays where it is."""
    service = Service(quirks=SIMPLE | {Quirk.OVERWRITE_STAYS})
    service.create(NODE, "a", "b", "c", "d", "e")
    async with at_work(database, service) as program:
        await program.follow()
        service.retract(NODE, "a", told=False)
        service.publish(NODE, "a", "back again")
        await program.serves_live()
        assert program.behaviour(SERVICE).overwritten is Behaviour.UNKNOWN
        for item_id in ("c", "d"):
            service.publish(NODE, item_id, "overwritten")
            await program.serves_live()
        assert program.behaviour(SERVICE).overwritten is Behaviour.STAYS


async def learn_wrongly(program: Program) -> None:
    """Two items that were retracted untold and published again: as if what is overwritten moved."""
    for item_id in ("a", "b"):
        program.service.retract(NODE, item_id, told=False)
        program.service.publish(NODE, item_id, "back again")
        await program.replica.synchronise(SERVICE, NODE)
    assert program.behaviour(SERVICE).overwritten is Behaviour.LAST


async def test_what_was_learnt_wrongly_is_noticed(database: Database) -> None:
    service = Service(quirks=SIMPLE | {Quirk.OVERWRITE_STAYS})
    service.create(NODE, "a", "b", "c", "d")
    async with at_work(database, service) as program:
        await program.follow()
        await learn_wrongly(program)
        for item_id in ("c", "d"):
            service.publish(NODE, item_id, "overwritten")
            await program.settled()
            await program.replica.synchronise(SERVICE, NODE)
        assert program.behaviour(SERVICE).overwritten is Behaviour.VARIES
        service.publish(NODE, "c", "once more")
        await program.serves_live()


async def test_a_check_of_the_ids_does_not_hide_what_was_learnt_wrongly(database: Database) -> None:
    """Where disco#items is refused, it compares no order: the copy's own says what was learnt."""
    service = Service(quirks=SIMPLE | {Quirk.OVERWRITE_STAYS})
    service.refuse("ids", "forbidden", "auth")
    service.create(NODE, "a", "b", "c", "d", "e", "f")
    async with at_work(database, service) as program:
        await program.follow()
        await learn_wrongly(program)
        for close_together in ("cd", "ef"):
            for item_id in close_together:
                service.publish(NODE, item_id, "overwritten")
            await program.settled()
            await program.replica.synchronise(SERVICE, NODE)
        assert program.behaviour(SERVICE).overwritten is Behaviour.VARIES


async def test_a_node_that_changed_untold_while_it_was_probed_teaches_nothing(database: Database) -> None:
    """Asked for the last item and the first, a service that answers in the node's order seems to answer in the
    request's, where the two have changed places meanwhile."""
    service = Service(quirks=SIMPLE | {Quirk.IDS_IN_NODE_ORDER, Quirk.OVERWRITE_STAYS})
    service.create(NODE, "a", "b", "c")

    def change_places(request: Request) -> int:
        if request.kind == "items" and len(request.action) > 1 and list(service.nodes[NODE].items) == ["a", "b", "c"]:
            for item_id in ("a", "b"):
                text = service.nodes[NODE].items[item_id]
                service.retract(NODE, item_id, told=False)
                service.publish(NODE, item_id, text, told=False)
        return 0

    service.before = change_places
    async with at_work(database, service) as program:
        await program.follow()
        assert program.behaviour(SERVICE).several_ids is not Behaviour.REQUEST_ORDER
        assert list(service.nodes[NODE].items) == ["c", "a", "b"]
        answer = await program.replica.get_items(SERVICE, NODE, item_ids=("b", "c"))
        assert [item.id for item in answer.items] == ["c", "b"]


async def test_a_missing_id_is_skipped_at_one_node_and_refused_at_another(database: Database) -> None:
    """Libervia Pubsub refuses it to a node's owners."""
    service = Service(quirks=frozenset({Quirk.NO_RSM, Quirk.MISSING_ID_REFUSED_TO_OWNER}))
    for node in (NODE, "own"):
        service.create(node, "i0", "i1")
    service.nodes["own"].affiliations[JULIET] = "owner"
    async with at_work(database, service) as program:
        await program.follow()
        await program.follow("own")
        assert program.behaviour(SERVICE).missing_id is Behaviour.SKIPPED
        assert isinstance(await read_missing(program, "own"), StanzaError)


async def test_once_the_service_skipped_it_the_copy_skips_it_too(database: Database) -> None:
    service = Service()
    service.create(NODE, "i0", "i1")
    async with at_work(database, service) as program:
        await program.follow()
        origins = []
        for _ in range(2):
            answer = await read_missing(program, NODE)
            assert isinstance(answer, Answer)
            assert [item.id for item in answer.items] == ["i0"]
            origins.append(answer.origin)
        assert origins == [Origin.SERVICE, Origin.COPY]
