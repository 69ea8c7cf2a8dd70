"""What the public verbs are given: a wrong argument is told at once, with what is possible, the same on both
databases; what a program may well have instead of a text works."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, cast

import pytest
from slixmpp import JID

from newsstand import Replica, RsmQuery
from newsstand.errors import ConfigurationError
from newsstand.model import Policy
from newsstand.storage.database import Database
from tests.fakes.program import NODE, Program, at_work
from tests.fakes.service import JULIET, SERVICE, Service

Verb = Callable[..., Any]
HALF = "\ud800"


@pytest.fixture
async def program(database: Database) -> AsyncIterator[Program]:
    service = Service()
    service.create(NODE, "a", "b")
    async with at_work(database, service) as program:
        await program.follow()
        yield program


async def answer_to(verb: Verb, replica: Replica, *given: Any) -> str:
    """What a verb says to what it was given."""
    try:
        result = verb(replica, *given)
        if isinstance(result, Awaitable):
            await result
    except ConfigurationError as error:
        return str(error)
    return "nothing"


WRONG_ADDRESSES: list[tuple[Any, Any, str]] = [
    (None, NODE, "service must be a JID.* not None"),
    (["pubsub.example.org"], NODE, "service must be a JID"),
    ("", NODE, "service is empty"),
    (" ", NODE, "service is empty"),
    (f"{HALF}.example", NODE, "service holds half a surrogate pair"),
    (SERVICE, None, "node must be the name of one node.* not None"),
    (SERVICE, [NODE], "node must be the name of one node"),
    (SERVICE, b"node", "node must be the name of one node"),
    (SERVICE, "", "node is empty"),
    (SERVICE, "a\0", "node holds a NUL"),
]


@pytest.mark.parametrize("verb", ["get_items", "synchronise", "verify", "watch", "purge"])
async def test_every_verb_that_names_a_node_says_what_is_wrong_with_the_name(program: Program, verb: str) -> None:
    for service, node, told in WRONG_ADDRESSES:
        said = await answer_to(lambda replica, *given: getattr(replica, verb)(*given), program.replica, service, node)
        assert re.search(told, said), (service, node, said)


@pytest.mark.parametrize(
    "verb",
    [
        lambda replica, account: replica.get_items(SERVICE, NODE, account=account),
        lambda replica, account: replica.synchronise(SERVICE, NODE, account=account),
        lambda replica, account: replica.verify(SERVICE, NODE, account=account),
        lambda replica, account: replica.watch(SERVICE, NODE, account=account),
        lambda replica, account: replica.purge(SERVICE, NODE, account=account),
        lambda replica, account: replica.search(account=account),
        lambda replica, account: replica.reset(account=account),
    ],
)
async def test_an_account_that_is_no_jid_is_told(program: Program, verb: Verb) -> None:
    for account in (5, b"juliet@example.org", [JULIET], "", "/resource"):
        assert "account" in await answer_to(verb, program.replica, account)


WRONG: list[tuple[Verb, str]] = [
    (lambda r: r.get_items(SERVICE, NODE, item_ids="a"), r"for one, give \['a'\]"),
    (lambda r: r.get_items(SERVICE, NODE, item_ids=5), "item_ids is a list"),
    (lambda r: r.get_items(SERVICE, NODE, item_ids=b"ab"), "item_ids is a list"),
    (lambda r: r.get_items(SERVICE, NODE, item_ids=["a", 5]), "5 is none"),
    (lambda r: r.get_items(SERVICE, NODE, item_ids=[""]), "'' is none"),
    (lambda r: r.get_items(SERVICE, NODE, item_ids=[HALF]), "half a surrogate"),
    (lambda r: r.get_items(SERVICE, NODE, max_items="5"), "max_items must be a whole number, not '5'"),
    (lambda r: r.get_items(SERVICE, NODE, max_items=True), "max_items must be a whole number"),
    (lambda r: r.get_items(SERVICE, NODE, max_items=2.0), "max_items must be a whole number"),
    (lambda r: r.get_items(SERVICE, NODE, max_items=0), "max_items must be at least 1"),
    (lambda r: r.get_items(SERVICE, NODE, max_items=1, item_ids=["a"]), "give one of"),
    (lambda r: r.get_items(SERVICE, NODE, rsm=10), "rsm must be a newsstand.RsmQuery"),
    (
        lambda r: r.get_items(SERVICE, NODE, rsm=RsmQuery(max=cast("Any", "10"))),
        "max of an RsmQuery must be a whole number",
    ),
    (lambda r: r.get_items(SERVICE, NODE, rsm=RsmQuery(10, after=cast("Any", 5))), "after of an RsmQuery"),
    (lambda r: r.get_items(SERVICE, NODE, policy="only"), r"policy 'only' is unknown: give Policy.ASK_WHEN_STALE, "),
    (lambda r: r.get_items(SERVICE, NODE, max_age="1"), "max_age is a number of seconds"),
    (lambda r: r.get_items(SERVICE, NODE, max_age=-1), "max_age is a number of seconds"),
    (lambda r: r.get_items(SERVICE, NODE, max_age=float("nan")), "max_age is a number of seconds"),
    (lambda r: r.synchronise(SERVICE, NODE, progress=5), "progress must be a function"),
    (lambda r: r.verify(SERVICE, NODE, repair="yes"), "repair must be True or False"),
    (lambda r: r.watch(SERVICE, NODE, since="x"), "since must be a whole number, not 'x'"),
    (lambda r: r.watch(SERVICE, NODE, since=-1), "since must be at least 0"),
    (lambda r: r.search(5), "text must be a text, not 5"),
    (lambda r: r.search(type="blgo"), r"type 'blgo' is unknown: there are .*: did you mean 'blog'\?"),
    (lambda r: r.search(service=5), "service must be a JID"),
    (lambda r: r.search(node=5), "node must be the name"),
    (lambda r: r.search(where="title"), "where must be a dict"),
    (lambda r: r.search(where={"a..b": "c"}), "is not a field"),
    (lambda r: r.search(where={"a": ["b"]}), "cannot equal"),
    (lambda r: r.search(after="x"), "after is the `next`"),
    (lambda r: r.search(limit="5"), "limit must be between"),
    (lambda r: r.search(limit=0), "limit must be between"),
    (lambda r: r.register_analyser("recipes"), "an analyser is a newsstand.Analyser"),
]


async def test_a_wrong_argument_is_told_at_once(program: Program) -> None:
    asked = len(program.service.requests)
    for verb, told in WRONG:
        said = await answer_to(verb, program.replica)
        assert re.search(told, said), (told, said)
    assert len(program.service.requests) == asked


async def test_a_jid_of_slixmpp_is_as_good_as_a_text(program: Program) -> None:
    replica, service, account = program.replica, JID(f"{SERVICE}/bot"), JID(f"{JULIET}/balcony")
    answer = await replica.get_items(service, NODE, account=account)
    assert ([item.id for item in answer.items], answer.origin.value) == (["a", "b"], "copy")
    assert (await replica.search(service=service, account=account)).total == 2
    assert (await replica.synchronise(service, NODE)).key.service == SERVICE
    watching = replica.watch(service, NODE, 0)
    assert (await anext(watching)).item_id in ("a", "b")
    await replica.purge(service, NODE, account=account)
    await replica.reset(account=account)


async def test_ids_may_come_as_any_collection(program: Program) -> None:
    for ids in (("a",), {"a"}, frozenset({"a"}), ["a"], dict.fromkeys("a").keys()):
        given: Any = ids
        answer = await program.replica.get_items(SERVICE, NODE, item_ids=given)
        assert [item.id for item in answer.items] == ["a"]


async def test_a_policy_may_be_named_by_its_value(program: Program) -> None:
    await program.serves_live()
    named: Any = Policy.ONLY_COPY.value
    answer = await program.replica.get_items(SERVICE, NODE, policy=named)
    assert answer.origin.value == "copy"


@pytest.mark.parametrize("text", ["", "  \n"])
async def test_a_search_for_nothing_finds_what_one_without_text_does(program: Program, text: str) -> None:
    assert await program.replica.search(text) == await program.replica.search()


async def test_a_type_is_known_by_its_analyser_though_no_node_has_it(program: Program) -> None:
    assert (await program.replica.search(type="avatar")).items == []
