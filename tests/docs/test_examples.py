"""Every example in README.md and docs/ runs, as it stands there, against a real server."""

from __future__ import annotations

import ast
import asyncio
import inspect
import shlex
import subprocess
import sys
import textwrap
import tomllib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest
import slixmpp
from markdown_it import MarkdownIt

import newsstand.slixmpp
from newsstand.cli import main
from newsstand.demo.servers.prosody import Prosody
from newsstand.model import Origin
from newsstand.storage.database import open_database
from tests.conftest import Connect, log_in, log_out, new_client
from tests.databases import Guarded

ROOT = Path(__file__).parents[2]
PAGES = sorted([ROOT / "README.md", *ROOT.glob("docs/*.md")])
NODE = "gardening"
TITLES = ("Compost in autumn", "Slugs and how to live with them", "Slugs again")


def examples(page: Path) -> list[str]:
    """The Python blocks of a page, in order."""
    return [t.content for t in MarkdownIt().parse(page.read_text()) if t.type == "fence" and t.info == "python"]


def here(text: str, server: Prosody) -> str:
    """An example with the names that the test's server has."""
    for there, name in (
        ("juliet@example.org", server.jid("juliet")),
        ('"secret"', repr(server.password)),
        ("pubsub.example.org", server.pubsub),
    ):
        text = text.replace(there, name)
    return text


