"""Analysers of installed packages at work: a package that breaks costs neither the program nor the copy anything."""

from __future__ import annotations

import pytest

from newsstand.model import Origin, SyncState
from newsstand.storage.database import Database
from newsstand.xmpp.transport import Session
from tests.fakes.packages import Packages
from tests.fakes.program import NODE, Program, at_work, contents
from tests.fakes.service import NOTE, Service
from tests.logged import warnings_of_ours

NOTES = f"""
def parse(item, *, service, node):
    return {{"text": item[0].text, "version": VERSION}}

VERSION = 1
NOTES = Analyser("installed", "notes", namespace="{NOTE}", to_sync=True, parser=parse, version=VERSION)
"""
BROKEN = "import no_module_of_this_name"


@pytest.fixture
def service() -> Service:
    service = Service()
    service.create(NODE, "a", "b")
    return service


async def found(program: Program, text: str) -> list[str]:
    await program.settled()
    return [item.id for item in (await program.replica.search(where={"text": text})).items]


async def test_a_node_that_an_installed_package_wants_is_copied_parsed_and_found(
    database: Database, service: Service, packages: Packages
) -> None:
    packages.install("notes", NOTES, notes="NOTES")
    async with at_work(database, service, analysers=()) as program:
        await program.follow()
        record = program.copy().record
        assert (record.analyser, record.type) == ("installed", "notes")
        assert await found(program, "first b") == ["b"]


async def test_the_program_s_own_comes_before_an_installed_one(
    database: Database, service: Service, packages: Packages
) -> None:
    packages.install("notes", NOTES, notes="NOTES")
    async with at_work(database, service) as program:
        await program.follow()
        assert program.copy().record.analyser == "notes"


async def test_a_program_may_leave_them_out(database: Database, service: Service, packages: Packages) -> None:
    packages.install("notes", NOTES, notes="NOTES")
    async with at_work(database, service, analysers=(), entry_points=False) as program:
        await program.read()
        await program.asks_service()
        assert "installed" not in [analyser.name for analyser in program.replica.analysers]


async def test_a_package_that_breaks_loses_no_node_and_once_repaired_parses_what_came_meanwhile(
    database: Database, service: Service, packages: Packages, caplog: pytest.LogCaptureFixture
) -> None:
    packages.install("notes", NOTES, notes="NOTES")
    async with at_work(database, service, analysers=()) as program:
        await program.follow()
        assert await found(program, "first a") == ["a"]

    packages.install("notes", BROKEN, notes="NOTES")
    packages.forget()
    async with at_work(database, service, analysers=()) as program:
        assert [warning.partition(":")[0] for warning in warnings_of_ours(caplog)] == [
            "the analysers of notes (entry point 'notes') are left out"
        ]
        early = await program.read()  # before the copy is live again: the service's answer is looked at
        assert contents(early) == service.contents(NODE)
        await program.serves_live()
        service.publish(NODE, "c", "news")
        await program.serves_live()
        program.stream.turn(Session.LOST, Session.FRESH)
        await program.serves_live()
        assert service.is_subscribed(NODE)
        assert program.copy().record.analyser == "installed"
        assert await found(program, "first a") == ["a"]
        assert await found(program, "news") == []

    packages.install("notes", NOTES, notes="NOTES")
    packages.forget()
    async with at_work(database, service, analysers=()) as program:
        await program.serves_live()
        assert await found(program, "news") == ["c"]


async def test_a_package_of_a_higher_version_parses_what_is_stored_anew(
    database: Database, service: Service, packages: Packages
) -> None:
    for version in (1, 2):
        packages.install("notes", NOTES.replace("VERSION = 1", f"VERSION = {version}"), notes="NOTES")
        packages.forget()
        async with at_work(database, service, analysers=()) as program:
            await program.follow()
            page = await program.replica.search(node=NODE)
            assert {(item.parsed or {}).get("version") for item in page.items} == {version}


async def test_a_node_whose_package_was_taken_away_is_dropped(
    database: Database, service: Service, packages: Packages
) -> None:
    packages.install("notes", NOTES, notes="NOTES")
    async with at_work(database, service, analysers=()) as program:
        await program.follow()
    packages.uninstall("notes")
    packages.forget()
    async with at_work(database, service, analysers=()) as program:
        await program.settled()
        assert program.copy().record.state is SyncState.UNSYNCED
        assert not service.is_subscribed(NODE)
        assert (await program.read()).origin is Origin.SERVICE
