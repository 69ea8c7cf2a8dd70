"""A component that its server lets ask in the names of accounts (XEP-0356): its reads are answered from the account's
copy, which a client of the account keeps in the same database; its writes are seen by it at once."""

from __future__ import annotations

import contextlib
import os
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any, Literal
from xml.etree.ElementTree import Element

import pytest
from slixmpp.exceptions import IqError
from slixmpp.stanza import Iq

from newsstand.demo.servers.process import ServerMissing
from newsstand.demo.servers.prosody import Prosody
from newsstand.model import SyncState
from newsstand.slixmpp.transport import stanza_error
from newsstand.xmpp.privilege import NAMESPACES
from tests.conftest import log_out
from tests.integration._component import Component, component
from tests.integration._program import (
    OpenProgram,
    Program,
    assert_copy_equals_service,
    canonical_iq,
    entry,
    fill_pep,
    ids_of,
    is_hit,
    is_stale,
)

GATEWAY, BRIDGE, STRANGER = "gateway.localhost", "bridge.localhost", "stranger.localhost"
JULIET = "juliet@localhost"
NODE = "urn:xmpp:microblog:0"
PLUGINS = ("xep_0356",)
MODULES = Path(os.environ.get("NEWSSTAND_PROSODY_MODULES", "/usr/lib/prosody/modules"))
"""Where Debian's prosody-modules are."""
PRIVILEGES = "".join(
    f"""
    ["{jid}"] = {{ iq = {{ ["http://jabber.org/protocol/pubsub"] = "both" }} }};"""
    for jid in (GATEWAY, BRIDGE)
)


class PrivilegingProsody(Prosody):
    """One that lets two of its three components ask in the names of its accounts."""

    def _look_for_it(self) -> None:
        super()._look_for_it()
        if not (MODULES / "mod_privilege").is_dir():
            raise ServerMissing("Prosody's mod_privilege", "prosody-modules")

    def _components(self) -> Iterator[str]:
        for line in super()._components():
            yield f'{line}\n    modules_enabled = {{ "privilege" }}' if "component_secret" in line else line


@pytest.fixture(scope="module")
async def server() -> AsyncIterator[Prosody]:
    server = PrivilegingProsody(
        accounts=("juliet", "romeo"),
        components=(GATEWAY, BRIDGE, STRANGER),
        modules=("privilege",),
        extra=f'plugin_paths = {{ "{MODULES}" }}\nprivileged_entities = {{{PRIVILEGES}\n}}',
    )
    try:
        await server.start()
    except ServerMissing as error:
        if os.environ.get("CI"):
            raise
        pytest.skip(str(error))
    async with server:
        yield server


@pytest.fixture
async def juliet(server: Prosody, open_program: OpenProgram, database_url: str) -> Program:
    """Her own client, which follows her blog."""
    program = await open_program("juliet", server=server)
    with contextlib.suppress(IqError):  # that of the test before
        await program.pubsub.delete_node(JULIET, NODE)
    await fill_pep(program.client, NODE, {"a": entry("first"), "b": entry("second")}, access_model="whitelist")
    await program.follow(NODE, JULIET)
    return program


@pytest.fixture
async def gateway(juliet: Program, server: Prosody, database_url: str) -> AsyncIterator[Component]:
    async with component(server, GATEWAY, database_url, plugins=PLUGINS) as opened:
        await opened.caught_up()
        yield opened


@pytest.fixture
async def bridge(server: Prosody) -> AsyncIterator[Component]:
    """Another one, without Newsstand."""
    async with component(server, BRIDGE, plugins=PLUGINS) as opened:
        yield opened


def wrapped(
    asking: Component, payload: Element, type_: Literal["get", "set"] = "get", *, namespace: str = NAMESPACES[0]
) -> Iq:
    """As slixmpp's xep_0356 makes it."""
    inner = Element("{jabber:client}iq", {"type": type_, "id": "x1", "from": JULIET, "to": JULIET})
    inner.append(payload)
    iq: Iq = asking.xmpp.make_iq(id="x1", itype=type_, ito=JULIET, ifrom=asking.xmpp.boundjid.bare)
    around = Element(f"{{{namespace}}}privileged_iq")
    around.append(inner)
    iq.xml.append(around)
    return iq


def items(*item_ids: str, **attributes: str) -> Element:
    """What asks for the items of the blog."""
    pubsub = Element("{http://jabber.org/protocol/pubsub}pubsub")
    asked = Element("{http://jabber.org/protocol/pubsub}items", {"node": NODE, **attributes})
    asked.extend(Element("{http://jabber.org/protocol/pubsub}item", {"id": item_id}) for item_id in item_ids)
    pubsub.append(asked)
    return pubsub


async def ask(asking: Component, *item_ids: str, **attributes: str) -> Iq:
    """The whole answer to a read of the blog in Juliet's name."""
    answer: Iq = await wrapped(asking, items(*item_ids, **attributes)).send()
    return answer


async def by_plugin(asking: Component) -> Iq:
    """As a program asks that uses slixmpp's plugin: what it gets is Juliet's own answer."""
    iq = asking.xmpp.make_iq_get(ito=JULIET, ifrom=JULIET)
    iq["pubsub"]["items"]["node"] = NODE
    answer: Iq = await asking.xmpp.plugin["xep_0356"].send_privileged_iq(iq)
    return answer


def item(item_id: str, payload: Element | None = None) -> Element:
    made = Element("{http://jabber.org/protocol/pubsub}item", {"id": item_id})
    if payload is not None:
        made.append(payload)
    return made


