"""The example package, installed as a user installs it: nothing is registered, and nodes of recipes are copied."""

from __future__ import annotations

import asyncio
import importlib
import json
import os
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any
from xml.etree import ElementTree as ET

import pytest
from slixmpp import ClientXMPP

from newsstand.demo.servers.prosody import Prosody
from newsstand.errors import ConfigurationError
from tests.conftest import Connect
from tests.fakes.packages import Packages
from tests.integration._cli import PROCESS_SECONDS, Cli, Run, run_process
from tests.integration._program import OpenProgram, create_node, is_hit

ROOT = Path(__file__).parents[2]
EXAMPLE = ROOT / "examples" / "newsstand-recipes"
PIE = """
<recipe xmlns="urn:example:recipe:1">
  <dish>Apple pie</dish><published>2026-03-01T12:00:00Z</published><serves>6</serves><minutes>75</minutes>
  <ingredient amount="1.5" unit="kg">apples</ingredient><ingredient>flour</ingredient>
  <step>Peel the apples.</step><step>Bake.</step>
</recipe>
"""
SOUP = '<recipe xmlns="urn:example:recipe:1"><dish>Soup</dish><minutes>about an hour</minutes></recipe>'
PIE_PARSED = {
    "dish": "Apple pie",
    "published": "2026-03-01T12:00:00Z",
    "serves": 6,
    "minutes": 75,
    "ingredients": ["apples", "flour"],
    "steps": ["Peel the apples.", "Bake."],
}


async def install(project: Path, folder: Path) -> None:
    """Build a package and install it, with the tools of this environment and no network."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "uv", "pip", "install", "--quiet", "--offline", "--no-cache"),
        *("--python", sys.executable, "--no-deps", "--no-build-isolation", "--target", str(folder), str(project)),
        stderr=asyncio.subprocess.PIPE,
    )
    async with asyncio.timeout(PROCESS_SECONDS):
        _, err = await process.communicate()
    assert process.returncode == 0, err.decode()


@pytest.fixture(scope="session")
async def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder for $PYTHONPATH, with the example in it."""
    folder = tmp_path_factory.mktemp("installed")
    await install(EXAMPLE, folder)
    return folder


@pytest.fixture(scope="session")
async def broken(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same with another package, made from the example, that cannot be imported."""
    work = tmp_path_factory.mktemp("broken")
    project = Path(shutil.copytree(EXAMPLE, work / "project"))
    for file in ("pyproject.toml", "README.md"):
        text = (project / file).read_text(encoding="utf-8")
        text = text.replace("newsstand-recipes", "newsstand-burnt").replace("newsstand_recipes", "newsstand_burnt")
        (project / file).write_text(text, encoding="utf-8")
    module = (project / "src" / "newsstand_recipes").rename(project / "src" / "newsstand_burnt")
    (module / "__init__.py").write_text("import no_module_of_this_name\n", encoding="utf-8")
    await install(project, work / "installed")
    await install(EXAMPLE, work / "installed")
    return work / "installed"


@pytest.fixture
def example(installed: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    """The example's module, as installed."""
    monkeypatch.syspath_prepend(str(installed))
    yield importlib.import_module("newsstand_recipes")
    del sys.modules["newsstand_recipes"]


@pytest.fixture
async def recipes(prosody: Prosody, connect: Connect, node: str) -> ClientXMPP:
    """Romeo, who made `node`, which holds two recipes."""
    romeo = await connect("romeo")
    await create_node(romeo, prosody.pubsub, node)
    for item_id, recipe in (("soup", SOUP), ("pie", PIE)):
        await romeo.plugin["xep_0060"].publish(prosody.pubsub, node, id=item_id, payload=ET.fromstring(recipe))
    return romeo


async def run_program(prosody: Prosody, path: Path | None, database: Path, *nodes: str) -> tuple[dict[str, Any], str]:
    """What the program tells and what it logs."""
    told = {
        "host": prosody.host,
        "port": prosody.port,
        "jid": prosody.jid("juliet"),
        "password": prosody.password,
        "database": f"sqlite:///{database}",
        "service": prosody.pubsub,
        "nodes": nodes,
    }
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, str(Path(__file__).with_name("_bare_program.py"))),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": str(path or "")},
    )
    async with asyncio.timeout(PROCESS_SECONDS):
        out, err = await process.communicate(json.dumps(told).encode())
    assert process.returncode == 0, err.decode()
    return json.loads(out), err.decode()


