"""The command line makes copies, shows them, and searches them."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from xml.etree.ElementTree import Element

import pytest
from slixmpp import ClientXMPP

from newsstand import Analyser
from newsstand.demo.servers.prosody import Prosody
from tests.conftest import Connect, log_in
from tests.integration._cli import Cli, bookmark, make_node, post
from tests.integration._program import OpenProgram


@pytest.fixture
def cli(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Cli:
    return Cli(tmp_path, capsys, monkeypatch)


async def publish(client: ClientXMPP, service: str | None, node: str, item_id: str, payload: Any) -> None:
    await client.plugin["xep_0060"].publish(service, node, id=item_id, payload=payload)


async def synchronise(cli: Cli, server: Prosody, service: str, node: str, account: str = "juliet") -> None:
    run = await cli("sync", service, node, *cli.login(server, account))
    assert run.code == 0, run.err


async def test_a_synchronised_node_is_got_without_a_connection(
    cli: Cli, prosody: Prosody, connect: Connect, node: str
) -> None:
    await make_node(await connect("romeo"), prosody, node, a="Balcony", b="Nightingale")

    synced = await cli("sync", prosody.pubsub, node, *cli.login(prosody))
    assert (synced.code, synced.err) == (0, "")
    assert synced.out.startswith(f"{node} of {prosody.pubsub}: 2 items, live, in ")

    got = await cli("get", prosody.pubsub, node, "--offline")
    assert got.rows == [
        ["2024-05-01T10:00:00Z", "blog", "Balcony", "a", prosody.pubsub, node, ""],
        ["2024-05-01T10:00:00Z", "blog", "Nightingale", "b", prosody.pubsub, node, ""],
    ]
    assert "this is the copy, compared with the service" in got.err


async def test_get_asks_the_service_and_needs_no_copy(cli: Cli, prosody: Prosody, connect: Connect, node: str) -> None:
    await make_node(await connect("romeo"), prosody, node, a="Balcony", b="Nightingale", c="Lark")
    login = cli.login(prosody)

    whole = await cli("get", prosody.pubsub, node, *login)
    assert [row[2:4] for row in whole.rows] == [["Balcony", "a"], ["Nightingale", "b"], ["Lark", "c"]]
    assert whole.err == ""
    newest = await cli("get", prosody.pubsub, node, "--max", "2", *login)
    assert [row[3] for row in newest.rows] == ["b", "c"]
    named = await cli("get", prosody.pubsub, node, "--id", "c", "--id", "owl", "--id", "a", *login)
    assert [row[3] for row in named.rows] == ["c", "a"]
    assert named.err == "newsstand: no such item: 'owl'\n"


async def test_get_sees_what_was_published_after_the_copy_was_made(
    cli: Cli, prosody: Prosody, connect: Connect, node: str
) -> None:
    romeo = await connect("romeo")
    await make_node(romeo, prosody, node, a="Balcony")
    await synchronise(cli, prosody, prosody.pubsub, node)
    await publish(romeo, prosody.pubsub, node, "b", post("Tomb"))

    offline = await cli("get", prosody.pubsub, node, "--offline", "--json")
    assert [item["id"] for item in offline.json["items"]] == ["a"]
    asked = await cli("get", prosody.pubsub, node, "--json", *cli.login(prosody))
    assert [item["id"] for item in asked.json["items"]] == ["a", "b"]


async def test_get_as_json_says_where_the_answer_came_from(
    cli: Cli, prosody: Prosody, connect: Connect, node: str
) -> None:
    await make_node(await connect("romeo"), prosody, node, a="Balcony")
    await synchronise(cli, prosody, prosody.pubsub, node)

    copy = (await cli("get", prosody.pubsub, node, "--offline", "--json")).json
    service = (await cli("get", prosody.pubsub, node, "--refresh", "--json", *cli.login(prosody))).json

    assert (copy["origin"], copy["stale"], copy["complete"]) == ("copy", True, True)
    assert copy["verified_at"].endswith("Z")
    assert (service["origin"], service["stale"]) == ("service", False)
    assert service["verified_at"] >= copy["verified_at"]
    (held,), (seen,) = copy["items"], service["items"]
    assert held["xml"] == seen["xml"]
    assert held["parsed"] == seen["parsed"]
    assert held["parsed"]["title"] == "Balcony"


async def test_a_node_of_an_account_is_read_under_the_jid_of_the_account(
    cli: Cli, prosody: Prosody, connect: Connect
) -> None:
    nurse = await connect("nurse")
    await publish(nurse, None, "http://jabber.org/protocol/nick", "current", nick("Angelica"))
    jid = prosody.jid("nurse")

    await synchronise(cli, prosody, jid, "http://jabber.org/protocol/nick", "nurse")

    got = await cli("get", jid.upper(), "http://jabber.org/protocol/nick", "--offline")
    assert [row[1:5] for row in got.rows] == [["nick", "Angelica", "current", jid]]


def nick(name: str) -> Element:
    element = Element("{http://jabber.org/protocol/nick}nick")
    element.text = name
    return element


async def test_the_password_of_a_bookmark_is_shown_only_when_secrets_are_asked_for(
    cli: Cli, prosody: Prosody, connect: Connect
) -> None:
    node, jid = "urn:xmpp:bookmarks:1", prosody.jid("juliet")
    await publish(await connect("juliet"), None, node, "capulets@muc.example", bookmark("Family", "poison"))
    login = cli.login(prosody)
    await synchronise(cli, prosody, jid, node)

    for argv in (
        ["get", jid, node, "--offline", "--json"],
        ["get", jid, node, "--refresh", "--json", *login],
        ["get", jid, node, "--refresh", "-v", *login],
        ["get", jid, node, "--offline"],
        ["search", "Family", "--json"],
        ["search", "Family"],
        ["search", "poison", "--json"],
        ["nodes", "--json"],
    ):
        run = await cli(*argv)
        assert run.code == 0
        assert "poison" not in run.out + run.err, argv

    withheld = (await cli("get", jid, node, "--offline", "--json")).json["items"][0]
    assert withheld["withheld"] == ["password"]
    asked = (await cli("get", jid, node, "--offline", "--json", "--secrets")).json["items"][0]
    assert "<password>poison</password>" in asked["xml"]
    assert "withheld" not in asked


async def test_nodes_tells_how_well_each_node_is_known(cli: Cli, prosody: Prosody, connect: Connect, node: str) -> None:
    await make_node(await connect("romeo"), prosody, node, a="Balcony", b="Nightingale")
    await synchronise(cli, prosody, prosody.pubsub, node)

    (row,) = (await cli("nodes")).rows
    assert row[:5] == [prosody.pubsub, node, "blog", "stale", "2"]
    (facts,) = (await cli("nodes", "--json")).json["nodes"]
    assert (facts["account"], facts["node"], facts["items"]) == (prosody.jid("juliet"), node, 2)
    assert (facts["complete"], facts["subscription"]) == (True, "subscribed")
    assert facts["verified_at"] == row[5]


async def test_search_finds_words_types_nodes_and_fields(
    cli: Cli, prosody: Prosody, connect: Connect, node: str
) -> None:
    romeo = await connect("romeo")
    await make_node(romeo, prosody, node, a="The Balcony", b="The Nightingale")
    await make_node(romeo, prosody, f"{node}-2", c="The Balcony again")
    await publish(
        await connect("juliet"), None, "urn:xmpp:bookmarks:1", "balcony@muc.example", bookmark("Balcony", "x")
    )
    jid = prosody.jid("juliet")
    for service, name in ((prosody.pubsub, node), (prosody.pubsub, f"{node}-2"), (jid, "urn:xmpp:bookmarks:1")):
        await synchronise(cli, prosody, service, name)

    async def ids(*argv: str) -> set[str]:
        return {row[3] for row in (await cli("search", *argv)).rows}

    assert await ids("BALCONY") >= {"a", "c", "balcony@muc.example"}
    assert await ids("the balcóny") == {"a", "c"}
    assert await ids("balcony", "--type", "blog", "--node", node) == {"a"}
    assert "balcony@muc.example" in await ids("--service", jid)
    assert not {"a", "b", "c"} & await ids("--service", jid)
    assert await ids("--where", "title", "=", "The Nightingale") == {"b"}
    assert "balcony@muc.example" in await ids("--where", "autojoin", "=", "true", "--where", "name", "=", "Balcony")
    assert await ids("--where", "name", "=", '"true"') == set()
    nothing = await cli("search", "owl")
    assert (nothing.code, nothing.out, nothing.err) == (0, "", "newsstand: nothing found\n")


async def test_search_goes_from_page_to_page_by_its_cursor(
    cli: Cli, prosody: Prosody, connect: Connect, node: str
) -> None:
    await make_node(await connect("romeo"), prosody, node, a="One", b="Two", c="Three")
    await synchronise(cli, prosody, prosody.pubsub, node)

    first = (await cli("search", "--limit", "2", "--json")).json
    assert (len(first["items"]), first["total"]) == (2, 3)
    rest = (await cli("search", "--limit", "2", "--after", str(first["next"]), "--json")).json
    assert {item["id"] for item in first["items"] + rest["items"]} == {"a", "b", "c"}
    assert rest["next"] is None
    for_people = await cli("search", "--limit", "2")
    assert for_people.err == f"newsstand: 2 of 3; the next page: --after {first['next']}\n"


async def test_what_strangers_wrote_cannot_command_a_terminal(
    cli: Cli, prosody: Prosody, connect: Connect, node: str
) -> None:
    evil = "a\N{RIGHT-TO-LEFT OVERRIDE}b\x9b2Jc\nd\te"
    await make_node(await connect("romeo"), prosody, node, a=evil)
    await synchronise(cli, prosody, prosody.pubsub, node)

    (row,) = (await cli("search")).rows
    assert "\x9b" not in row[2]
    assert "\N{RIGHT-TO-LEFT OVERRIDE}" not in row[2]
    assert row[3] == "a"


async def test_a_complete_copy_stands_in_where_the_server_is_down(cli: Cli, connect: Connect) -> None:
    async with Prosody(accounts=("romeo", "juliet")) as server:
        romeo = await connect("romeo", server=server)
        await make_node(romeo, server, "verona", a="Balcony")
        await synchronise(cli, server, server.pubsub, "verona")
        await server.stop()
        login = cli.login(server)

        got = await cli("get", server.pubsub, "verona", *login)
        assert [row[3] for row in got.rows] == ["a"]
        unreachable, stale = got.err.splitlines()
        assert f"cannot reach 127.0.0.1:{server.port} (connection refused)" in unreachable
        assert "this is the copy" in stale
        as_json = await cli("get", server.pubsub, "verona", "--json", *login)
        assert (as_json.json["origin"], as_json.json["stale"]) == ("copy", True)

        refreshed = await cli("get", server.pubsub, "verona", "--refresh", *login)
        assert "cannot reach" in refreshed.error
        unknown = await cli("get", server.pubsub, "mantua", *login)
        assert "cannot reach" in unknown.error


async def test_a_copy_of_one_account_is_not_shown_to_another(
    cli: Cli, prosody: Prosody, connect: Connect, node: str
) -> None:
    await make_node(await connect("romeo"), prosody, node, a="Balcony")
    await synchronise(cli, prosody, prosody.pubsub, node, "juliet")

    nurse = prosody.jid("nurse")
    other = await cli("get", prosody.pubsub, node, "--offline", "--account", nurse)
    assert f"the database holds nothing of {nurse}, only of {prosody.jid('juliet')}" in other.error
    before = (await cli("nodes", "--json")).json["nodes"]
    await synchronise(cli, prosody, prosody.pubsub, node, "nurse")
    assert (await cli("nodes", "--json", "--account", prosody.jid("juliet"))).json["nodes"] == before
    unnamed = await cli("search", "Balcony")
    assert "choose one with --account" in unnamed.error
    named = await cli("search", "Balcony", "--account", nurse, "--json")
    assert [item["account"] for item in named.json["items"]] == [nurse]
    assert {record["account"] for record in (await cli("nodes", "--json", "--account", nurse)).json["nodes"]} == {nurse}


async def test_a_command_leaves_the_other_nodes_of_a_database_alone(
    cli: Cli, prosody: Prosody, connect: Connect, node: str
) -> None:
    romeo = await connect("romeo")
    await make_node(romeo, prosody, node, a="Balcony")
    await make_node(romeo, prosody, f"{node}-2", b="Tomb")
    await synchronise(cli, prosody, prosody.pubsub, node)
    before = (await cli("nodes", "--json")).json["nodes"]

    await publish(romeo, prosody.pubsub, node, "news", post("News"))
    await synchronise(cli, prosody, prosody.pubsub, f"{node}-2")

    after = (await cli("nodes", "--json")).json["nodes"]
    assert [record for record in after if record["node"] == node] == before


async def test_what_a_programs_own_analyser_made_of_a_node_is_kept(
    cli: Cli, prosody: Prosody, connect: Connect, open_program: OpenProgram, node: str
) -> None:
    def parse_nick(item: Element, *, service: str, node: str) -> dict[str, Any]:
        return {"name": item[0].text}

    romeo = await connect("romeo")
    await make_node(romeo, prosody, f"{node}-2", b="Tomb")
    await romeo.plugin["xep_0060"].create_node(prosody.pubsub, node)
    await publish(romeo, prosody.pubsub, node, "a", nick("Angelica"))
    program = await open_program(database=f"sqlite:///{cli.database}", online=False)
    own = Analyser("nurses", "nurse", node=node, to_sync=True, parser=parse_nick)
    program.replica.register_analyser(own)
    await log_in(program.client, prosody)
    await program.follow(node)
    await program.newsstand.close()

    for followed in (f"{node}-2", node):
        await synchronise(cli, prosody, prosody.pubsub, followed)
        await cli("get", prosody.pubsub, followed, *cli.login(prosody))
        found = await cli("search", "--type", "nurse", "--where", "name", "=", "Angelica")
        assert [row[1:4] for row in found.rows] == [["nurse", "Angelica", "a"]]
