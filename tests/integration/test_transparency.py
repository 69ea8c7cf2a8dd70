"""A program cannot tell whether it runs with Newsstand, at any service: requests at random, each made plain, plain
again, and with the plugin. `SEED=n` replays a run."""

from __future__ import annotations

import dataclasses
import os
import random
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest
from slixmpp import ClientXMPP

from newsstand.demo.servers.xmpp_server import XmppServer
from newsstand.model import RsmQuery, SyncState
from newsstand.xmpp.requests import items_request
from tests.conftest import Connect
from tests.integration._program import (
    MICROBLOG,
    OpenProgram,
    Outcome,
    Program,
    create_node,
    entry,
    fill_pep,
    outcome,
)

REQUESTS = 500
SEED = int(os.environ.get("SEED", "1597"))
NOTE = "urn:example:note"
COUNTS = (0, 1, 5, 60)


@dataclass
class Place:
    """A node, and the ids that it holds (None: it cannot be read)."""

    service: str | None
    node: str
    ids: list[str] | None
    cursors: list[str] = dataclasses.field(default_factory=list)
    """That the service gave."""


@dataclass
class Reader:
    """An account's program, the same account without Newsstand, and what they read."""

    program: Program
    plain: ClientXMPP
    places: list[Place]

    async def begin(self) -> None:
        """Every node that can be read is followed, and was read once by each kind of request."""
        kinds: tuple[dict[str, Any], ...] = ({}, {"max_items": 1}, {"item_ids": ["missing"]})
        for wanted in kinds:
            for place in self.places:
                await outcome(self.program.pubsub.get_items(place.service, place.node, **wanted))
            await self.program.caught_up()
        readable = sum(place.ids is not None for place in self.places)
        states = [(record.key.node, record.state, record.reason) for record in self.program.replica.nodes()]
        assert [state for _, state, _ in states] == [SyncState.LIVE] * readable, states


@pytest.fixture
async def readers(
    server: XmppServer, connect: Connect, open_program: OpenProgram, node: str, tmp_path: Path
) -> list[Reader]:
    """Juliet, who reads others' nodes and her own PEP, and romeo, who owns the nodes of the pubsub service."""
    name = f"{MICROBLOG}/{node}"
    romeo, juliet = await connect("romeo", server=server), await connect("juliet", server=server)
    common = []
    for count in COUNTS:
        ids = await create_node(romeo, server.pubsub, f"{name}-{count}", count)
        for item_id in ids[1:4:2]:
            await romeo.plugin["xep_0060"].publish(
                server.pubsub, f"{name}-{count}", id=item_id, payload=entry("overwritten")
            )
        common.append(Place(server.pubsub, f"{name}-{count}", ids))
    await create_node(romeo, server.pubsub, f"{name}-whitelist", 3, access_model="whitelist")
    common += [Place(server.pubsub, f"{name}-missing", None), Place(None, f"{name}-missing", None)]
    pep = {}
    for owner, client in (("romeo", romeo), ("juliet", juliet)):
        for count in (1, 5):
            posts = {f"id{number}": entry(f"post {number}") for number in range(count)}
            await fill_pep(client, f"{name}-{count}", posts)
            pep[owner, count] = list(posts)
    of_juliet = [Place(None, f"{name}-{count}", pep["juliet", count]) for count in (1, 5)]
    of_juliet += [Place(server.jid("romeo"), f"{name}-{count}", pep["romeo", count]) for count in (1, 5)]
    of_juliet += [Place(server.pubsub, f"{name}-whitelist", None)]
    await fill_pep(romeo, f"{name}-private", {"id0": entry("post 0")}, access_model="whitelist")
    of_juliet += [Place(server.jid("romeo"), f"{name}-{what}", None) for what in ("private", "missing")]
    of_romeo = [Place(None, f"{name}-{count}", pep["romeo", count]) for count in (1, 5)]
    of_romeo += [Place(server.pubsub, f"{name}-whitelist", ["id0", "id1", "id2"])]
    readers = []
    for account, plain, own in (("juliet", juliet, of_juliet), ("romeo", romeo, of_romeo)):
        program = await open_program(account, server=server, database=f"sqlite:///{tmp_path}/{account}.db")
        places = [dataclasses.replace(place, cursors=[]) for place in (*common, *own)]
        readers.append(Reader(program, plain, places))
    return readers