async def test_a_program_that_knows_nothing_of_recipes_copies_and_finds_them_once_the_package_is_installed(
    prosody: Prosody, recipes: ClientXMPP, node: str, installed: Path, tmp_path: Path
) -> None:
    without, _ = await run_program(prosody, None, tmp_path / "without.db", node)
    assert without == {"nodes": {node: {"hit": False, "parsed": []}}, "found": []}
    told, log = await run_program(prosody, installed, tmp_path / "news.db", node)
    assert told["nodes"][node]["hit"]
    assert sorted(told["nodes"][node]["parsed"], key=lambda parsed: parsed["dish"]) == [PIE_PARSED, {"dish": "Soup"}]
    assert told["found"] == ["pie"]
    assert log == ""


async def test_a_program_may_leave_installed_packages_out(
    prosody: Prosody, recipes: ClientXMPP, node: str, packages: Packages, open_program: OpenProgram, tmp_path: Path
) -> None:
    packages.install(
        "cakes", 'A = Analyser("cakes", "cake", namespace="urn:example:recipe:1", to_sync=True)', cakes="A"
    )
    program = await open_program(entry_points=False)
    await program.pubsub.get_items(prosody.pubsub, node)
    await program.caught_up()
    assert not is_hit(await program.pubsub.get_items(prosody.pubsub, node))
    await program.newsstand.close()
    with_packages = await open_program(account="nurse", database=f"sqlite:///{tmp_path}/other.db")
    assert (await with_packages.follow(node)).type == "cake"


@pytest.mark.parametrize("wrong", [None, 1, "no"])
async def test_whether_packages_are_used_is_true_or_false(wrong: Any) -> None:
    client = ClientXMPP("juliet@example.org", "secret")
    with pytest.raises(ConfigurationError, match="entry_points must be True or False"):
        client.register_plugin("newsstand", {"entry_points": wrong})


async def test_a_broken_package_is_logged_once_by_its_name_and_stops_nothing(
    prosody: Prosody, recipes: ClientXMPP, node: str, broken: Path, tmp_path: Path
) -> None:
    told, log = await run_program(prosody, broken, tmp_path / "news.db", node)
    (line,) = log.splitlines()
    assert "WARNING newsstand.analysis.entry_points: the analysers of newsstand-burnt (entry point 'recipes')" in line
    assert "No module named 'no_module_of_this_name'" in line
    assert told["nodes"][node]["hit"]
    assert told["found"] == ["pie"]


async def test_the_command_line_uses_installed_packages_too(
    prosody: Prosody,
    recipes: ClientXMPP,
    node: str,
    installed: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    cli = Cli(tmp_path, capsys, monkeypatch)

    async def newsstand(*argv: str) -> Run:
        return await run_process(*argv, env={"PYTHONPATH": str(installed)})

    got = await newsstand("get", prosody.pubsub, node, "--json", *cli.login(prosody))
    assert {item["id"]: item["type"] for item in got.json["items"]} == {"pie": "recipe", "soup": "recipe"}
    assert PIE_PARSED in [item["parsed"] for item in got.json["items"]]
    assert (await newsstand("sync", prosody.pubsub, node, *cli.login(prosody))).code == 0
    found = await newsstand("search", "--where", "ingredients", "=", "apples", "--json")
    assert [item["parsed"] for item in found.json["items"]] == [PIE_PARSED]


def test_the_example_leaves_out_what_a_recipe_does_not_say_and_refuses_what_is_none(example: ModuleType) -> None:
    def parse(payload: str) -> Any:
        item = ET.fromstring(f'<item xmlns="http://jabber.org/protocol/pubsub" id="a">{payload}</item>')
        return example.parse_recipe(item, service="pubsub.example.org", node="recipes")

    assert parse(PIE) == PIE_PARSED
    assert parse(SOUP) == {"dish": "Soup"}
    for other in ("", '<recipe xmlns="urn:other"/>', '<recipe xmlns="urn:example:recipe:1"><dish> </dish></recipe>'):
        with pytest.raises(ValueError, match="recipe"):
            parse(other)


def test_the_example_s_docstring_shows_what_its_parser_reads(example: ModuleType) -> None:
    shown = (example.__doc__ or "").partition("<recipe")[2]
    item = ET.fromstring(f"<item><recipe{shown}</item>")
    facts = example.parse_recipe(item, service="pubsub.example.org", node="recipes")
    assert set(facts) == set(PIE_PARSED)
