"""A program's own analyser, for payloads that no built-in one knows."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from xml.etree.ElementTree import Element

from newsstand import Analyser, Item
from tests.integration._program import Program

RECIPE = "urn:example:recipe"
DISHES = ("soup", "pie", "stew")


def parse_recipe(item: Element, *, service: str, node: str) -> dict[str, Any]:
    return {"dish": item[0].text, "service": service, "words": len(item[0].text or "")}


def recipes(parser: Callable[..., Any] | None = parse_recipe, **more: Any) -> Analyser:
    return Analyser("recipes", "recipe", namespace=RECIPE, to_sync=True, parser=parser, **more)


async def stored(program: Program, node: str) -> dict[str, Item]:
    """All items of the copy, by id."""
    page = await program.replica.search(node=node, limit=100)
    return {item.id: item for item in page.items}
