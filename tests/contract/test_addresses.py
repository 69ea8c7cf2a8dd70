"""However a JID is spelt, it is the same service, the same account, and the same copy."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from xml.etree.ElementTree import Element, SubElement

import pytest
from sqlalchemy import select, update

from newsstand import Replica
from newsstand.config import Settings
from newsstand.errors import NotInCopy
from newsstand.model import NS_PUBSUB, NodeKey, Origin, Policy, SyncState
from newsstand.rules.behaviour import Behaviour, ServiceBehaviour
from newsstand.rules.doubts import Chores
from newsstand.state.doubts import due
from newsstand.storage.database import Database
from newsstand.storage.mapping import Account, PubsubNode, table
from newsstand.storage.mapping import Service as StoredService
from newsstand.storage.statements import nodes
from newsstand.xmpp.requests import read_request
from newsstand.xmpp.transport import Session
from tests.contract._storage import apply, make_node, put
from tests.fakes.program import NODE, NOTES, Program, at_work, contents
from tests.fakes.service import JULIET, SERVICE, Service, Stream

SPELLINGS = {"from_": "PUBSUB.EXAMPLE.ORG", "to": "Juliet@Example.org/Balcony", "jid": "JULIET@Example.ORG."}
NAMES = ["PubSub.Example.org", "PUBSUB.EXAMPLE.ORG", "pubsub.example.org."]


@pytest.fixture
def service() -> Service:
    """With a node of three items."""
    service = Service()
    service.create(NODE, "a", "b", "c")
    return service


@pytest.fixture
async def program(database: Database, service: Service) -> AsyncIterator[Program]:
    """It follows the node."""
    async with at_work(database, service, retry_first=30.0) as program:
        await program.follow()
        yield program


# What comes ----------------------------------------------------------------------------------------------------


async def test_news_count_however_the_service_and_the_account_are_spelt(program: Program) -> None:
    program.service.mischief.spell(**SPELLINGS)
    program.service.publish(NODE, "new", "text")
    program.service.retract(NODE, "b")
    program.service.publish(NODE, "a", "other text")
    await program.settled()
    assert await program.served_live() == program.service.contents(NODE)


@pytest.mark.parametrize("to", ["Juliet@Example.org", "JULIET@EXAMPLE.ORG/balcony", "ｊuliet@example.org."])
@pytest.mark.parametrize("sender", ["PUBSUB.EXAMPLE.ORG", "Pubsub.example.org."])
async def test_a_node_that_is_deleted_is_not_served_however_that_is_told(
    program: Program, sender: str, to: str
) -> None:
    program.service.mischief.spell(from_=sender, to=to)
    program.service.delete(NODE)
    assert await program.served_live() is None
    await program.settled()
    assert program.copy().record.state is SyncState.GONE


async def test_the_end_of_a_subscription_counts_however_the_account_is_spelt(program: Program) -> None:
    program.service.mischief.spell(**SPELLINGS)
    program.service.end_subscription(NODE)
    program.service.publish(NODE, "new", "text")
    await program.serves_live()
    assert program.service.is_subscribed(NODE)


@pytest.mark.parametrize(
    ("sender", "to"),
    [
        ("pubsub.example.org ", JULIET),
        ("pubsub.example.org..", JULIET),
        ("pubsub．example．org", JULIET),
        ("рubsub.example.org", JULIET),  # begins with a Cyrillic letter
        (SERVICE, "julıet@example.org"),
        (SERVICE, "juliet@exampleß.org"),
        (SERVICE, "juliet＠example.org"),
    ],
)
async def test_who_only_looks_alike_changes_nothing(program: Program, sender: str, to: str) -> None:
    program.service.mischief.spell(from_=sender, to=to)
    before = program.copy().inbox.received
    program.service.purge(NODE)
    await program.settled()
    assert program.copy().inbox.received == before
    assert len(await program.served_live() or []) == 3


async def test_a_service_that_answers_in_another_spelling_is_followed(database: Database, service: Service) -> None:
    service.mischief.spell(**SPELLINGS)
    async with at_work(database, service) as program:
        await program.follow()
        service.publish(NODE, "new", "text")
        await program.serves_live()
        due(program.copy(), Chores(confirm=True))
        program.replica._open.synchroniser.want(program.copy())
        await program.serves_live()
        assert service.is_subscribed(NODE)
        assert service.counted("subscribe") == 1  # it named the subscription, so it was not made again


# What a program asks -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", NAMES)
async def test_the_public_verbs_take_every_spelling(program: Program, name: str) -> None:
    replica, account = program.replica, "Juliet@EXAMPLE.org"
    answer = await replica.get_items(name, NODE, account=account)
    assert (answer.origin, answer.stale) == (Origin.COPY, False)
    assert (await replica.synchronise(name, NODE, account=account)).key == NodeKey(JULIET, SERVICE, NODE)
    assert (await replica.verify(name, NODE, account=account)).equal
    assert (await replica.search(service=name, account=account)).total == 3
    changes = replica.watch(name, NODE, account=account)
    program.service.publish(NODE, "new", "text")
    assert (await anext(changes)).item_id == "new"
    assert [record.key for record in replica.nodes()] == [NodeKey(JULIET, SERVICE, NODE)]
    await replica.purge(name, NODE, account=account)
    assert replica.nodes() == []


async def test_reset_takes_every_spelling_of_an_account(program: Program) -> None:
    await program.replica.reset(account="JULIET@Example.org")
    assert program.replica.nodes() == []


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("account", ["Juliet@Example.org/Balcony", "JULIET@EXAMPLE.ORG", None])
async def test_a_program_s_requests_are_understood_in_every_spelling(
    program: Program, name: str, account: str | None
) -> None:
    read = read_request(_request("get", "items", name, account), "Juliet@Example.org")
    assert read is not None
    assert read.key == NodeKey(JULIET, SERVICE, NODE)
    write = read_request(_request("set", "purge", name, account), "Juliet@Example.org")
    assert write is not None
    assert write.key == NodeKey(JULIET, SERVICE, NODE)


def _request(kind: str, action: str, to: str, sender: str | None) -> Element:
    iq = Element("{jabber:client}iq", {"type": kind, "to": to} | ({} if sender is None else {"from": sender}))
    SubElement(SubElement(iq, f"{{{NS_PUBSUB}}}pubsub"), f"{{{NS_PUBSUB}}}{action}", {"node": NODE})
    return iq


async def test_a_stream_whose_own_jid_is_spelt_otherwise_keeps_its_account_s_copies(
    database: Database, service: Service
) -> None:
    async with at_work(database, service) as program:
        await program.follow()
    stream = Stream(service, "Juliet@Example.org")
    stream.is_of = lambda account: account == JULIET  # type: ignore[method-assign]  # as a server sees it
    replica = Replica(stream, settings=Settings(quiet_start=0))
    replica.register_analyser(NOTES)
    await replica.open(database)
    try:
        stream.turn(Session.FRESH)
        again = Program(service, stream, replica)
        await again.serves_live()
        assert [record.key.account for record in replica.nodes()] == [JULIET]
    finally:
        service.streams.remove(stream)
        await replica.close()


async def test_a_component_speaks_for_its_accounts_in_every_spelling(database: Database, service: Service) -> None:
    stream = Stream(service, "Gateway.Example.org", is_component=True)
    replica = Replica(stream)
    replica.register_analyser(NOTES)
    await replica.open(database)
    try:
        stream.turn(Session.FRESH)
        for account in ("User@gateway.example.org", "user@GATEWAY.example.org."):
            answer = await replica.get_items(SERVICE, NODE, account=account)
            assert contents(answer) == service.contents(NODE)
            await replica.settled()
        assert replica._open.context.speaks_for("user@gateway.example.org")
        assert not replica._open.context.speaks_for("user@gateway.example.org.example")
        assert [record.key.account for record in replica.nodes()] == ["user@gateway.example.org"]
    finally:
        service.streams.remove(stream)
        await replica.close()


async def test_a_service_that_is_known_by_its_name_in_dns_is_asked_by_that(database: Database) -> None:
    """Servers that go by RFC 6122 know only one of the two forms."""
    service = Service("pubsub.xn--bcher-kva.example")
    service.create(NODE, "a")
    asked: list[str] = []
    find = service.find

    def find_noted(jid: str) -> Service:
        asked.append(jid)
        return find(jid)

    service.find = find_noted  # type: ignore[method-assign]
    async with at_work(database, service) as program:
        await program.replica.get_items(service.jid, NODE)
        await program.settled()
        assert set(asked) == {service.jid}
        answer = await program.replica.get_items("PubSub.Bücher.example", NODE)
        assert (answer.origin, answer.stale) == (Origin.COPY, False)
        service.publish(NODE, "b", "text")
        await program.settled()
        answer = await program.replica.get_items(service.jid, NODE, policy=Policy.ONLY_COPY)
        assert [item.id for item in answer.items] == ["a", "b"]


# What is stored ------------------------------------------------------------------------------------------------


async def _spell(database: Database, service: str, account: str) -> None:
    """As an older version, or a program's own SQL, left it."""
    await database.write(lambda conn: conn.execute(update(table(PubsubNode)).values(service=service)))
    await database.write(lambda conn: conn.execute(update(table(Account)).values(jid=account)))


