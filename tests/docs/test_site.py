"""The site that `make docs` makes: it is built without a warning, loads nothing from elsewhere, and its links lead
somewhere."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest

ROOT = Path(__file__).parents[2]
PYTHON = ROOT / ".venv-docs/bin/python"
LOADED = {"src", "srcset", "data", "poster"}
"""Attributes that name what a browser fetches by itself; of `<link>`, it is `href`."""
LOADING_LINKS = {"stylesheet", "icon", "preload", "prefetch", "preconnect", "dns-prefetch", "modulepreload", "manifest"}
REMOTE = re.compile(r"\s*(https?:)?//")
IN_STYLE = re.compile(r"""(?:url\(|@import)\s*["']?((?:https?:)?//[^"')]+)""")

pytestmark = pytest.mark.skipif(
    not PYTHON.exists() and not os.environ.get("CI"),
    reason="the environment that builds the handbook is not set up: `make docs` does that",
)


class Page(HTMLParser):
    """What a page of the site loads, where its links lead, and which anchors it has."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.loads: list[str] = []
        self.links: list[str] = []
        self.anchors: set[str] = set()
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        self.loads += [given[name] for name in LOADED & given.keys()]
        if tag == "link" and LOADING_LINKS & set(given.get("rel", "").split()):
            self.loads.append(given.get("href", ""))
        if tag == "a" and "href" in given:
            self.links.append(given["href"])
        if "id" in given:
            self.anchors.add(given["id"])
        self.loads += IN_STYLE.findall(given.get("style", ""))


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("site")
    build = (PYTHON, "-m", "sphinx", "-q", "-W", "--keep-going", "-c", "docs", "-d", folder / "doctrees")
    done = subprocess.run(
        (*build, ROOT, folder / "html"), cwd=ROOT, capture_output=True, text=True, check=False, timeout=110
    )
    assert (done.returncode, done.stderr) == (0, "")
    return folder / "html"


@pytest.fixture(scope="module")
def pages(site: Path) -> dict[Path, Page]:
    return {path: Page(path.read_text(encoding="utf-8")) for path in site.rglob("*.html")}


def test_each_markdown_page_is_on_the_site(site: Path) -> None:
    for page in [ROOT / "README.md", ROOT / "CHANGELOG.md", ROOT / "CONTRIBUTING.md", *ROOT.glob("docs/**/*.md")]:
        assert (site / page.relative_to(ROOT)).with_suffix(".html").exists(), page
    assert "docs/index.html" in (site / "index.html").read_text()


def test_the_api_is_shown_by_its_docstrings(pages: dict[Path, Page], site: Path) -> None:
    anchors = pages[site / "docs/api.html"].anchors
    assert {"newsstand.Replica.get_items", "newsstand.errors.DatabaseError", "newsstand.Policy.STALE_FIRST"} <= anchors


def test_no_page_loads_anything_from_elsewhere(pages: dict[Path, Page]) -> None:
    assert [(str(path), what) for path, page in pages.items() for what in page.loads if REMOTE.match(what)] == []


def test_no_style_and_no_picture_loads_anything_from_elsewhere(site: Path) -> None:
    files = [path for ending in ("html", "css", "svg") for path in site.rglob(f"*.{ending}")]
    assert any(path.suffix == ".css" for path in files)
    assert any(path.suffix == ".svg" for path in files)
    found = [(str(path), url) for path in files for url in IN_STYLE.findall(path.read_text(encoding="utf-8"))]
    assert found == []


def nowhere(pages: dict[Path, Page]) -> Iterator[str]:
    for path, page in pages.items():
        for link in page.links:
            parts = urlsplit(link)
            if parts.scheme or parts.netloc:
                continue
            there = (path.parent / unquote(parts.path)).resolve() if parts.path else path
            if not there.exists():
                yield f"{path}: {link}"
            elif parts.fragment and there in pages and unquote(parts.fragment) not in pages[there].anchors:
                yield f"{path}: {link} (no such anchor)"


def test_links_within_the_site_lead_somewhere(pages: dict[Path, Page]) -> None:
    assert list(nowhere(pages)) == []


@pytest.mark.parametrize(
    "text",
    [
        '<script src="https://cdn.example.org/a.js"></script>',
        '<link rel="stylesheet" href="//fonts.example.org/css">',
        '<img src="http://example.org/a.png">',
        '<p style="background: url(https://example.org/a.png)">',
    ],
)
def test_what_loads_something_from_elsewhere_is_found(text: str) -> None:
    assert [what for what in Page(text).loads if REMOTE.match(what)]


def test_links_that_lead_nowhere_are_found(tmp_path: Path) -> None:
    text = '<a href="other.html">, <a href="#below">, <a href="#here" id="here">, <a href="https://example.org">'
    page = tmp_path / "page.html"
    page.write_text(text)
    assert len(list(nowhere({page: Page(text)}))) == 2
