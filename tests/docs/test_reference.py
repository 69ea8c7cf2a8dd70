"""The reference says what the code says: the pages that are made of it are up to date, and the list of the API's names
is whole."""

from __future__ import annotations

import importlib
import inspect
import re
from pathlib import Path

import pytest

import newsstand
from newsstand import errors
from newsstand.analysis.builtin import BUILT_IN
from newsstand.slixmpp.plugin import Newsstand
from scripts import reference_pages

ROOT = Path(__file__).parents[2]
NAMED = re.findall(r"^- `(newsstand\.[\w.]+)`$", (ROOT / "docs/api.md").read_text(encoding="utf-8"), re.MULTILINE)


def test_each_page_is_in_the_handbook_s_contents() -> None:
    text = (ROOT / "docs/index.md").read_text(encoding="utf-8")
    listed = set(re.findall(r"^- \[[^]]+\]\(([^)]+)\)", text, re.MULTILINE))
    assert {path.name for path in ROOT.glob("docs/*.md")} - {"index.md"} <= listed


@pytest.mark.parametrize("name", reference_pages.PAGES)
def test_a_page_is_what_the_code_makes_of_itself(name: str) -> None:
    made = reference_pages.PAGES[name]()
    assert (reference_pages.DOCS / name).read_text(encoding="utf-8") == made, (
        f"docs/{name} is not up to date: run `python -m scripts.reference_pages`"
    )


def test_every_key_of_the_plugin_s_configuration_is_on_the_page_of_settings() -> None:
    rows = re.findall(r"^\| `(\w+)` \|", reference_pages.settings(), re.MULTILINE)
    assert set(rows) == set(Newsstand.default_config)
    assert len(rows) == len(set(rows))


def test_every_built_in_analyser_is_on_the_page_of_parsed_fields() -> None:
    rows = re.findall(r"^\| `([\w-]+)` \|", reference_pages.parsed(), re.MULTILINE)
    assert sorted(rows) == sorted(analyser.name for analyser in BUILT_IN)


def test_each_public_name_is_on_the_page_of_the_api() -> None:
    public = {f"newsstand.{name}" for name in newsstand.__all__} - {"newsstand.__version__", "newsstand.NewsstandError"}
    public |= {f"newsstand.errors.{name}" for name, found in vars(errors).items() if inspect.isclass(found)}
    assert public <= set(NAMED)
    assert len(NAMED) == len(set(NAMED))


@pytest.mark.parametrize("name", NAMED)
def test_what_the_page_of_the_api_names_is_there_and_says_what_it_is(name: str) -> None:
    module, _, attribute = name.rpartition(".")
    found = getattr(importlib.import_module(module), attribute)
    assert not callable(found) or inspect.getdoc(found)
