"""A PostgreSQL that asks for a password: where it comes from, and what is said where it is wrong, or where there is no
server, or no right."""

from __future__ import annotations

import asyncio
import traceback
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from urllib.parse import quote

import pytest
from sqlalchemy import select, text

from newsstand.errors import ConfigurationError, DatabaseError
from newsstand.storage.database import check_url, find_revision, migrate, open_database
from newsstand.storage.mapping import PubsubItem
from newsstand.storage.schema import dialects
from newsstand.storage.statements import items
from tests.contract._storage import apply, make_node, put
from tests.databases import Guarded, Login

SOON = 5.0
"""Seconds. A wrong password is not tried for longer."""


@pytest.fixture(autouse=True)
async def _soon() -> AsyncIterator[None]:
    async with asyncio.timeout(SOON):
        yield


@pytest.fixture
async def login(guarded: Guarded) -> Login:
    return await guarded.new()


def _in_url(login: Login, folder: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    return login.url.replace("@", f":{quote(login.password, safe='')}@")


def _in_query(login: Login, folder: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    return f"{login.url}?password={quote(login.password)}"


def _in_environment(login: Login, folder: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv("PGPASSWORD", login.password)
    return login.url


def _in_home(login: Login, folder: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    _write(folder / ".pgpass", login)
    return login.url


def _in_file(login: Login, folder: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv("PGPASSFILE", str(_write(folder / "passwords", login)))
    return login.url


def _in_file_of_url(login: Login, folder: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    return f"{login.url}?passfile={_write(folder / 'passwords', login)}"


def _in_service(login: Login, folder: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    host, _, port = login.where.partition(":")
    file = folder / ".pg_service.conf"
    file.write_text(
        f"[news]\nhost={host}\nport={port}\nuser={login.role}\npassword={login.password}\n", encoding="utf-8"
    )
    return f"postgresql:///{login.database}?service=news"


def _write(file: Path, login: Login) -> Path:
    file.write_text(login.line, encoding="utf-8")
    file.chmod(0o600)
    return file


WAYS = (_in_url, _in_query, _in_environment, _in_home, _in_file, _in_file_of_url, _in_service)
Way = Callable[[Login, Path, pytest.MonkeyPatch], str]


@pytest.mark.parametrize("way", WAYS, ids=lambda way: way.__name__.strip("_"))
async def test_a_program_logs_in_with_each_of_its_connections(
    way: Way, login: Login, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    database = await open_database(way(login, tmp_path, monkeypatch))
    told: asyncio.Queue[int] = asyncio.Queue()
    database.listen(told.put_nowait)
    node = await make_node(database)
    await apply(database, node, put("a"))
    assert await database.read(items.held_ids, node.id) == ["a"]
    assert await database.scan(items.held_ids, node.id) == ["a"]
    async with database.session() as session:
        assert (await session.scalars(select(PubsubItem.item_id))).all() == ["a"]
    while told.empty():  # who listens does so in its own time
        await database.write(lambda conn: dialects.notify(conn, node.id))
    assert told.get_nowait() == node.id
    await database.close()


def said(error: BaseException) -> str:
    return "".join(traceback.format_exception(error))


@pytest.mark.parametrize("given", [None, "", "n@t mine"])
async def test_without_the_right_password_where_it_comes_from_is_told(
    given: str | None, login: Login, monkeypatch: pytest.MonkeyPatch
) -> None:
    if given is not None:
        monkeypatch.setenv("PGPASSWORD", given)
    for do in (open_database, find_revision, lambda url: migrate(url, "head")):
        with pytest.raises(
            DatabaseError, match=r'failed for user "role_\d+"; a password is taken from ~/\.pgpass'
        ) as e:
            await do(login.url)
        assert login.password not in said(e.value)
        assert not given or given not in said(e.value)


async def test_a_password_that_is_changed_later_is_an_error_of_ours(
    guarded: Guarded, login: Login, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PGPASSWORD", login.password)
    database = await open_database(login.url)
    node = await make_node(database)
    assert await database.read(items.held_ids, node.id) == []
    await guarded.change_password(login, "another")

    async def in_session() -> None:
        async with database.session() as session:
            await session.execute(text("SELECT 1"))

    for use in (
        database.read(items.held_ids, node.id),
        database.scan(items.held_ids, node.id),
        apply(database, node, put("a")),
        in_session(),
    ):
        with pytest.raises(DatabaseError, match=r"\.pgpass"):
            await use
    await guarded.change_password(login, login.password)
    await apply(database, node, put("b"))
    assert await database.read(items.held_ids, node.id) == ["b"]
    await database.close()


async def test_who_is_not_let_in_is_told_what_decides_that(guarded: Guarded, login: Login) -> None:
    await guarded.run("DROP ROLE IF EXISTS stranger", "CREATE ROLE stranger LOGIN")
    with pytest.raises(DatabaseError, match=r"pg_hba\.conf rejects connection .*; name another role .* pg_hba\.conf"):
        await open_database(login.url.replace(login.role, "stranger"))


async def test_a_role_that_may_not_make_tables_is_told_the_right_that_it_lacks(
    guarded: Guarded, login: Login, monkeypatch: pytest.MonkeyPatch
) -> None:
    owner = await guarded.new()
    monkeypatch.setenv("PGPASSWORD", login.password)
    url = owner.url.replace(owner.role, login.role)
    grant = f"GRANT ALL ON SCHEMA public TO {login.role}"
    with pytest.raises(DatabaseError, match="permission denied for schema public; the database's owner") as raised:
        await open_database(url)
    assert grant in str(raised.value)
    await guarded.run("REVOKE USAGE ON SCHEMA public FROM public", database=owner.database)
    with pytest.raises(DatabaseError, match="no schema has been selected") as raised:
        await open_database(url)
    assert grant in str(raised.value)
    await guarded.run(grant, database=owner.database)
    await (await open_database(url)).close()


async def test_a_role_that_may_not_use_the_tables_of_another_is_told_so(
    guarded: Guarded, login: Login, monkeypatch: pytest.MonkeyPatch
) -> None:
    owner = await guarded.new()
    monkeypatch.setenv("PGPASSWORD", login.password)
    await (await open_database(owner.url)).close()
    url = owner.url.replace(owner.role, login.role)
    grant = f"GRANT ALL ON ALL TABLES IN SCHEMA public TO {login.role}"
    with pytest.raises(DatabaseError, match="permission denied for table newsstand_version; ") as raised:
        await open_database(url)
    assert grant in str(raised.value)
    await guarded.run(grant, grant.replace("TABLES", "SEQUENCES"), database=owner.database)
    database = await open_database(url)
    node = await make_node(database)
    await apply(database, node, put("a"))
    assert await database.read(items.held_ids, node.id) == ["a"]
    await database.close()


@pytest.mark.parametrize(
    "where", ["juliet@127.0.0.1:1/news", "juliet@localhost:1/news", "juliet@none.invalid/news", "/news?host=/none"]
)
@pytest.mark.usefixtures("guarded")
async def test_a_server_that_is_not_there_is_told_of(where: str) -> None:
    with pytest.raises(DatabaseError, match=r"'news' on .*; is the server running there") as raised:
        await open_database(f"postgresql://{where}")
    assert "\n" not in str(raised.value)


@pytest.mark.usefixtures("guarded")
async def test_a_server_that_says_nothing_is_not_waited_for_any_longer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("newsstand.storage.postgresql.connections.CONNECT_SECONDS", 0.1)
    taken: list[asyncio.StreamWriter] = []
    silent = await asyncio.start_server(lambda _, writer: taken.append(writer), "127.0.0.1", 0)
    port = silent.sockets[0].getsockname()[1]
    with pytest.raises(DatabaseError, match=r"no answer within 0\.1 s; is the server running there"):
        await open_database(f"postgresql://juliet@127.0.0.1:{port}/news")
    silent.close()
    for writer in taken:
        writer.close()
    await silent.wait_closed()


async def test_a_certificate_that_is_missing_is_not_taken_for_a_server_that_is(login: Login) -> None:
    with pytest.raises(DatabaseError) as raised:
        await open_database(f"{login.url}?sslmode=verify-full&sslrootcert=/none")
    assert "is the server running" not in str(raised.value)


@pytest.mark.parametrize("url", ["postgresql://juliet:p@ss@127.0.0.1/news", "postgresql://juliet:p@s/s@127.0.0.1/news"])
def test_a_password_that_is_written_wrong_is_refused_before_half_of_it_is_told(url: str) -> None:
    with pytest.raises(ConfigurationError, match="write %40") as raised:
        check_url(url)
    assert "ss" not in str(raised.value).replace("password", "").replace("~/.pgpass", "")


async def test_no_line_of_a_broken_service_file_is_told(
    login: Login, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for broken in ("[news]\nport=1\npassword=half%way\n", "password=half%way\n"):
        (tmp_path / ".pg_service.conf").write_text(broken, encoding="utf-8")
        with pytest.raises(ConfigurationError, match="service file") as raised:
            await open_database("postgresql:///news?service=news")
        assert "half%way" not in said(raised.value)
