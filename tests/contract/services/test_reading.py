"""What a service answers to those who read a node (XEP-0060, 5 and 6.5)."""

from __future__ import annotations

from newsstand.model import NS_DATA, NS_DISCO_INFO, NS_PUBSUB
from tests.contract.services._trial import Trial
from tests.servers.entities import refusal
from tests.servers.quirks import Quirk


async def test_a_node_is_listed_whole_oldest_first(trial: Trial) -> None:
    await trial.create("a", "b", "c")
    page = await trial.juliet.items(trial.jid, trial.node)
    assert page.ids == ["a", "b", "c"]
    assert page.texts == ["a", "b", "c"]
    assert page.rsm is None or page.count == 3


async def test_an_answer_names_the_node_and_comes_from_the_service(trial: Trial) -> None:
    await trial.create("a")
    page = await trial.juliet.items(trial.jid, trial.node)
    items = page.iq.find(f"{{{NS_PUBSUB}}}pubsub/{{{NS_PUBSUB}}}items")
    assert items is not None
    assert items.get("node") == trial.node
    assert page.iq.get("from") == trial.jid
    assert page.iq.get("type") == "result"


async def test_a_node_without_items_is_listed_as_such(trial: Trial) -> None:
    await trial.create()
    assert await trial.ids() == []
    assert await trial.juliet.disco_items(trial.jid, trial.node) == []


async def test_max_items_brings_the_newest(trial: Trial) -> None:
    await trial.create("a", "b", "c")
    expected = ["c", "b"] if trial.does(Quirk.MAX_ITEMS_REVERSED) else ["b", "c"]
    assert (await trial.juliet.items(trial.jid, trial.node, max_items=2)).ids == expected
    assert (await trial.juliet.items(trial.jid, trial.node, max_items=1)).ids == ["c"]


async def test_max_items_above_what_is_there_brings_all(trial: Trial) -> None:
    await trial.create("a", "b")
    assert sorted((await trial.juliet.items(trial.jid, trial.node, max_items=50)).ids) == ["a", "b"]


async def test_items_are_asked_for_by_id(trial: Trial) -> None:
    await trial.create("a", "b", "c")
    page = await trial.juliet.items(trial.jid, trial.node, ids=["b"])
    assert (page.ids, page.texts) == (["b"], ["b"])
    expected = ["a", "c"] if trial.does(Quirk.IDS_IN_NODE_ORDER) else ["c", "a"]
    assert (await trial.juliet.items(trial.jid, trial.node, ids=["c", "a"])).ids == expected


async def test_a_missing_id_is_left_out(trial: Trial) -> None:
    await trial.create("a", "b")
    assert (await trial.juliet.items(trial.jid, trial.node, ids=["missing", "b"])).ids == ["b"]


async def test_an_id_is_any_text(trial: Trial) -> None:
    ids = ["with blank", "tag:example.org,2026:é/?&<'\"", "x" * 500]
    await trial.create(*ids)
    assert await trial.ids() == ids
    for item_id in ids:
        assert (await trial.juliet.items(trial.jid, trial.node, ids=[item_id])).ids == [item_id]


async def test_a_missing_node_is_not_found(trial: Trial) -> None:
    error = await refusal(trial.juliet.items(trial.jid, trial.node))
    assert (error.type, error.condition) == ("cancel", "item-not-found")


async def test_a_whitelist_refuses_whom_it_does_not_name(trial: Trial) -> None:
    await trial.create("a", access_model="whitelist")
    error = await refusal(trial.juliet.items(trial.jid, trial.node))
    if trial.does(Quirk.CLOSED_NODE_NOT_ALLOWED):
        assert (error.type, error.condition, error.app_condition) == ("cancel", "not-allowed", "closed-node")
    else:
        assert (error.type, error.condition) == ("auth", "forbidden")
    await trial.romeo.affiliate(trial.jid, trial.node, trial.juliet.jid, "member")
    assert await trial.ids() == ["a"]
    assert await trial.is_refused(trial.nurse)


async def test_an_outcast_is_refused_and_no_one_else(trial: Trial) -> None:
    await trial.create("a")
    await trial.romeo.affiliate(trial.jid, trial.node, trial.juliet.jid, "outcast")
    assert (await refusal(trial.juliet.items(trial.jid, trial.node))).condition in ("forbidden", "not-allowed")
    assert await trial.nurse.ids(trial.jid, trial.node) == ["a"]


async def test_disco_lists_the_ids_of_a_node(trial: Trial) -> None:
    await trial.create("a", "b", "c")
    listed = await trial.juliet.disco_items(trial.jid, trial.node)
    assert listed == (["c", "b", "a"] if trial.does(Quirk.DISCO_NEWEST_FIRST) else ["a", "b", "c"])


async def test_disco_of_a_missing_node_is_an_error(trial: Trial) -> None:
    error = await refusal(trial.juliet.disco_items(trial.jid, trial.node))
    fault = trial.does(Quirk.DISCO_MISSING_NODE_FAULT)
    assert error.condition == ("internal-server-error" if fault else "item-not-found")


async def test_disco_lists_the_nodes_of_the_service(trial: Trial) -> None:
    trial.service.skip_if(Quirk.DISCO_ITEMS_CUT)
    await trial.create("a")
    assert trial.node in await trial.juliet.disco_items(trial.jid)


async def test_a_node_says_of_itself_what_it_is(trial: Trial) -> None:
    await trial.create("a")
    info = await trial.juliet.info(trial.jid, trial.node)
    identities = [(found.get("category"), found.get("type")) for found in info.iter(f"{{{NS_DISCO_INFO}}}identity")]
    assert ("pubsub", "leaf") in identities
    fields = {found.get("var"): found.findtext(f"{{{NS_DATA}}}value") for found in info.iter(f"{{{NS_DATA}}}field")}
    assert fields.get("pubsub#access_model") == "open"


async def test_the_service_says_that_it_is_one(trial: Trial) -> None:
    info = await trial.juliet.info(trial.jid)
    identities = [(found.get("category"), found.get("type")) for found in info.iter(f"{{{NS_DISCO_INFO}}}identity")]
    assert ("pubsub", "service") in identities
    features = await trial.juliet.features(trial.jid)
    assert {f"{NS_PUBSUB}#{name}" for name in ("create-nodes", "publish", "retrieve-items", "subscribe")} <= features
