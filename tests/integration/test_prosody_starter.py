"""The throw-away Prosody of the demo and of the tests keeps what its docstring says."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path
from xml.etree.ElementTree import Element

import pytest
from slixmpp import ClientXMPP, ComponentXMPP

from newsstand.demo.servers import process
from newsstand.demo.servers.prosody import Prosody, ServerFailed, ServerMissing
from newsstand.errors import ConfigurationError
from tests.conftest import Connect

pytestmark = pytest.mark.usefixtures("prosody")  # where none is installed: skipped at home, failed in CI


def recipe(text: str) -> Element:
    payload = Element("{urn:example:recipe}recipe")
    payload.text = text
    return payload


async def read(client: ClientXMPP, service: str | None, node: str) -> dict[str, str | None]:
    answer = await client.plugin["xep_0060"].get_items(service, node)
    return {item["id"]: item["payload"].text for item in answer["pubsub"]["items"]}


def is_running(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


async def test_an_admin_creates_a_node_and_another_reads_it(prosody: Prosody, connect: Connect) -> None:
    romeo = await connect("romeo")
    juliet = await connect("juliet")
    await romeo.plugin["xep_0060"].create_node(prosody.pubsub, "starter-recipes")
    await romeo.plugin["xep_0060"].publish(prosody.pubsub, "starter-recipes", id="soup", payload=recipe("stir"))
    assert await read(juliet, prosody.pubsub, "starter-recipes") == {"soup": "stir"}


async def test_an_account_publishes_on_its_own_pep(connect: Connect) -> None:
    juliet = await connect("juliet", plugins=["xep_0198"])
    await juliet.plugin["xep_0060"].publish(None, "urn:example:recipe", id="bread", payload=recipe("bake"))
    assert await read(juliet, None, "urn:example:recipe") == {"bread": "bake"}


async def test_a_node_may_be_configured_to_hold_many_items(prosody: Prosody, connect: Connect) -> None:
    romeo = await connect("romeo")
    form = romeo.plugin["xep_0004"].make_form(ftype="submit")
    form.add_field("FORM_TYPE", "hidden", value="http://jabber.org/protocol/pubsub#node_config")
    form.add_field("pubsub#max_items", value="100000")
    await romeo.plugin["xep_0060"].create_node(prosody.pubsub, "starter-long", config=form)


@pytest.mark.parametrize("end", ["stop", "kill"])
async def test_items_and_the_port_outlive_an_end_and_a_new_start(end: str, connect: Connect) -> None:
    async with Prosody(accounts=["romeo"]) as server:
        port = server.port
        romeo = await connect("romeo", server=server)
        await romeo.plugin["xep_0060"].create_node(server.pubsub, "kept")
        await romeo.plugin["xep_0060"].publish(server.pubsub, "kept", id="1", payload=recipe("keep"))
        disconnected = romeo.disconnected
        await getattr(server, end)()
        await disconnected
        assert server.pid is None
        await server.start()
        assert server.port == port
        again = await connect("romeo", server=server)
        assert await read(again, server.pubsub, "kept") == {"1": "keep"}


async def test_nothing_is_left_after_exit() -> None:
    async with Prosody(accounts=["romeo"]) as server:
        pid, folder = server.pid, server.folder
        assert pid is not None
        assert folder is not None
        assert is_running(pid)
        assert folder.stat().st_mode & 0o077 == 0
    assert not is_running(pid)
    assert not folder.exists()


async def test_the_password_is_in_no_argument_list() -> None:
    async with Prosody() as server:
        assert server.password not in Path(f"/proc/{server.pid}/cmdline").read_text()


PROGRAM = """
import asyncio
from newsstand.demo.servers.prosody import Prosody

async def main():
    async with Prosody(accounts=["romeo"]) as server:
        print(server.pid, server.folder, flush=True)
        await asyncio.Event().wait()

asyncio.run(main())
"""


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux ends a process with its parent")
async def test_the_server_ends_with_a_program_that_is_killed() -> None:
    program = await asyncio.create_subprocess_exec(sys.executable, "-c", PROGRAM, stdout=subprocess.PIPE)
    assert program.stdout is not None
    pid, folder = (await program.stdout.readline()).decode().split()
    # Readable when the server has ended, though it is no child of ours.
    descriptor = os.pidfd_open(int(pid))
    ended = asyncio.Event()
    asyncio.get_running_loop().add_reader(descriptor, ended.set)
    try:
        program.kill()
        await program.wait()
        await ended.wait()
    finally:
        asyncio.get_running_loop().remove_reader(descriptor)
        os.close(descriptor)
        subprocess.run(["rm", "-r", folder], check=True)


async def test_a_program_that_is_interrupted_leaves_nothing() -> None:
    program = await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        PROGRAM,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    assert program.stdout is not None
    pid, folder = (await program.stdout.readline()).decode().split()
    program.send_signal(signal.SIGINT)
    await program.wait()
    assert not is_running(int(pid))
    assert not Path(folder).exists()


async def test_a_port_taken_meanwhile_is_given_up_for_another(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        taken = other.getsockname()[1]
        ports = iter([taken])
        monkeypatch.setattr(
            "newsstand.demo.servers.xmpp_server.free_port", lambda host: next(ports, None) or process.free_port(host)
        )
        async with Prosody(accounts=["romeo"]) as server:
            assert server.port != taken


async def test_a_restart_on_a_port_that_was_taken_says_so() -> None:
    async with Prosody(accounts=["romeo"]) as server:
        await server.stop()
        with socket.socket() as other:
            other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            other.bind((server.host, server.port))
            other.listen()
            with pytest.raises(ServerFailed, match=f"port {server.port} is taken"):
                await server.start()
        await server.start()


async def test_a_missing_server_names_the_line_that_installs_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shutil.which", lambda *_, **__: None)
    with pytest.raises(ServerMissing, match=r"apt-get install .* prosody lua-dbi-sqlite3"):
        async with Prosody():
            raise AssertionError


async def test_a_module_that_does_not_load_fails_the_start_and_leaves_nothing() -> None:
    server = Prosody(modules=["no_such_module"])
    with pytest.raises(ServerFailed, match="no_such_module"):
        await server.start()
    assert server.pid is None
    assert server.folder is None


async def test_an_external_component_logs_in_with_its_own_secret() -> None:
    jids = ("gateway.localhost", "other.localhost")
    async with Prosody(accounts=["romeo"], components=jids) as server:
        assert len({server.component_secret(jid) for jid in jids}) == 2
        assert server.component_port not in (0, server.port)
        for jid in jids:
            component = ComponentXMPP(jid, server.component_secret(jid), server.host, server.component_port)
            began = asyncio.get_running_loop().create_future()
            component.add_event_handler("session_start", began.set_result)
            component.connect(server.host, server.component_port)
            async with asyncio.timeout(10):
                await began
            await component.disconnect()


async def test_the_size_of_stanzas_is_limited_as_asked(connect: Connect) -> None:
    async with Prosody(accounts=["romeo"], stanza_size_limit=2 << 20) as server:
        romeo = await connect("romeo", server=server)
        text = "x" * (1 << 20)  # more than Prosody takes by itself
        await romeo.plugin["xep_0060"].publish(None, "urn:example:recipe", id="long", payload=recipe(text))
        assert await read(romeo, None, "urn:example:recipe") == {"long": text}


def test_an_admin_needs_an_account() -> None:
    with pytest.raises(ConfigurationError, match="nurse"):
        Prosody(accounts=["romeo"], admins=["nurse"])
