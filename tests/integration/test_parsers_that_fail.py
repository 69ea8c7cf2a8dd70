"""Whatever a parser does, the raw XML is kept, its item says what went wrong, and the others are parsed."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator
from typing import Any
from xml.etree.ElementTree import Element

import pytest
from slixmpp import ClientXMPP

from newsstand.demo.servers.prosody import Prosody
from newsstand.model import SyncState
from tests.integration._program import (
    OpenProgram,
    assert_copy_equals_service,
    create_node,
    is_hit,
)
from tests.integration._recipes import DISHES, parse_recipe, recipes, stored


async def parse_recipe_slowly(item: Element, *, service: str, node: str) -> dict[str, Any]:
    await asyncio.sleep(0)
    return parse_recipe(item, service=service, node=node)


def raises(item: Element, *, service: str, node: str) -> dict[str, Any]:
    raise LookupError("no oven")


def exits(item: Element, *, service: str, node: str) -> dict[str, Any]:
    raise SystemExit(3)


def returns_a_list(item: Element, *, service: str, node: str) -> Any:
    return ["not", "a", "dict"]


def returns_nothing(item: Element, *, service: str, node: str) -> Any:
    return None


def returns_nan(item: Element, *, service: str, node: str) -> dict[str, Any]:
    return {"grams": float("nan")}


def returns_an_element(item: Element, *, service: str, node: str) -> dict[str, Any]:
    return {"item": item}


def returns_a_nul(item: Element, *, service: str, node: str) -> dict[str, Any]:
    return {"text": "a\0b"}


def returns_a_surrogate(item: Element, *, service: str, node: str) -> dict[str, Any]:
    return {"text": "\ud800"}


def returns_itself_inside_itself(item: Element, *, service: str, node: str) -> dict[str, Any]:
    found: dict[str, Any] = {}
    found["again"] = found
    return found


async def raises_late(item: Element, *, service: str, node: str) -> dict[str, Any]:
    await asyncio.sleep(0)
    raise LookupError("no oven")


FAULTY = (
    raises,
    raises_late,
    exits,
    returns_a_list,
    returns_nothing,
    returns_nan,
    returns_an_element,
    returns_a_nul,
    returns_a_surrogate,
    returns_itself_inside_itself,
)


@pytest.mark.parametrize("fault", FAULTY, ids=lambda function: function.__name__)
async def test_what_a_parser_does_wrong_is_recorded_on_the_item_and_costs_nothing_else(
    prosody: Prosody, cook: ClientXMPP, open_program: OpenProgram, node: str, fault: Callable[..., Any]
) -> None:
    def parse_all_but_pie(item: Element, *, service: str, node: str) -> Any:
        parser = fault if item.get("id") == "pie" else parse_recipe
        return parser(item, service=service, node=node)

    async def parse_all_but_pie_slowly(item: Element, *, service: str, node: str) -> Any:
        if item.get("id") == "pie":
            return await fault(item, service=service, node=node)
        return parse_recipe(item, service=service, node=node)

    program = await open_program()
    late = asyncio.iscoroutinefunction(fault)
    program.replica.register_analyser(recipes(parse_all_but_pie_slowly if late else parse_all_but_pie))
    record = await program.follow(node)
    assert (record.state, record.item_count, record.quarantined) == (SyncState.LIVE, 3, 0)
    items = await stored(program, node)
    assert items["pie"].parsed is None
    assert items["pie"].parse_error
    assert {id_ for id_, item in items.items() if item.parsed is not None} == {"soup", "stew"}
    await assert_copy_equals_service(program.replica, cook, prosody.pubsub, node)
    assert is_hit(await program.pubsub.get_items(prosody.pubsub, node))


@pytest.fixture
def released() -> Iterator[threading.Event]:
    """What a hanging parser waits for: its thread must not outlive the test."""
    event = threading.Event()
    yield event
    event.set()


async def test_a_parser_that_hangs_is_given_up_and_stops_nothing(
    prosody: Prosody, cook: ClientXMPP, open_program: OpenProgram, node: str, released: threading.Event
) -> None:
    def hang(item: Element, *, service: str, node: str) -> dict[str, Any]:
        released.wait()
        return {}

    other = f"{node}-blog"
    await create_node(cook, prosody.pubsub, other, 2)
    program = await open_program(parser_timeout=0.2)
    program.replica.register_analyser(recipes(hang))
    await program.follow(node)
    await program.follow(other)
    items = await stored(program, node)
    assert {id_: item.parse_error is not None for id_, item in items.items()} == dict.fromkeys(DISHES, True)
    assert all(item.parsed for item in (await stored(program, other)).values())
    await assert_copy_equals_service(program.replica, cook, prosody.pubsub, node)


async def test_a_coroutine_parser_that_hangs_costs_its_item_only(
    prosody: Prosody, cook: ClientXMPP, open_program: OpenProgram, node: str
) -> None:
    async def parse(item: Element, *, service: str, node: str) -> dict[str, Any]:
        if item.get("id") == "pie":
            await asyncio.Event().wait()
        return parse_recipe(item, service=service, node=node)

    program = await open_program(parser_timeout=0.2)
    program.replica.register_analyser(recipes(parse))
    await program.follow(node)
    items = await stored(program, node)
    assert {id_: item.parsed is None for id_, item in items.items()} == {"soup": False, "pie": True, "stew": False}
    assert "0.2" in (items["pie"].parse_error or "")
