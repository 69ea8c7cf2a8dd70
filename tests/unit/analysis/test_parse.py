"""What comes of an analyser's parser: JSON that every database holds, or an error of the item's own."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Iterator
from types import MappingProxyType
from typing import Any
from xml.etree.ElementTree import Element

import pytest

from newsstand.analysis.analysers import MAX_JSON_DEPTH, Analyser, checked_json, parse
from newsstand.analysis.runner import Runner
from newsstand.errors import ParseError


@pytest.fixture
def run() -> Iterator[Runner]:
    runner = Runner()
    yield runner
    runner.close()


ITEM = Element("item", {"id": "1"})
WHERE = {"service": "pubsub.montague.example", "node": "news"}


def parsing(parser: Callable[..., dict[str, Any] | Awaitable[dict[str, Any]]]) -> Analyser:
    return Analyser("a", "recipe", node="news", parser=parser)


async def test_a_parser_gets_the_item_and_where_it_is_from(run: Runner) -> None:
    def plain(item: Element, *, service: str, node: str) -> dict[str, Any]:
        return {"id": item.get("id"), "service": service, "node": node}

    async def coroutine(item: Element, *, service: str, node: str) -> dict[str, Any]:
        return plain(item, service=service, node=node)

    for parser in (plain, coroutine):
        assert json.loads(await parse(parsing(parser), ITEM, **WHERE, run=run)) == {"id": "1", **WHERE}


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (ValueError("not a cake"), "ValueError: not a cake"),
        (StopIteration(), "StopIteration"),
        (ParseError("said it itself"), "said it itself"),
        (TimeoutError("its own"), "TimeoutError: its own"),
        (RecursionError("deep"), "RecursionError"),
    ],
)
async def test_what_a_parser_raises_is_a_parse_error_of_its_item(error: Exception, words: str, run: Runner) -> None:
    def parser(item: Element, **_: Any) -> dict[str, Any]:
        raise error

    with pytest.raises(ParseError, match=words):
        await parse(parsing(parser), ITEM, **WHERE, run=run)


# JSON ------------------------------------------------------------------------------------------------------


def deep(levels: int) -> Any:
    value: Any = "bottom"
    for _ in range(levels):
        value = [value]
    return value


@pytest.mark.parametrize(
    "parsed",
    [
        {},
        {"": None, "a": True, "b": 1.5, "c": -(2**63), "d": 2**63 - 1, "e": [], "f": {"g": ["h"]}},
        {"é": "😀 \t\n \u2028 \ufffe", 'a.b"c': "\\"},
        {"a": deep(MAX_JSON_DEPTH - 2)},
    ],
)
def test_what_json_holds_is_kept(parsed: dict[str, Any]) -> None:
    assert json.loads(checked_json(parsed)) == parsed


def cycle() -> dict[str, Any]:
    value: dict[str, Any] = {}
    value["again"] = [value]
    return value


@pytest.mark.parametrize(
    "parsed",
    [
        None,
        [],
        "text",
        [("a", 1)],
        {"a": float("nan")},
        {"a": [float("inf")]},
        {"a": -float("inf")},
        {"a": "\0"},
        {"a": ["b", {"c": "d\0"}]},
        {"\0": 1},
        {"a": "\ud800"},
        {"\udc00": 1},
        {"a": "\ud83d\ude00"},
        {1: "a"},
        {None: "a"},
        {"a": {("b",): 1}},
        {"a": 2**63},
        {"a": -(2**63) - 1},
        {"a": b"bytes"},
        {"a": {1, 2}},
        {"a": object()},
        {"a": Element("a")},
        {"a": deep(MAX_JSON_DEPTH - 1)},
        {"a": deep(20_000)},
        MappingProxyType({"a": 1}),
        cycle(),
    ],
)
def test_what_json_or_a_database_cannot_hold_is_refused(parsed: Any) -> None:
    with pytest.raises(ParseError):
        checked_json(parsed)