async def _keys(database: Database) -> list[tuple[str, str]]:
    """Account and service of each node, as they are stored."""
    node, account = table(PubsubNode), table(Account)
    joined = node.join(account, node.c.account_id == account.c.id)
    rows = await database.read(
        lambda conn: conn.execute(select(account.c.jid, node.c.service).select_from(joined).order_by(node.c.id)).all()
    )
    return [(row[0], row[1]) for row in rows]


async def test_a_copy_that_is_stored_in_another_spelling_is_gone_on_with(database: Database, service: Service) -> None:
    async with at_work(database, service) as program:
        await program.follow()
        (before,) = program.replica.nodes()
    await _spell(database, "PubSub.Example.org", "Juliet@example.org")
    async with at_work(database, service) as program:
        await program.serves_live()
        (after,) = program.replica.nodes()
        assert (after.id, after.key) == (before.id, before.key)
    assert await _keys(database) == [(JULIET, SERVICE)]


async def test_of_two_copies_of_one_node_the_complete_one_is_kept(database: Database) -> None:
    for jid, complete in (("PUBSUB.example.org", True), (SERVICE, False), ("pubsub.Example.org", False)):
        node = await make_node(database, service=jid, account=JULIET, state=SyncState.STALE, complete=complete)
        await apply(database, node, put("a" if complete else "b"))
    async with _opened(database) as replica:
        (record,) = replica.nodes()
        assert record.complete
        answer = await replica.get_items("pubsub.EXAMPLE.org", record.key.node, policy=Policy.ONLY_COPY)
        assert [item.id for item in answer.items] == ["a"]
        assert answer.items[0].key == record.key
    assert await _keys(database) == [(JULIET, SERVICE)]