def choose(chance: random.Random, place: Place) -> dict[str, Any]:
    """What is asked of a place; the arguments of `items_request`."""
    there = place.ids or []
    match chance.choice(("all", "max_items", "one id", "ids", "rsm")):
        case "all":
            return {}
        case "max_items":
            return {"max_items": chance.choice((1, 2, 3, 4, 5, 6, 20, 59, 60, 61, 10_000))}
        case "one id":
            return {"item_ids": [chance.choice([*there, "nothing"])]}
        case "ids":
            known = [*there, "nothing", "never"]
            ids = chance.sample(known, chance.randint(2, min(7, len(known))))
            return {"item_ids": ids + ids[:1] * chance.randint(0, 1)}
        case _:
            cursor = chance.choice([*there, *place.cursors, "nothing"])
            where: dict[str, Any] = chance.choice(
                ({}, {"after": cursor}, {"before": cursor}, {"before": ""}, {"index": chance.randint(0, 70)})
            )
            return {"rsm": RsmQuery(chance.choice((0, 1, 2, 4, 10, 100)), **where)}


async def ask(client: ClientXMPP, place: Place, wanted: dict[str, Any]) -> Outcome:
    iq = client.make_iq_get(ito=place.service)
    iq.xml.append(items_request(place.node, **wanted))
    return await outcome(iq.send())


def first_difference(given: Outcome, expected: Outcome) -> str:
    """Short enough to be shown whole."""
    pairs = enumerate(zip(given.answer, expected.answer, strict=False))
    start = next((at for at, (one, other) in pairs if one != other), 0)
    around = slice(max(0, start - 60), start + 100)
    return f"{given.answer[around]!r}, and the service said {expected.answer[around]!r}"


def remember_cursors(place: Place, told: Outcome) -> None:
    place.cursors += re.findall(r">([^<>]+)</\w+:(?:first|last)>", told.answer)


async def test_500_requests_at_random_are_answered_as_the_service_answers_them(readers: list[Reader]) -> None:
    """Whole-node, max_items and id requests that the service answers are to be hits, nearly all of them."""
    chance = random.Random(SEED)
    for reader in readers:
        await reader.begin()
    hits = possible = contradictory = 0
    missed = []
    for number in range(REQUESTS):
        reader = chance.choice(readers)
        place = chance.choice(reader.places)
        wanted = choose(chance, place)
        which = f"request {number} of seed {SEED}: {place.service} {place.node} {wanted}"
        first = await ask(reader.plain, place, wanted)
        second = await ask(reader.plain, place, wanted)
        given = await ask(reader.program.client, place, wanted)
        if first != second:
            contradictory += 1
            continue
        assert given == second, f"{which}: {first_difference(given, second)}"
        remember_cursors(place, second)
        if place.ids is None:
            assert not given.hit, which
        elif "rsm" not in wanted and second.answer.startswith("<"):
            possible += 1
            hits += given.hit
            missed += [] if given.hit else [which]
    assert contradictory <= REQUESTS / 100, f"{contradictory} answers of seed {SEED} contradict each other"
    assert possible > REQUESTS / 3
    assert hits >= 0.95 * possible, f"{hits} hits of {possible}: {missed}"


def without_namespace() -> ET.Element:
    """A payload with a child of no namespace."""
    root = ET.Element(f"{{{NOTE}}}note")
    ET.SubElement(root, "title").text = "of no namespace"
    ET.SubElement(root, f"{{{NOTE}}}body").text = "of the note's"
    return root


@pytest.mark.parametrize("pep", [False, True])
async def test_a_payload_that_some_services_change_is_read_as_the_service_sends_it(
    server: XmppServer, connect: Connect, open_program: OpenProgram, node: str, pep: bool
) -> None:
    romeo, plain = await connect("romeo", server=server), await connect("juliet", server=server)
    publish = romeo.plugin["xep_0060"].publish
    if pep:
        service, home = server.jid("romeo"), None
        await fill_pep(romeo, node, {"listed": without_namespace()})
    else:
        service = home = server.pubsub
        await create_node(romeo, service, node)
        await publish(service, node, id="listed", payload=without_namespace())
    program = await open_program(server=server)
    await program.replica.session_began()
    await program.replica.synchronise(service, node)
    for told in ("listed", "told", "listed"):  # by a listing, by a notification, by one that overwrites
        if told != "listed" or program.record(node, service).item_count > 1:
            await publish(home, node, id=told, payload=without_namespace())
            await program.caught_up()
        kinds: tuple[dict[str, Any], ...] = ({}, {"max_items": 1}, {"item_ids": [told]})
        place = Place(service, node, None)
        for wanted in kinds:  # what the service's answers take along is learnt when it is needed first
            await ask(program.client, place, wanted)
        await program.caught_up()
        for wanted in kinds:
            expected = await ask(plain, place, wanted)
            given = await ask(program.client, place, wanted)
            assert given == expected, first_difference(given, expected)
            assert given.hit, (told, wanted)
            assert "of no namespace" in given.answer
