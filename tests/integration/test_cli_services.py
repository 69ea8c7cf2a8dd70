"""The nodes of a service are listed, several are synchronised at once, and options come from the environment."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET
from xml.etree.ElementTree import Element

import pytest

from newsstand.cli import services
from newsstand.demo.servers.prosody import Prosody
from newsstand.model import NS_DISCO_ITEMS
from tests.conftest import Connect
from tests.integration._cli import Cli, make_node


@pytest.fixture
def cli(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Cli:
    return Cli(tmp_path, capsys, monkeypatch)


@pytest.fixture
async def nodes(prosody: Prosody, connect: Connect, node: str) -> AsyncIterator[tuple[str, str]]:
    """Two nodes, of two items and one."""
    romeo = await connect("romeo")
    other = f"{node}-2"
    await make_node(romeo, prosody, node, a="Balcony", b="Nightingale")
    await make_node(romeo, prosody, other, c="Tomb")
    yield node, other
    await romeo.plugin["xep_0060"].delete_node(prosody.pubsub, other)


async def test_the_nodes_of_a_service_are_listed_with_what_is_copied(
    cli: Cli, prosody: Prosody, nodes: tuple[str, str]
) -> None:
    node, other = nodes
    login = cli.login(prosody)
    assert (await cli("sync", prosody.pubsub, node, *login)).code == 0

    listed = {row[0]: row[1:] for row in (await cli("ls", prosody.pubsub, *login)).rows}
    assert listed[node] == ["blog", "stale", "2", ""]
    assert listed[other] == ["", "not copied", "", ""]
    facts = {f["node"]: f for f in (await cli("ls", prosody.pubsub, "--json", *login)).json["nodes"]}
    assert (facts[node]["copied"], facts[node]["items"]) == (True, 2)
    assert (facts[other]["copied"], facts[other]["state"]) == (False, None)


async def test_what_tells_of_no_nodes_is_said(cli: Cli, prosody: Prosody) -> None:
    login = cli.login(prosody)
    none = await cli("ls", prosody.jid("juliet").partition("@")[2], *login)
    assert (none.code, none.out) == (0, "")
    assert f"of no node, but of {prosody.pubsub}" in none.err
    assert "is not a JID" in (await cli("ls", "@", *login)).error
    assert "nowhere.localhost" in (await cli("ls", "nowhere.localhost", *login)).error


async def test_several_nodes_are_synchronised_in_one_session_and_one_that_fails_does_not_keep_the_others(
    cli: Cli, prosody: Prosody, nodes: tuple[str, str]
) -> None:
    node, other = nodes
    run = await cli("sync", prosody.pubsub, node, "elsewhere", other, node, *cli.login(prosody))
    assert run.code == 1
    assert [line.partition(", in ")[0] for line in run.out.splitlines()] == [
        f"{node} of {prosody.pubsub}: 2 items, live",
        f"{other} of {prosody.pubsub}: 1 item, live",
    ]
    (told,) = run.err.splitlines()
    assert "has no node 'elsewhere'" in told
    assert {row[1] for row in (await cli("nodes")).rows} >= {node, other}
    again = await cli("sync", prosody.pubsub, other, node, *cli.login(prosody))
    assert (again.code, again.err) == (0, "")


async def test_a_connection_s_options_come_from_the_environment(
    cli: Cli, prosody: Prosody, nodes: tuple[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    _, account, _, file, _, server, _ = cli.login(prosody)
    for name, value in (("ACCOUNT", account), ("PASSWORD_FILE", file), ("SERVER", server), ("PLAINTEXT", "1")):
        monkeypatch.setenv(f"NEWSSTAND_{name}", value)
    assert len((await cli("get", prosody.pubsub, nodes[0])).rows) == 2


async def test_a_name_that_is_none_brings_what_was_perhaps_meant(
    cli: Cli, prosody: Prosody, nodes: tuple[str, str]
) -> None:
    node, _ = nodes
    assert (await cli("sync", prosody.pubsub, node, *cli.login(prosody))).code == 0
    offline = await cli("get", prosody.pubsub, f"x{node}", "--offline")
    assert f"did you mean {node!r}?" in offline.error
    for verb in ("get", "sync", "watch"):
        online = await cli(verb, prosody.pubsub, f"x{node}", *cli.login(prosody))
        assert f"{prosody.pubsub} has no node 'x{node}'" in online.error
        assert f"did you mean {node!r}?" in online.error
    assert "did you mean 'blog'?" in (await cli("search", "--type", "blgo")).error
    for argv, what in (
        (("--node", f"x{node}"), f"there is no node 'x{node}': did you mean {node!r}?"),
        (("--service", "elsewhere.example"), f"there is no service 'elsewhere.example': there are {prosody.pubsub}"),
    ):
        assert (await cli("search", *argv)).err == f"newsstand: nothing found; {what}\n"
    assert (await cli("search", "--type", "nick")).err == "newsstand: nothing found\n"


class Pages:
    """A service that tells of its nodes a few at a time."""

    def __init__(self, *pages: str) -> None:
        self._pages = list(pages)
        self.asked: list[str] = []

    async def ask(self, service: str, payload: Element) -> Element:
        self.asked.append(payload.findtext(".//{http://jabber.org/protocol/rsm}after") or "")
        items, _, rest = self._pages.pop(0).partition("|")
        listed = "".join(f"<item jid='{service}' node='{name}'/>" for name in items.split())
        rsm = f"<set xmlns='http://jabber.org/protocol/rsm'>{rest}</set>" if rest else ""
        return ET.fromstring(f"<iq><query xmlns='{NS_DISCO_ITEMS}'>{listed}{rsm}</query></iq>")


@pytest.mark.parametrize(
    ("pages", "found", "asked"),
    [
        (["a b"], "a b", [""]),
        (["a b|<last>b</last><count>2</count>"], "a b", [""]),
        (["a b|<last>b</last><count>3</count>", "c|<last>c</last><count>3</count>"], "a b c", ["", "b"]),
        (["a b|<last>b</last><count>9</count>", "a b|<last>b</last><count>9</count>"], "a b", ["", "b"]),
        (["a|<count>9</count>"], "a", [""]),
    ],
)
async def test_a_service_that_tells_of_its_nodes_by_pages_is_asked_for_all(
    pages: list[str], found: str, asked: list[str]
) -> None:
    service: Any = Pages(*pages)
    nodes, others = await services._nodes_of(service, "pubsub.example.org")
    assert (list(nodes), others) == (found.split(), [])
    assert service.asked == asked
