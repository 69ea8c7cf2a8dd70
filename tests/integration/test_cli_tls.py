"""The command line encrypts, and trusts only certificates that it has a reason to trust."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from newsstand.demo.servers.prosody import Prosody
from tests.conftest import Connect
from tests.integration._cli import Cli, make_node

NODE = "verona"

pytestmark = pytest.mark.usefixtures("prosody")  # where none is installed: skipped at home, failed in CI


@pytest.fixture
def cli(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Cli:
    return Cli(tmp_path, capsys, monkeypatch)


async def make_certificate(folder: Path, name: str) -> tuple[Path, Path]:
    """A self-signed certificate for this name, and its key. Prosody's packages bring openssl along."""
    certificate, key = folder / f"{name}.crt", folder / f"{name}.key"
    process = await asyncio.create_subprocess_exec(
        *("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2"),
        *("-subj", f"/CN={name}", "-addext", f"subjectAltName=DNS:{name}"),
        *("-out", str(certificate), "-keyout", str(key)),
        stderr=asyncio.subprocess.PIPE,
    )
    _, said = await process.communicate()
    assert process.returncode == 0, said.decode()
    return certificate, key


async def start(certificate: tuple[Path, Path], connect: Connect) -> Prosody:
    """A server that has the certificate, with one node."""
    lines = f'ssl = {{ certificate = "{certificate[0]}", key = "{certificate[1]}" }}'
    server = Prosody(accounts=("romeo", "juliet"), modules=("tls",), extra=lines)
    await server.start()
    await make_node(await connect("romeo", server=server), server, NODE, a="Balcony")
    return server


def encrypted(cli: Cli, server: Prosody) -> list[str]:
    return [option for option in cli.login(server) if option != "--plaintext"]


@pytest.fixture
async def certificate(tmp_path: Path) -> tuple[Path, Path]:
    return await make_certificate(tmp_path, "localhost")


async def test_a_certificate_that_is_trusted_is_enough(
    cli: Cli, connect: Connect, certificate: tuple[Path, Path]
) -> None:
    async with await start(certificate, connect) as server:
        run = await cli("sync", server.pubsub, NODE, *encrypted(cli, server), "--ca-file", str(certificate[0]))
    assert run.code == 0, run.err


async def test_a_certificate_of_nobody_known_ends_it(
    cli: Cli, connect: Connect, certificate: tuple[Path, Path]
) -> None:
    async with await start(certificate, connect) as server:
        run = await cli("sync", server.pubsub, NODE, *encrypted(cli, server))
    assert "is not to be trusted (self-signed certificate" in run.error.replace("self signed", "self-signed")


async def test_a_trusted_certificate_of_another_name_ends_it(cli: Cli, connect: Connect, tmp_path: Path) -> None:
    other = await make_certificate(tmp_path, "mantua.example")
    async with await start(other, connect) as server:
        run = await cli("sync", server.pubsub, NODE, *encrypted(cli, server), "--ca-file", str(other[0]))
    assert "is not to be trusted" in run.error
    assert "localhost" in run.error
