"""The ten things that the system was asked for. Each has its test here, with a real server behind the program."""

from __future__ import annotations

import asyncio
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import sqlalchemy
from sqlalchemy import select

from newsstand import Analyser
from newsstand.default_place import default_database
from newsstand.demo.servers.prosody import Prosody
from newsstand.model import SyncState, Verdict
from newsstand.storage import mapping
from newsstand.storage.mapping import PubsubItem, PubsubNode
from newsstand.storage.schema import versioning
from tests.conftest import Connect
from tests.integration._program import (
    OpenProgram,
    assert_copy_equals_service,
    canonical,
    canonical_iq,
    create_node,
    entry,
    ids_of,
    is_hit,
    recipe,
)


def parse_recipe(item: Any, *, service: str, node: str) -> dict[str, Any]:
    return {"dish": item[0].text, "kitchen": {"node": node}}


def revision_of(database: Path) -> str | None:
    engine = sqlalchemy.create_engine(f"sqlite:///{database}")
    with engine.connect() as conn:
        revision = versioning.current(conn)
    engine.dispose()
    return revision


async def test_point_01_what_was_read_is_kept_by_the_orm_in_sqlite_whose_schema_alembic_made(
    prosody: Prosody, connect: Connect, open_program: OpenProgram, node: str, tmp_path: Path
) -> None:
    romeo = await connect("romeo")
    await create_node(romeo, prosody.pubsub, node, 3)
    program = await open_program()
    await program.follow(node)
    await program.newsstand.close()

    assert default_database().startswith("sqlite:///")
    assert revision_of(tmp_path / "news.db") == versioning.revisions()[-1]
    engine = sqlalchemy.create_engine(f"sqlite:///{tmp_path}/news.db")
    with sqlalchemy.orm.Session(engine) as session:
        items = session.scalars(select(PubsubItem).order_by(PubsubItem.position)).unique().all()
        assert [item.item_id for item in items] == ["id0", "id1", "id2"]
    engine.dispose()


async def test_point_02_the_mapping_is_one_module_and_a_program_uses_and_changes_mapped_objects_directly(
    prosody: Prosody, connect: Connect, open_program: OpenProgram, node: str
) -> None:
    mapped = {mapper.class_.__module__ for mapper in mapping.Base.registry.mappers}
    assert mapped == {"newsstand.storage.mapping"}

    romeo = await connect("romeo")
    await create_node(romeo, prosody.pubsub, node, 2)
    program = await open_program()
    await program.follow(node)
    async with program.replica.session() as session:
        stored = await session.scalar(select(PubsubNode).where(PubsubNode.name == node))
        item = await session.get(PubsubItem, PubsubItem.key(stored.id, "id1"))
        assert item.node is stored
        item.parsed = {**item.parsed, "summary": "rosemary is for remembrance", "note": "pansies are for thoughts"}
        await session.commit()
    # Words are cut again from the fields that the analyser names; any field can be asked for.
    for page in (
        await program.replica.search("remembrance", node=node),
        await program.replica.search(where={"note": "pansies are for thoughts"}, node=node),
    ):
        assert [found.id for found in page.items] == ["id1"]
    assert (await program.replica.search("pansies", node=node)).items == []


async def test_point_03_a_start_detects_the_state_of_the_database_creates_it_and_brings_an_old_one_up(
    open_program: OpenProgram, tmp_path: Path
) -> None:
    database = tmp_path / "news.db"
    assert not database.exists()
    first = await open_program(online=False)
    assert revision_of(database) == versioning.revisions()[-1]
    await first.newsstand.close()

    engine = sqlalchemy.create_engine(f"sqlite:///{database}")
    with engine.begin() as conn:
        versioning.move(conn, "base")
    engine.dispose()
    assert revision_of(database) is None
    second = await open_program(online=False)
    assert revision_of(database) == versioning.revisions()[-1]
    assert second.replica.nodes() == []


def alembic(folder: Path, *arguments: str) -> str:
    return subprocess.run(
        [sys.executable, "-m", "alembic", *arguments], cwd=folder, check=True, capture_output=True, text=True
    ).stdout


async def test_point_04_alembic_goes_up_and_down_with_data_and_autogenerate_finds_nothing_left_to_do(
    prosody: Prosody, connect: Connect, open_program: OpenProgram, node: str, tmp_path: Path
) -> None:
    romeo = await connect("romeo")
    await create_node(romeo, prosody.pubsub, node, 2)
    program = await open_program()
    await program.follow(node)
    await program.newsstand.close()

    migrations = tmp_path / "migrations"
    shutil.copytree(versioning.MIGRATIONS, migrations)
    url = f"url=sqlite:///{tmp_path}/news.db"
    await asyncio.to_thread(alembic, migrations, "-x", url, "downgrade", "base")
    assert revision_of(tmp_path / "news.db") is None
    await asyncio.to_thread(alembic, migrations, "-x", url, "upgrade", "head")
    assert revision_of(tmp_path / "news.db") == versioning.revisions()[-1]

    await asyncio.to_thread(alembic, migrations, "revision", "--autogenerate", "-m", "nothing")
    (made,) = set((migrations / "versions").glob("*_nothing.py"))
    text = made.read_text()
    assert "op." not in text.partition("def upgrade")[2], text


async def test_point_05_nodes_and_items_are_pubsubnode_and_pubsubitem(
    prosody: Prosody, connect: Connect, open_program: OpenProgram, node: str
) -> None:
    romeo = await connect("romeo")
    await create_node(romeo, prosody.pubsub, node, 2)
    program = await open_program()
    await program.follow(node)
    async with program.replica.session() as session:
        found = (await session.scalars(select(PubsubItem).join(PubsubNode).where(PubsubNode.name == node))).all()
    assert {item.item_id for item in found} == {"id0", "id1"}
    assert {(item.node.service, item.node.name, item.node.account.jid) for item in found} == {
        (prosody.pubsub, node, program.jid)
    }


