"""A program's own analysers and parsers, and what they bring into the copy."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import Callable
from typing import Any
from xml.etree.ElementTree import Element

import pytest
from slixmpp import ClientXMPP

from newsstand import Analyser, Analysis, Item
from newsstand.demo.servers.prosody import Prosody
from newsstand.model import SyncState, Verdict
from tests.conftest import Connect, log_out
from tests.integration._program import (
    OpenProgram,
    assert_copy_equals_service,
    create_node,
    entry,
    is_hit,
    recipe,
)
from tests.integration._recipes import DISHES, parse_recipe, recipes, stored


async def parse_recipe_slowly(item: Element, *, service: str, node: str) -> dict[str, Any]:
    await asyncio.sleep(0)
    return parse_recipe(item, service=service, node=node)


@pytest.mark.parametrize("parser", [parse_recipe, parse_recipe_slowly], ids=["plain", "async"])
async def test_a_program_s_own_analyser_brings_its_nodes_into_the_copy_and_its_fields_into_the_search(
    prosody: Prosody, cook: ClientXMPP, open_program: OpenProgram, node: str, parser: Callable[..., Any]
) -> None:
    program = await open_program()
    program.replica.register_analyser(recipes(parser))
    record = await program.follow(node)
    assert (record.analyser, record.type, record.subtype) == ("recipes", "recipe", None)
    items = await stored(program, node)
    assert {id_: item.parsed for id_, item in items.items()} == {
        dish: {"dish": dish, "service": prosody.pubsub, "words": len(dish)} for dish in DISHES
    }
    by_text = await program.replica.search("PIE", node=node)
    by_field = await program.replica.search(type="recipe", where={"words": 4})
    assert [item.id for item in by_text.items] == ["pie"]
    assert {item.id for item in by_field.items} == {"soup", "stew"}
    await cook.plugin["xep_0060"].publish(prosody.pubsub, node, id="pie", payload=recipe("apple tart"))
    await program.caught_up()
    assert (await program.replica.search("pie", node=node)).total == 0
    assert (await program.replica.search(where={"dish": "apple tart"})).total == 1


async def test_a_parser_of_a_higher_version_parses_what_is_stored_anew(
    prosody: Prosody, cook: ClientXMPP, open_program: OpenProgram, node: str
) -> None:
    parsed: list[int] = []

    def version(number: int) -> Analyser:
        def parse(item: Element, *, service: str, node: str) -> dict[str, Any]:
            parsed.append(number)
            return {"dish": item[0].text, "version": number}

        return recipes(parse, version=number)

    async def run(analyser: Analyser) -> dict[str, Item]:
        program = await open_program()
        program.replica.register_analyser(analyser)
        await program.follow(node)
        items = await stored(program, node)
        await program.newsstand.close()
        await log_out(program.client)
        return items

    assert {item.parsed["version"] for item in (await run(version(1))).values() if item.parsed} == {1}
    await run(version(1))
    assert parsed == [1, 1, 1]
    items = await run(version(2))
    assert parsed == [1, 1, 1, 2, 2, 2]
    assert {(item.parsed or {}).get("version") for item in items.values()} == {2}


async def test_match_refines_refuses_or_fails(
    prosody: Prosody, cook: ClientXMPP, open_program: OpenProgram, node: str
) -> None:
    def match(analysis: Analysis) -> Analysis | None:
        if analysis.node.endswith("-refused"):
            return None
        if analysis.node.endswith("-broken"):
            raise LookupError("no idea")
        return dataclasses.replace(analysis, subtype=f"of {len(analysis.items)}")

    async def match_later(analysis: Analysis) -> Analysis:
        await asyncio.sleep(0)
        return dataclasses.replace(analysis, subtype="second choice")

    for name in (f"{node}-refused", f"{node}-broken"):
        await create_node(cook, prosody.pubsub, name)
        await cook.plugin["xep_0060"].publish(prosody.pubsub, name, id="soup", payload=recipe("soup"))
    program = await open_program()
    program.replica.register_analyser(recipes(match=match))
    program.replica.register_analyser(
        Analyser("later", "recipe", node=f"{node}-refused", to_sync=True, match=match_later)
    )
    record = await program.follow(node)
    assert (record.analyser, record.subtype) == ("recipes", "of 3")
    record = await program.follow(f"{node}-refused")
    assert (record.analyser, record.subtype) == ("later", "second choice")
    assert not is_hit(await program.pubsub.get_items(prosody.pubsub, f"{node}-broken"))
    await program.caught_up()
    record = program.record(f"{node}-broken")
    assert (record.verdict, record.state) == (Verdict.UNWANTED, SyncState.UNSYNCED)
    assert "no idea" in (record.reason or "")


async def test_an_analyser_by_pubsub_type_finds_the_node_by_its_meta_data(
    prosody: Prosody, connect: Connect, open_program: OpenProgram, node: str
) -> None:
    cook = await connect("romeo")
    await create_node(cook, prosody.pubsub, node, type="urn:example:menu")
    program = await open_program()
    program.replica.register_analyser(
        Analyser("menus", "menu", pubsub_type=("urn:example:menu", "urn:example:card"), to_sync=True)
    )
    record = await program.follow(node)  # empty as it is
    assert (record.analyser, record.type, record.pubsub_type) == ("menus", "menu", "urn:example:menu")
    await cook.plugin["xep_0060"].publish(prosody.pubsub, node, id="today", payload=entry("today"))
    await program.caught_up()
    await assert_copy_equals_service(program.replica, cook, prosody.pubsub, node)


async def test_an_analyser_of_a_built_in_s_name_takes_its_place(
    prosody: Prosody, connect: Connect, open_program: OpenProgram, node: str
) -> None:
    cook = await connect("romeo")
    await create_node(cook, prosody.pubsub, node, 2)
    program = await open_program()
    program.replica.register_analyser(
        Analyser("blog", "my blog", namespace="http://www.w3.org/2005/Atom", to_sync=False)
    )
    await program.pubsub.get_items(prosody.pubsub, node)
    await program.caught_up()
    record = program.record(node)
    assert (record.verdict, record.type) == (Verdict.UNWANTED, "my blog")


async def test_an_analyser_registered_later_makes_a_refused_node_wanted(
    prosody: Prosody, cook: ClientXMPP, open_program: OpenProgram, node: str
) -> None:
    program = await open_program()
    await program.pubsub.get_items(prosody.pubsub, node)
    await program.caught_up()
    assert program.record(node).verdict is Verdict.UNWANTED
    program.replica.register_analyser(recipes())
    await program.follow(node)
    assert set(await stored(program, node)) == set(DISHES)
    assert is_hit(await program.pubsub.get_items(prosody.pubsub, node))
