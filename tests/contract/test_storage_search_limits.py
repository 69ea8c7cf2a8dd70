"""What a query may hold at most, and what it may not: the same on every database, and always told as our error."""

from __future__ import annotations

import inspect
import sys
from typing import Any

import pytest

from newsstand.analysis.analysers import MAX_JSON_DEPTH
from newsstand.errors import ConfigurationError
from newsstand.model import NodeRecord
from newsstand.storage.database import Database
from newsstand.storage.statements.search import MAX_CONDITIONS, MAX_VALUE
from tests.contract._storage import apply, ids_found, parse, put


def nested(levels: int) -> dict[str, Any]:
    """Parsed data of so many levels, the value at the deepest."""
    value: Any = 1
    for _ in range(levels - 1):
        value = {"k": value}
    assert isinstance(value, dict)
    return value


def path(keys: int) -> str:
    return ".".join(["k"] * keys)


async def fill(database: Database, node: NodeRecord, **parsed: dict[str, Any]) -> None:
    await apply(database, node, *(put(item_id) for item_id in parsed))
    await parse(database, node, parsed)


async def test_a_field_is_found_in_the_deepest_data_that_there_is(database: Database, node: NodeRecord) -> None:
    await fill(database, node, deep=nested(MAX_JSON_DEPTH), shallow=nested(3))
    assert await ids_found(database, where={path(MAX_JSON_DEPTH - 1): 1}) == ["deep"]
    assert await ids_found(database, where={path(MAX_JSON_DEPTH): 1}) == []
    assert await ids_found(database, where={path(2): 1}) == ["shallow"]


async def test_a_deep_field_takes_no_more_of_pythons_stack_than_a_flat_one(
    database: Database, node: NodeRecord
) -> None:
    await fill(database, node, deep=nested(MAX_JSON_DEPTH))
    await ids_found(database, where={"other": 1})  # what is imported and cached by the first query is not what is meant

    before = sys.getrecursionlimit()
    sys.setrecursionlimit(len(inspect.stack(0)) + 180)
    try:
        assert await ids_found(database, where={path(MAX_JSON_DEPTH - 1): 1}) == ["deep"]
    finally:
        sys.setrecursionlimit(before)


@pytest.mark.parametrize("keys", [MAX_JSON_DEPTH + 1, 2 * MAX_JSON_DEPTH, 100_000])
async def test_a_path_of_more_keys_than_data_has_levels_is_refused(database: Database, keys: int) -> None:
    with pytest.raises(ConfigurationError, match=f"has {keys} keys: a field has at most {MAX_JSON_DEPTH}") as met:
        await ids_found(database, where={path(keys): 1})
    assert len(str(met.value)) < 300


async def test_many_conditions_hold_together_up_to_a_limit(database: Database, node: NodeRecord) -> None:
    whole = {f"k{number}": number for number in range(MAX_CONDITIONS)}
    await fill(database, node, all={"title": "tea"} | whole, less={"title": "tea"} | whole | {"k7": 0})
    for text in (None, "tea"):
        assert await ids_found(database, text, where=whole) == ["all"]
        with pytest.raises(ConfigurationError, match=f"at most {MAX_CONDITIONS} fields"):
            await ids_found(database, text, where=whole | {"title": "tea"})


async def test_huge_texts_are_compared_or_refused(database: Database, node: NodeRecord) -> None:
    huge = "x" * 1_000_000
    await fill(database, node, a={"title": huge, huge: 1})
    assert await ids_found(database, where={"title": huge}) == ["a"]
    assert await ids_found(database, where={huge: 1}) == ["a"]
    assert await ids_found(database, where={"title": "x" * MAX_VALUE}) == []
    for query in ({"where": {"title": "x" * (MAX_VALUE + 1)}}, {"where": {"x" * (MAX_VALUE + 1): 1}}):
        with pytest.raises(ConfigurationError) as met:
            await ids_found(database, **query)
        assert len(str(met.value)) < 500
    for name in ("text", "type", "service", "node", "account"):
        with pytest.raises(ConfigurationError, match=f"at most {MAX_VALUE} characters"):
            await ids_found(database, **{name: "x" * (MAX_VALUE + 1)})


@pytest.mark.parametrize(
    "value",
    [2**63, -(2**63) - 1, pytest.param(10**5000, id="huge"), float("nan"), float("inf"), None, [1], {}, b"x", 1j],
)
async def test_a_value_that_no_field_can_have_is_refused(database: Database, value: Any) -> None:
    with pytest.raises(ConfigurationError, match="cannot equal") as met:
        await ids_found(database, where={"n": value})
    assert len(str(met.value)) < 500


@pytest.mark.parametrize("half", ["\ud800", "a\udc80b"])
async def test_half_a_surrogate_pair_is_refused_but_in_a_text(database: Database, node: NodeRecord, half: str) -> None:
    await fill(database, node, a={"title": "tea"})
    for where in ({"title": half}, {half: 1}, {f"title.{half}": 1}):
        with pytest.raises(ConfigurationError):
            await ids_found(database, where=where)
    for name in ("type", "service", "node", "account"):
        with pytest.raises(ConfigurationError, match=f"{name} holds half a surrogate pair"):
            await ids_found(database, **{name: half})
    assert await ids_found(database, f"tea {half[0] if len(half) == 1 else ''}") == ["a"]


async def test_nothing_is_called_nul_and_no_field_is(database: Database, node: NodeRecord) -> None:
    await fill(database, node, a={"title": "tea"})
    assert await ids_found(database, where={"title": "te\0a"}) == []
    assert await ids_found(database, "tea\0") == ["a"]
    for name in ("type", "service", "node", "account"):
        assert await ids_found(database, **{name: "x\0"}) == []
    with pytest.raises(ConfigurationError, match="is not a field"):
        await ids_found(database, where={"ti\0tle": 1})


@pytest.mark.parametrize(
    "query",
    [
        *({"after": after} for after in (2**63, -(2**70), "1", 1.5, True)),
        *({"limit": limit} for limit in (0, 1001, 2**70, "5", None, 1.5, True)),
        *(
            {"where": where}
            for where in ([], [("a", 1)], "title", 1, {None: 1}, {1: 1}, {"": 1}, {"a..b": 1}, {'a"': 1})
        ),
        *({name: value} for name in ("text", "type", "service", "node", "account") for value in (1, b"x", ["x"])),
    ],
)
async def test_what_is_no_query_is_refused(database: Database, query: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError):
        await ids_found(database, **query)


async def test_cursors_at_both_ends_are_cursors(database: Database, node: NodeRecord) -> None:
    await fill(database, node, a={"title": "tea"})
    assert await ids_found(database, after=2**63 - 1) == ["a"]
    assert await ids_found(database, after=-(2**63)) == []