async def test_a_node_that_was_closed_to_the_account_is_so_in_all_its_copies(database: Database) -> None:
    for jid, state in (("PUBSUB.example.org", SyncState.GONE), (SERVICE, SyncState.STALE)):
        complete = state is SyncState.STALE
        node = await make_node(database, service=jid, account=JULIET, state=state, complete=complete)
        await apply(database, node, put("a"))
    async with _opened(database) as replica:
        (record,) = replica.nodes()
        assert record.state is SyncState.GONE
        with pytest.raises(NotInCopy):
            await replica.get_items(SERVICE, record.key.node, policy=Policy.ONLY_COPY)
        assert (await replica.search()).total == 0


async def test_accounts_that_are_one_share_their_copies(database: Database) -> None:
    for number, account in enumerate(("Juliet@example.org", JULIET, "JULIET@example.org")):
        await make_node(database, f"node{number}", account=account, service=SERVICE)
    await make_node(database, "other", account="romeo@example.org", service=SERVICE)
    async with _opened(database) as replica:
        assert [(record.key.account, record.key.node) for record in replica.nodes()] == [
            (JULIET, "node0"),
            (JULIET, "node1"),
            (JULIET, "node2"),
            ("romeo@example.org", "other"),
        ]
    accounts = await database.read(lambda conn: conn.execute(select(table(Account).c.jid)).scalars().all())
    assert sorted(accounts) == [JULIET, "romeo@example.org"]


async def test_what_was_learnt_of_a_service_in_another_spelling_is_learnt_again(database: Database) -> None:
    learnt = ServiceBehaviour(paging=Behaviour.IGNORED)
    for jid in ("PubSub.example.org", "@Example.org", "other.example", "@other.example"):
        await database.write(nodes.save_behaviour, jid, learnt, 1)
    await make_node(database, service="PubSub.example.org")
    async with _opened(database) as replica:
        assert replica._open.context.behaviour("other.example") == learnt
        assert replica._open.context.behaviour(SERVICE) == ServiceBehaviour()
    stored = await database.read(lambda conn: conn.execute(select(table(StoredService).c.jid)).scalars().all())
    assert sorted(stored) == ["@other.example", "other.example"]


async def test_what_is_spelt_right_is_not_written(database: Database) -> None:
    await make_node(database, account=JULIET, service=SERVICE)
    written: list[object] = []
    write = database.write

    async def noted(*args: object, **kwargs: object) -> object:
        written.append(args[0])
        return await write(*args, **kwargs)  # type: ignore[arg-type]

    database.write = noted  # type: ignore[method-assign, assignment]
    try:
        async with _opened(database):
            assert written == []
    finally:
        del database.write


async def test_what_a_program_stores_by_a_session_is_spelt_canonically(database: Database) -> None:
    async with _opened(database) as replica, replica.session() as session:
        account = Account(jid="Juliet@Example.org")
        session.add(PubsubNode(account=account, service="PubSub.Example.org.", name="node"))
        await session.commit()
        account.jid = "JULIET@example.org"
        await session.commit()
    assert await _keys(database) == [(JULIET, SERVICE)]


@asynccontextmanager
async def _opened(database: Database) -> AsyncIterator[Replica]:
    """A replica without a connection."""
    replica = Replica()
    await replica.open(database)
    try:
        yield replica
    finally:
        await replica.close()