async def run(text: str, names: dict[str, Any]) -> None:
    """Run an example that may await at its top."""
    code = compile(text, "<example>", "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
    ran = eval(code, names)
    if inspect.isawaitable(ran):
        await ran


@pytest.fixture
async def garden(prosody: Prosody, connect: Connect) -> AsyncIterator[None]:
    """The node that the examples read."""
    romeo = await connect("romeo")
    pubsub = romeo.plugin["xep_0060"]
    form = romeo.plugin["xep_0004"].make_form(ftype="submit")
    form.add_field(var="pubsub#max_items", value="100")
    nodes = (NODE, "unknown-to-any-analyser", "recipes")
    for node in nodes:
        await pubsub.create_node(prosody.pubsub, node, config=form)
    for number, title in enumerate(TITLES):
        entry = textwrap.dedent(
            f"""<entry xmlns="http://www.w3.org/2005/Atom"><id>tag:garden:{number}</id><title>{title}</title>
            <author><name>Juliet</name></author><category term="snails"/>
            <published>2026-0{number + 1}-01T12:00:00Z</published></entry>"""
        )
        await pubsub.publish(prosody.pubsub, NODE, id=f"post{number}", payload=ET.fromstring(entry))
    other = ET.fromstring('<thing xmlns="urn:example:thing"/>')
    await pubsub.publish(prosody.pubsub, "unknown-to-any-analyser", id="one", payload=other)
    recipe = ET.fromstring('<recipe xmlns="urn:example:recipe" dish="soup" minutes="40"/>')
    await pubsub.publish(prosody.pubsub, "recipes", id="soup", payload=recipe)
    yield
    for node in nodes:
        await pubsub.delete_node(prosody.pubsub, node)


@pytest.fixture
async def program(prosody: Prosody, tmp_path: Path) -> AsyncIterator[Any]:
    client: Any = new_client(prosody, "juliet")
    client.register_plugin("newsstand", {"database": f"sqlite:///{tmp_path}/program.db"})
    await client.plugin["newsstand"].ready()
    await log_in(client, prosody)
    await client.plugin["newsstand"].replica.session_began()
    yield client
    await client.plugin["newsstand"].close()
    await log_out(client)


@pytest.mark.usefixtures("garden")
@pytest.mark.parametrize("page", ["README.md", "docs/using.md"])
async def test_the_first_line_that_a_page_shows_is_all_that_a_program_needs(
    prosody: Prosody, page: str, tmp_path: Path
) -> None:
    line = examples(ROOT / page)[0]
    assert line.count("\n") == 1
    # In a process that imports nothing of Newsstand, as a program would run it that exists already.
    script = f"""
import asyncio, slixmpp

async def main():
    xmpp = slixmpp.ClientXMPP({prosody.jid("juliet")!r}, {prosody.password!r},
        plugin_config={{"feature_mechanisms": {{"unencrypted_plain": True, "use_mech": "PLAIN"}}}})
    xmpp.enable_plaintext, xmpp.enable_starttls, xmpp.enable_direct_tls = True, False, False
    xmpp.register_plugin("xep_0060")
    {line}
    started = asyncio.Event()
    xmpp.add_event_handler("session_start", lambda _: (xmpp.send_presence(), started.set()))
    xmpp.connect({prosody.host!r}, {prosody.port})
    await started.wait()
    await xmpp.plugin["newsstand"].ready()
    for _ in range(12):  # after ten the node is copied at once
        iq = await xmpp.plugin["xep_0060"].get_items({prosody.pubsub!r}, {NODE!r})
        await xmpp.plugin["newsstand"].replica.settled()
    print(hasattr(iq, "newsstand"), len(iq["pubsub"]["items"]))
    await xmpp.plugin["newsstand"].close()
    await xmpp.disconnect()

asyncio.run(main())
"""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", script, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    out, err = await process.communicate()
    assert (out.decode(), err.decode()) == ("True 3\n", "")
    assert (tmp_path / "news.db").exists()


@pytest.mark.usefixtures("garden")
async def test_the_readme_s_program_runs_as_printed(
    prosody: Prosody, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    class Loopback(slixmpp.ClientXMPP):
        """A client that logs in to the test's server, which is on loopback and has no certificate."""

        def __init__(self, jid: str, password: str) -> None:
            plain = {"feature_mechanisms": {"unencrypted_plain": True, "use_mech": "PLAIN"}}
            super().__init__(jid, password, plugin_config=plain)
            self.enable_plaintext = True
            self.enable_starttls = self.enable_direct_tls = False

        def connect(self, *_: Any) -> Any:
            return super().connect(prosody.host, prosody.port)

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(slixmpp, "ClientXMPP", Loopback)
    program = here(examples(ROOT / "README.md")[1], prosody)
    code = compile(program, "README.md", "exec")
    await asyncio.to_thread(exec, code, {"__name__": "__main__"})  # it starts a loop of its own
    assert capsys.readouterr().out.splitlines() == ["copy False", "['Compost in autumn']"]
    assert (tmp_path / "news.db").exists()


@pytest.mark.usefixtures("garden")
async def test_the_readme_s_analyser_copies_and_parses_recipes(prosody: Prosody, program: Any) -> None:
    replica = program.plugin["newsstand"].replica
    await run(examples(ROOT / "README.md")[2], {"replica": replica})
    pubsub = program.plugin["xep_0060"]
    await pubsub.get_items(prosody.pubsub, "recipes")
    await replica.settled()
    assert (await pubsub.get_items(prosody.pubsub, "recipes")).newsstand.origin is Origin.COPY
    page = await replica.search(type="recipe", where={"minutes": 40})
    assert [item.parsed for item in page.items] == [{"dish": "soup", "minutes": 40}]


@pytest.mark.usefixtures("garden")
async def test_what_docs_using_shows_runs_from_top_to_bottom(
    prosody: Prosody, program: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    replica = program.plugin["newsstand"].replica
    registered, *others = (here(text, prosody) for text in examples(ROOT / "docs/using.md"))
    fresh: Any = new_client(prosody, "juliet")
    await run(registered, {"xmpp": fresh})
    await fresh.plugin["newsstand"].ready()
    await fresh.plugin["newsstand"].close()
    await program.plugin["xep_0060"].get_items(prosody.pubsub, NODE)
    await replica.settled()
    names = {"xmpp": program, "replica": replica}
    for text in others:
        await run(text, names)
        await replica.settled()
    printed = capsys.readouterr().out.splitlines()
    assert printed[0] == "3 3 2 live"
    assert printed[1].startswith("put post")
    assert printed[2] == "True 3"
    assert [line.split()[:2] for line in printed[3:]] == [[NODE, "post2"], [NODE, "post1"], [NODE, "post0"]]


@pytest.mark.usefixtures("garden")
@pytest.mark.parametrize("page", ["README.md", "docs/using.md"])
async def test_the_commands_that_a_page_shows_read_a_post(
    prosody: Prosody, page: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "password").write_text(prosody.password)
    (tmp_path / "password").chmod(0o600)
    for name, value in {
        "ACCOUNT": prosody.jid("juliet"),
        "DATABASE": f"sqlite:///{tmp_path}/news.db",
        "SERVER": f"{prosody.host}:{prosody.port}",
        "PLAINTEXT": "1",
        "PASSWORD_FILE": str(tmp_path / "password"),
    }.items():
        monkeypatch.setenv(f"NEWSSTAND_{name}", value)
    text = (ROOT / page).read_text()
    shown = next(t.content for t in MarkdownIt().parse(text) if t.type == "fence" and "newsstand ls" in t.content)
    said: dict[str, str] = {}
    for line in here(shown, prosody).splitlines():
        verb, *argv = shlex.split(line, comments=True)
        if verb == "export":
            assert argv == [f"NEWSSTAND_ACCOUNT={prosody.jid('juliet')}"]
            continue
        assert verb == "newsstand"
        assert await asyncio.to_thread(main, argv) == 0, capsys.readouterr().err
        said[argv[0]] = said.get(argv[0], "") + capsys.readouterr().out
    assert NODE in said["ls"]
    assert f"{NODE} of {prosody.pubsub}: 3 items, live" in said["sync"]
    assert "Compost in autumn" in said["search"]
    assert "Compost in autumn\tpost0" in said["get"]
    assert NODE in said["nodes"]


def test_the_entry_point_that_docs_using_shows_is_that_of_the_example_package() -> None:
    tokens = MarkdownIt().parse((ROOT / "docs/using.md").read_text())
    (shown,) = (tomllib.loads(t.content) for t in tokens if t.type == "fence" and t.info == "toml")
    whole = tomllib.loads((ROOT / "examples/newsstand-recipes/pyproject.toml").read_text())
    assert shown["project"]["entry-points"] == whole["project"]["entry-points"]


async def test_the_passwords_and_the_statements_that_docs_using_shows_let_a_database_move_between_two_servers(
    guarded: Guarded, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    page = (ROOT / "docs/using.md").read_text().partition("## The database's password")[2]
    shown = {t.info: t.content for t in MarkdownIt().parse(page) if t.type == "fence"}
    # One server stands for both, a database on it for each.
    to_role, to_database = (line for line in shown["sql"].splitlines() if line)
    await guarded.run(to_role, to_database, to_database.replace("DATABASE news", "DATABASE other"))
    one, other = (f"{guarded.where}/{name}" for name in ("news", "other"))
    lines = shown["pgpass"].replace("db.example.org:5432", guarded.where)
    file = tmp_path / ".pgpass"
    file.write_text(lines.replace("other.example.org:5432:*", f"{guarded.where}:other").replace("second", "first"))
    file.chmod(0o600)
    command = shown["sh"].replace("db.example.org/news", one).replace("other.example.org/news", other).split()
    await (await open_database(command[3])).close()
    assert await asyncio.to_thread(main, command[1:]) == 0, capsys.readouterr().err
    assert "copied from the PostgreSQL database 'news'" in capsys.readouterr().out


def test_no_page_has_an_example_that_no_test_runs() -> None:
    run_here = {"README.md": 3, "tutorial.md": 4, "using.md": 5}
    assert {page.name: n for page in PAGES if (n := len(examples(page)))} == run_here


def test_the_plugin_is_registered_by_importing_it() -> None:
    assert newsstand.slixmpp.Newsstand.name == "newsstand"


def test_the_readme_s_program_passes_a_strict_type_checker(tmp_path: Path) -> None:
    """As its user would run it: on a file of his own, with Newsstand installed."""
    (tmp_path / "program.py").write_text(examples(ROOT / "README.md")[1])
    checked = subprocess.run(
        [sys.executable, "-m", "mypy", "--strict", "--config-file=", "program.py"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert checked.returncode == 0, checked.stdout + checked.stderr
