"""What a service does to a node when it is told to (XEP-0060, 7 and 8)."""

from __future__ import annotations

from newsstand.model import NS_DATA
from newsstand.xmpp.answers import read_published_ids
from tests.contract.services._trial import Trial
from tests.servers.entities import canonical, note, refusal
from tests.servers.quirks import Quirk


async def test_what_is_published_is_there_when_the_answer_comes(trial: Trial) -> None:
    await trial.create()
    answer = await trial.romeo.publish(trial.jid, trial.node, "a", "text")
    assert read_published_ids(answer) == (() if trial.does(Quirk.PUBLISHED_ID_UNTOLD) else ("a",))
    page = await trial.juliet.items(trial.jid, trial.node)
    assert (page.ids, page.texts) == (["a"], ["text"])


async def test_a_new_item_is_the_last(trial: Trial) -> None:
    await trial.create("c", "a", "b")
    assert await trial.ids() == ["c", "a", "b"]


async def test_a_payload_comes_back_as_it_was(trial: Trial) -> None:
    await trial.create()
    payload = note("before ")
    child = note("é 日本 \U0001f5de <&>'\"")
    child.set("{http://www.w3.org/XML/1998/namespace}lang", "fr")
    child.set("plain", 'a "quoted" <text>')
    child.tail = "\n after"
    payload.append(child)
    await trial.romeo.publish(trial.jid, trial.node, "a", payload)
    page = await trial.juliet.items(trial.jid, trial.node)
    found = next(page.iq.iter("{urn:example:note}note"))
    assert canonical(found) == canonical(payload)


async def test_an_overwritten_item_has_its_new_payload_and_place(trial: Trial) -> None:
    await trial.create("a", "b", "c")
    await trial.publish("a", "again")
    page = await trial.juliet.items(trial.jid, trial.node)
    assert dict(zip(page.ids, page.texts, strict=True)) == {"a": "again", "b": "b", "c": "c"}
    assert page.ids == (["a", "b", "c"] if trial.does(Quirk.OVERWRITE_STAYS) else ["b", "c", "a"])


async def test_a_retracted_item_is_gone_and_may_be_published_again(trial: Trial) -> None:
    await trial.create("a", "b", "c")
    await trial.romeo.retract(trial.jid, trial.node, "b")
    assert await trial.ids() == ["a", "c"]
    await trial.publish("b")
    assert await trial.ids() == ["a", "c", "b"]


async def test_a_publisher_may_retract_what_it_published(trial: Trial) -> None:
    await trial.create("a")
    await trial.romeo.affiliate(trial.jid, trial.node, trial.juliet.jid, "publisher")
    await trial.juliet.publish(trial.jid, trial.node, "b", "b")
    await trial.juliet.retract(trial.jid, trial.node, "b")
    assert await trial.ids() == ["a"]


async def test_a_publisher_may_retract_what_others_published_or_not(trial: Trial) -> None:
    await trial.create("a", "b")
    await trial.romeo.affiliate(trial.jid, trial.node, trial.juliet.jid, "publisher")
    own = trial.does(Quirk.RETRACT_OF_OWN_ONLY)
    if own:
        assert (await refusal(trial.juliet.retract(trial.jid, trial.node, "b"))).condition == "forbidden"
    else:
        await trial.juliet.retract(trial.jid, trial.node, "b")
    assert await trial.ids() == (["a", "b"] if own else ["a"])


async def test_a_member_may_read_and_not_write(trial: Trial) -> None:
    await trial.create("a")
    await trial.romeo.affiliate(trial.jid, trial.node, trial.juliet.jid, "member")
    assert await trial.ids() == ["a"]
    assert (await refusal(trial.juliet.publish(trial.jid, trial.node, "b", "b"))).condition == "forbidden"
    assert (await refusal(trial.juliet.retract(trial.jid, trial.node, "a"))).condition == "forbidden"
    assert await trial.ids() == ["a"]


async def test_a_missing_item_cannot_be_retracted(trial: Trial) -> None:
    await trial.create("a")
    error = await refusal(trial.romeo.retract(trial.jid, trial.node, "missing"))
    assert error.condition == "item-not-found"
    assert await trial.ids() == ["a"]


async def test_a_purged_node_is_there_without_items(trial: Trial) -> None:
    await trial.create("a", "b")
    await trial.romeo.purge(trial.jid, trial.node)
    assert await trial.ids() == []
    await trial.publish("c")
    assert await trial.ids() == ["c"]


async def test_a_deleted_node_is_gone_and_may_be_created_again(trial: Trial) -> None:
    await trial.create("a")
    await trial.romeo.delete(trial.jid, trial.node)
    assert (await refusal(trial.juliet.items(trial.jid, trial.node))).condition == "item-not-found"
    await trial.create("b")
    assert await trial.ids() == ["b"]


async def test_a_node_is_created_once(trial: Trial) -> None:
    await trial.create()
    error = await refusal(trial.romeo.create(trial.jid, trial.node))
    assert (error.type, error.condition) == ("cancel", "conflict")


async def test_only_who_may_publish_does(trial: Trial) -> None:
    await trial.create("a")
    error = await refusal(trial.juliet.publish(trial.jid, trial.node, "b", "by juliet"))
    assert (error.type, error.condition) == ("auth", "forbidden")
    assert await trial.ids() == ["a"]


async def test_only_owners_purge_delete_and_configure(trial: Trial) -> None:
    await trial.create("a")
    for request in (
        trial.juliet.purge(trial.jid, trial.node),
        trial.juliet.delete(trial.jid, trial.node),
        trial.juliet.configure(trial.jid, trial.node, max_items="1"),
    ):
        assert (await refusal(request)).condition == "forbidden"
    assert await trial.ids() == ["a"]


async def test_a_full_node_drops_its_oldest(trial: Trial) -> None:
    await trial.create("a", "b", "c", max_items="3")
    await trial.publish("d")
    assert await trial.ids() == ["b", "c", "d"]


async def test_a_lowered_limit_holds_after_the_next_publish(trial: Trial) -> None:
    trial.service.skip_if(Quirk.LOWER_LIMIT_REFUSED)
    await trial.create("a", "b", "c")
    await trial.romeo.configure(trial.jid, trial.node, max_items="2")
    await trial.publish("d")
    assert await trial.ids() == ["c", "d"]


async def test_an_access_model_holds_at_once(trial: Trial) -> None:
    await trial.create("a")
    await trial.romeo.configure(trial.jid, trial.node, access_model="whitelist")
    assert await trial.is_refused(trial.juliet)
    await trial.romeo.configure(trial.jid, trial.node, access_model="open")
    assert not await trial.is_refused(trial.juliet)


async def test_a_new_title_changes_nothing_else(trial: Trial) -> None:
    await trial.create("a", access_model="open")
    await trial.romeo.configure(trial.jid, trial.node, title="News")
    info = await trial.juliet.info(trial.jid, trial.node)
    fields = {found.get("var"): found.findtext(f"{{{NS_DATA}}}value") for found in info.iter(f"{{{NS_DATA}}}field")}
    assert fields["pubsub#access_model"] == "open"
    assert await trial.ids() == ["a"]
