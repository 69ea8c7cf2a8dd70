"""The command line gets the password out of the keyring into which the keyring's own tool put it."""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path

import pytest

from newsstand.demo.servers.prosody import Prosody
from tests.conftest import Connect
from tests.fakes import keyrings
from tests.integration._cli import PROCESS_SECONDS, Cli, make_node, run_process

ROOT = Path(__file__).parents[2]


@pytest.fixture
def cli(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Cli:
    cli = Cli(tmp_path, capsys, monkeypatch)
    monkeypatch.setenv(keyrings.FILE, str(tmp_path / "keyring.json"))
    monkeypatch.setenv("PYTHON_KEYRING_BACKEND", "tests.fakes.keyrings.FileKeyring")
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    return cli


async def keyring_set(service: str, account: str, password: str) -> None:
    """`keyring set SERVICE ACCOUNT`, which reads the password."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "keyring", "set", service, account),
        stdin=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env=dict(os.environ),
    )
    async with asyncio.timeout(PROCESS_SECONDS):
        _, err = await process.communicate(password.encode())
    assert process.returncode == 0, err.decode()


async def test_a_password_that_the_keyring_s_tool_was_told_logs_in(
    cli: Cli, prosody: Prosody, connect: Connect, node: str
) -> None:
    await make_node(await connect("romeo"), prosody, node, a="Balcony")
    where = ("--account", prosody.jid("juliet"), "--server", f"{prosody.host}:{prosody.port}", "--plaintext")
    before = await run_process("sync", prosody.pubsub, node, *where)
    assert f"it holds none: keyring set newsstand {prosody.jid('juliet')}" in before.error

    await keyring_set("newsstand", prosody.jid("juliet"), prosody.password)
    synced = await run_process("sync", prosody.pubsub, node, *where, "-v")

    assert synced.code == 0, synced.err
    assert prosody.password not in synced.out + synced.err
    assert prosody.password.encode() not in cli.database.read_bytes()


@pytest.mark.parametrize(
    ("backend", "why"),
    [
        ("tests.fakes.keyrings.LockedKeyring", "KeyringLocked: the collection is locked"),
        ("tests.fakes.no_such_module.Keyring", "ModuleNotFoundError"),
        ("keyring.backends.fail.Keyring", "this machine has none"),
    ],
)
async def test_a_keyring_that_cannot_be_used_is_named_in_the_one_line_of_the_error(
    cli: Cli, monkeypatch: pytest.MonkeyPatch, backend: str, why: str
) -> None:
    monkeypatch.setenv("PYTHON_KEYRING_BACKEND", backend)
    run = await run_process("sync", "pubsub.localhost", "n", "--account", "romeo@localhost")
    assert "no password for romeo@localhost" in run.error
    assert why in run.error