async def publish(asking: Component, item_id: str, title: str) -> None:
    iq = asking.xmpp.make_iq(itype="set", ito=JULIET, ifrom=JULIET)
    iq["pubsub"]["publish"]["node"] = NODE
    iq["pubsub"]["publish"].xml.append(item(item_id, entry(title)))
    await asking.xmpp.plugin["xep_0356"].send_privileged_iq(iq)


def canonical_answer(iq: Iq) -> str:
    """But for the component to which it was sent."""
    return canonical_iq(iq).replace(BRIDGE, GATEWAY)


READS: dict[str, dict[str, Any]] = {
    "the whole node": {},
    "one item": {"item_ids": ("a",)},
    "two": {"item_ids": ("b", "a")},
}


@pytest.mark.parametrize("how", READS)
async def test_a_read_by_privilege_is_answered_from_the_account_s_copy_as_the_server_would(
    gateway: Component, bridge: Component, how: str
) -> None:
    item_ids = READS[how].get("item_ids", ())
    served, expected = await ask(gateway, *item_ids), await ask(bridge, *item_ids)
    assert is_hit(served)
    assert canonical_answer(served) == canonical_answer(expected)


async def test_slixmpp_s_plugin_hands_the_copy_s_answer_on(gateway: Component, bridge: Component) -> None:
    served = await by_plugin(gateway)
    assert is_hit(served)
    assert ids_of(served) == ["a", "b"]
    assert canonical_iq(served) == canonical_iq(await by_plugin(bridge))


async def test_what_the_component_publishes_and_retracts_by_privilege_is_in_its_next_read(
    gateway: Component, bridge: Component, juliet: Program
) -> None:
    assert is_hit(await ask(gateway))
    await publish(gateway, "c", "third")
    assert ids_of(await ask(gateway)) == ["a", "b", "c"]
    await publish(gateway, "a", "rewritten")
    assert canonical_answer(await ask(gateway, "a")) == canonical_answer(await ask(bridge, "a"))
    retract = Element("{http://jabber.org/protocol/pubsub}pubsub")
    retract.append(Element("{http://jabber.org/protocol/pubsub}retract", {"node": NODE, "notify": "true"}))
    retract[0].append(item("b"))
    await wrapped(gateway, retract, "set").send()
    assert canonical_answer(await ask(gateway)) == canonical_answer(await ask(bridge))
    assert ids_of(await ask(gateway)) == ["c", "a"]


async def test_after_a_write_by_privilege_the_copy_answers_again(
    gateway: Component, bridge: Component, juliet: Program
) -> None:
    await publish(gateway, "c", "third")
    for _ in range(3):
        await juliet.caught_up()
        await gateway.caught_up()
        await gateway.replica._open.ownership.polling.poll()
    served = await ask(gateway)
    assert is_hit(served)
    assert canonical_answer(served) == canonical_answer(await ask(bridge))
    await assert_copy_equals_service(juliet.replica, juliet.client, JULIET, NODE)


async def test_without_a_client_of_the_account_the_service_answers_and_offline_the_stale_copy(
    gateway: Component, juliet: Program
) -> None:
    await juliet.newsstand.close()
    await log_out(juliet.client)
    await gateway.replica._open.ownership.polling.poll()
    answer = await ask(gateway)
    assert not hasattr(answer, "newsstand")
    assert ids_of(answer) == ["a", "b"]
    await gateway.log_out()
    assert is_stale(await ask(gateway))


async def test_an_account_without_a_copy_is_read_as_ever_and_none_is_made(server: Prosody, gateway: Component) -> None:
    iq = gateway.xmpp.make_iq_get(ito="romeo@localhost", ifrom="romeo@localhost")
    iq["pubsub"]["items"]["node"] = NODE
    for _ in range(2):
        answer = await gateway.xmpp.plugin["xep_0356"].send_privileged_iq(iq)  # an error within a result
        assert stanza_error(answer.xml).condition == "item-not-found"
        await gateway.caught_up()
    assert [record.key.account for record in gateway.replica.nodes()] == [JULIET]


async def test_who_may_not_ask_is_refused_by_the_server_though_there_is_a_copy(
    juliet: Program, server: Prosody, database_url: str
) -> None:
    async with component(server, STRANGER, database_url, plugins=PLUGINS) as stranger:
        await stranger.caught_up()
        assert [record.state for record in stranger.replica.nodes()] == [SyncState.LIVE]
        with pytest.raises(IqError) as caught:
            await ask(stranger)
        assert stanza_error(caught.value.iq.xml).condition == "forbidden"


async def test_a_write_that_the_server_does_not_pass_on_leaves_the_copy_as_it_is(gateway: Component) -> None:
    owner = Element("{http://jabber.org/protocol/pubsub#owner}pubsub")
    owner.append(Element("{http://jabber.org/protocol/pubsub#owner}purge", {"node": NODE}))
    with pytest.raises(IqError) as caught:
        await wrapped(gateway, owner, "set").send()
    assert stanza_error(caught.value.iq.xml).condition == "forbidden"
    assert is_hit(await ask(gateway))


async def test_a_request_of_another_version_is_understood_and_one_of_another_shape_is_not(
    gateway: Component, bridge: Component
) -> None:
    for namespace in NAMESPACES[1:]:
        iq = wrapped(gateway, items(), namespace=namespace)
        assert is_hit(await iq.send())
    strange = wrapped(gateway, items())
    strange.xml[0][0].set("from", "romeo@localhost")
    with pytest.raises(IqError):
        await strange.send()
