"""How Sphinx makes the handbook (`make docs`) of the Markdown pages, which stay readable where they are.

The source directory is the whole repository, so that a link between pages is the same file for Sphinx as for a forge.
"""

from __future__ import annotations

import importlib
import re
from pathlib import Path
from typing import Any

from pygments.lexers.special import TextLexer
from sphinx.application import Sphinx

from newsstand import __version__

ROOT = Path(__file__).parents[1]

project = "Newsstand"
author = "The Newsstand authors"
copyright = "2026 The Newsstand authors"
version = release = __version__
language = "en"

extensions = ["myst_parser", "sphinx.ext.autodoc"]
root_doc = "docs/index"
include_patterns = [
    "README.md",
    "CHANGELOG.md",
    "CONTRIBUTING.md",
    "docs/**.md",
    "examples/newsstand-recipes/README.md",
    "src/newsstand/storage/migrations/README.md",
]
exclude_patterns = [".*", "build", "dist", "requirements", "scripts", "tests"]
myst_heading_anchors = 3
highlight_language = "text"
smartquotes = False  # what is quoted here is mostly typed

html_theme = "furo"
html_title = f"Newsstand {release}"
html_copy_source = False
html_show_sphinx = False
html_use_index = False

# A docstring here is plain English with `names` in it.
default_role = "literal"
autodoc_inherit_docstrings = False
autodoc_member_order = "bysource"
autodoc_typehints_format = "short"
autodoc_preserve_defaults = True
add_module_names = False

LINK = re.compile(r"(?<=\]\()([^)#:\s]+)(?=[)#])")
"""The target of a link to another page, without its anchor."""
HEADING = re.compile(r"^## ", re.MULTILINE)
NAME = re.compile(r"^- `(newsstand\.[\w.]+)`$", re.MULTILINE)
CONTENTS = ("docs/index", "docs/decisions/README")
"""The pages that list other pages, which the site shows in that order at its side."""


SHOWN = {
    "newsstand.slixmpp.Newsstand": ["   :members: of, ready, close", "   :special-members: __aenter__, __aexit__"],
}
"""What a program needs of a class that has more for slixmpp than for programs."""


def read_page(app: Sphinx, docname: str, source: list[str]) -> None:
    """What a page is for the site: links to folders, lists of pages and names of the API mean more here."""
    text = LINK.sub(lambda found: _page(docname, found[1]), source[0])
    if docname in CONTENTS:
        text = "## ".join(_with_contents(part) for part in HEADING.split(text))
    if docname == "docs/api":
        text = NAME.sub(lambda found: _documented(found[1]), text)
    source[0] = text


def _page(docname: str, target: str) -> str:
    """A forge shows a folder's README.md behind a link to the folder."""
    inside = (ROOT / docname).parent / target / "README.md"
    return f"{target.rstrip('/')}/README.md" if inside.exists() else target


def _with_contents(section: str) -> str:
    """A section whose list of pages is in the site's contents, under the section's title."""
    pages = re.findall(r"^(?:- |\| )\[[^]]+\]\(([^)]+)\.md\)", section, re.MULTILINE)
    if not pages:
        return section
    title = section.partition("\n")[0].lstrip("# ")
    return "\n".join([section, "```{toctree}", ":hidden:", f":caption: {title}", *pages, "```", "", ""])


def _documented(name: str) -> str:
    """The directive that shows a name of the API, by its docstrings."""
    module, _, attribute = name.rpartition(".")
    there = getattr(importlib.import_module(module), attribute)
    if not isinstance(there, type):
        directive = [f".. auto{'function' if callable(there) else 'data'}:: {name}"]
    elif issubclass(there, BaseException):
        directive = [f".. autoexception:: {name}", "   :members:", "   :show-inheritance:"]
    else:
        shown = SHOWN.get(name, ["   :members:", "   :undoc-members:"])
        directive = [f".. autoclass:: {name}", *shown]
    return "\n".join(["```{eval-rst}", *directive, "```"])


def plain_docstring(app: Sphinx, what: str, name: str, obj: Any, options: Any, lines: list[str]) -> None:
    """Docstrings are no reStructuredText: what it would take for markup outside of `names` is text, and a list begins
    a paragraph of its own."""
    text = "\n".join(lines)
    parts = re.split(r"(`[^`]*`)", text)
    parts[::2] = [re.sub(r"([*|\\]|(?<=\w)_(?!\w))", r"\\\1", part) for part in parts[::2]]
    parts[1::2] = [f"`{part}`" for part in parts[1::2]]
    lines[:] = "".join(parts).split("\n")


def begin_at_handbook(app: Sphinx, error: Exception | None) -> None:
    """Whoever opens the folder gets the first page, which is not at the top of it."""
    to = "docs/index.html"
    page = f'<!DOCTYPE html><meta http-equiv="refresh" content="0; url={to}"><a href="{to}">Newsstand\'s handbook</a>\n'
    (Path(app.outdir) / "index.html").write_text(page, encoding="utf-8")


def setup(app: Sphinx) -> None:
    app.add_lexer("pgpass", TextLexer)
    app.connect("source-read", read_page)
    app.connect("autodoc-process-docstring", plain_docstring)
    app.connect("build-finished", begin_at_handbook)