async def test_point_06_a_read_is_answered_from_the_database_when_it_can_be_and_by_the_service_when_not(
    prosody: Prosody, connect: Connect, open_program: OpenProgram, node: str
) -> None:
    romeo, plain = await connect("romeo"), await connect("juliet")
    await create_node(romeo, prosody.pubsub, node, 3)
    program = await open_program()

    first = await program.pubsub.get_items(prosody.pubsub, node)
    assert not is_hit(first)
    await program.caught_up()
    program.wire.clear()
    second = await program.pubsub.get_items(prosody.pubsub, node)
    assert is_hit(second)
    assert program.wire.sent == []

    by_service = await plain.plugin["xep_0060"].get_items(prosody.pubsub, node)
    assert canonical_iq(second) == canonical_iq(by_service) == canonical_iq(first)


async def test_point_07_the_first_analyser_that_matches_decides_and_a_plugin_registers_its_own(
    prosody: Prosody, connect: Connect, open_program: OpenProgram, node: str
) -> None:
    romeo = await connect("romeo")
    await create_node(romeo, prosody.pubsub, node, 2)
    program = await open_program()
    program.replica.register_analyser(Analyser("first", "mine", node=node, to_sync=True))
    program.replica.register_analyser(Analyser("second", "not mine", node=node, to_sync=False))
    record = await program.follow(node)
    assert (record.analyser, record.type) == ("first", "mine")


async def test_point_08_without_analyser_or_to_sync_or_after_an_error_the_service_is_asked_each_time(
    prosody: Prosody, connect: Connect, open_program: OpenProgram, node: str
) -> None:
    romeo = await connect("romeo")
    unknown, unsynced, broken = f"{node}-unknown", f"{node}-unsynced", f"{node}-broken"
    await create_node(romeo, prosody.pubsub, unknown)
    await romeo.plugin["xep_0060"].publish(prosody.pubsub, unknown, id="soup", payload=recipe("soup"))
    await create_node(romeo, prosody.pubsub, unsynced, 2)
    await create_node(romeo, prosody.pubsub, broken, 3)
    program = await open_program(max_items=2)  # three items are more than it may copy: an error while caching
    program.replica.register_analyser(Analyser("never", "never", node=unsynced, to_sync=False))

    for name in (unknown, unsynced, broken):
        for _ in range(3):
            program.wire.clear()
            iq = await program.pubsub.get_items(prosody.pubsub, name)
            assert getattr(iq, "newsstand", None) is None
            assert program.wire.about(name)[0] == "items"
            await program.caught_up()
    assert program.record(unknown).verdict is program.record(unsynced).verdict is Verdict.UNWANTED
    assert program.record(broken).state is SyncState.FAILED


async def test_point_09_a_parser_s_data_lies_beside_the_raw_xml_and_its_keys_can_be_queried_one_by_one(
    prosody: Prosody, connect: Connect, open_program: OpenProgram, node: str
) -> None:
    romeo = await connect("romeo")
    await create_node(romeo, prosody.pubsub, node)
    for dish in ("soup", "pie"):
        await romeo.plugin["xep_0060"].publish(prosody.pubsub, node, id=dish, payload=recipe(dish))
    program = await open_program()
    program.replica.register_analyser(
        Analyser("recipes", "recipe", namespace="urn:example:recipe", to_sync=True, parser=parse_recipe)
    )
    await program.follow(node)
    page = await program.replica.search(where={"dish": "pie", "kitchen.node": node})
    assert [(item.id, item.parsed) for item in page.items] == [("pie", {"dish": "pie", "kitchen": {"node": node}})]
    async with program.replica.session() as session:
        by_key = select(PubsubItem.item_id).where(PubsubItem.parsed["dish"].as_string() == "soup")
        assert (await session.scalars(by_key)).all() == ["soup"]


async def test_point_10_the_raw_xml_is_always_kept_and_low_level_requests_get_it(
    prosody: Prosody, connect: Connect, open_program: OpenProgram, node: str
) -> None:
    def parse_only_a_title(item: Any, *, service: str, node: str) -> dict[str, Any]:
        return {"title": "all that the parser cares for"}

    romeo, plain = await connect("romeo"), await connect("juliet")
    await create_node(romeo, prosody.pubsub, node)
    payload = entry("kept")
    ET.SubElement(payload, "{urn:example:extra}rating", {"{urn:example:a}of": "5"}).text = "ñ & <4>"
    await romeo.plugin["xep_0060"].publish(prosody.pubsub, node, id="one", payload=payload)
    program = await open_program()
    program.replica.register_analyser(Analyser("titles", "title", node=node, to_sync=True, parser=parse_only_a_title))
    await program.follow(node)

    await assert_copy_equals_service(program.replica, plain, prosody.pubsub, node)
    iq = program.client.make_iq_get(ito=prosody.pubsub)
    items = ET.SubElement(
        ET.SubElement(iq.xml, "{http://jabber.org/protocol/pubsub}pubsub"), "{http://jabber.org/protocol/pubsub}items"
    )
    items.set("node", node)
    answer = await iq.send()
    assert is_hit(answer)
    assert ids_of(answer) == ["one"]
    (stored,) = (await plain.plugin["xep_0060"].get_items(prosody.pubsub, node)).xml.iter(
        "{http://jabber.org/protocol/pubsub}item"
    )
    (served,) = answer.xml.iter("{http://jabber.org/protocol/pubsub}item")
    assert canonical(served) == canonical(stored)
    assert served[0].find("{urn:example:extra}rating") is not None
