"""Recipes for Newsstand.

An item of such a node holds one recipe, of which all but the dish may be left out:

    <recipe xmlns="urn:example:recipe:1">
      <dish>Apple pie</dish>
      <published>2026-03-01T12:00:00Z</published>
      <serves>6</serves>
      <minutes>75</minutes>
      <ingredient amount="1.5" unit="kg">apples</ingredient>
      <ingredient amount="250" unit="g">flour</ingredient>
      <step>Peel the apples.</step>
      <step>Bake.</step>
    </recipe>
"""

from __future__ import annotations

from typing import Any
from xml.etree.ElementTree import Element

from newsstand import Analyser

NAMESPACE = "urn:example:recipe:1"


def parse_recipe(item: Element, *, service: str, node: str) -> dict[str, Any]:
    """What a recipe says: `dish`, `published` (Newsstand sorts by it), `serves` and `minutes` as numbers, the names of
    the `ingredients`, and `steps`. What it does not say is left out. Raises ValueError for what is no recipe."""
    recipe = item.find(f"{{{NAMESPACE}}}recipe")
    if recipe is None:
        raise ValueError("the item holds no recipe")
    dish = _text(recipe, "dish")
    if dish is None:
        raise ValueError("the recipe does not say of which dish")
    facts: dict[str, Any] = {
        "dish": dish,
        "published": _text(recipe, "published"),
        "serves": _number(recipe, "serves"),
        "minutes": _number(recipe, "minutes"),
        "ingredients": _texts(recipe, "ingredient"),
        "steps": _texts(recipe, "step"),
    }
    return {name: value for name, value in facts.items() if value not in (None, [])}


def _texts(recipe: Element, tag: str) -> list[str]:
    """The texts of all such elements, white space collapsed, without empty ones."""
    found = (" ".join("".join(element.itertext()).split()) for element in recipe.iterfind(f"{{{NAMESPACE}}}{tag}"))
    return [text for text in found if text]


def _text(recipe: Element, tag: str) -> str | None:
    return next(iter(_texts(recipe, tag)), None)


def _number(recipe: Element, tag: str) -> int | None:
    """None too for what is no whole number: strangers write recipes."""
    text = _text(recipe, tag)
    return int(text) if text is not None and text.isascii() and text.isdigit() and len(text) < 10 else None


RECIPES = Analyser(
    "recipes",
    "recipe",
    namespace=NAMESPACE,
    to_sync=True,
    parser=parse_recipe,
    words=("dish", "ingredients", "steps"),  # what people read of it
)
