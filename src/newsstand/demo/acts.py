"""The acts of the demo while the server runs: each does something, shows it, and claims something that must hold."""

from __future__ import annotations

import asyncio
import statistics
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any
from xml.etree.ElementTree import Element, fromstring

from slixmpp.stanza import Iq

from newsstand.demo.answers import (
    answer_of,
    author_of,
    differs,
    elements,
    has,
    not_found,
    not_fresh,
    published_at,
    shows,
    tags_of,
)
from newsstand.demo.claims import first
from newsstand.demo.clients import LoopbackClient
from newsstand.demo.content import COMMUNITY, MICROBLOG, Publication
from newsstand.demo.filling import publish
from newsstand.demo.phrases import JULIET, NURSE, ROMEO
from newsstand.demo.program import Newsreader, TimedRead
from newsstand.demo.stage import Stage
from newsstand.model import Policy

PASSES = 15
ROUNDS = 5
ARRIVAL_SECONDS = 15.0


async def compare(stage: Stage) -> None:
    """The same program without and with the plugin."""
    stage.teller.step("One program, run twice: without Newsstand, and with it")
    async with stage.plain as plain:
        from_service = await _passes(plain)
    await stage.begin_program()
    from_copy = await _passes(stage.program)
    rows, figures = [], []
    for look in from_service:
        service, copy = _median_ms(from_service[look]), _median_ms(from_copy[look])
        requests = len(from_copy[look][0].answers)
        rows.append((look, str(requests), f"{service:.2f} ms", f"{copy:.2f} ms", f"{service / copy:.1f}x"))
        figures.append({"read": look, "requests": requests, "service_ms": round(service, 3)})
        figures[-1] |= {"copy_ms": round(copy, 3), "ratio": round(service / copy, 2)}
    service, copy = (sum(map(_median_ms, runs.values())) for runs in (from_service, from_copy))
    requests = sum(len(runs[0].answers) for runs in from_copy.values())
    rows.append(("all of them", str(requests), f"{service:.2f} ms", f"{copy:.2f} ms", f"{service / copy:.1f}x"))
    stage.teller.table(("what it reads", "requests", "service", "copy", "faster"), rows)
    stage.teller.figures["reads"] = figures
    stage.teller.figures["all_reads"] = {"service_ms": round(service, 3), "copy_ms": round(copy, 3)}
    stage.teller.figures["all_reads"] |= {"ratio": round(service / copy, 2), "requests": requests, "passes": PASSES}
    last = {look: runs[-1] for look, runs in from_copy.items()}
    stage.teller.claim(f"each of the {requests} requests was answered from the copy", not_fresh(last))
    same = first(differs(look, from_service[look][-1], last[look]) for look in from_service)
    stage.teller.claim("both runs got the same items, in the same order", same)
    slower = "" if copy < service else f"{copy:.1f} ms against {service:.1f} ms"
    stage.teller.claim("together they took less time from the copy", slower)


@dataclass(frozen=True, slots=True)
class Arrival:
    """How soon the write of another account was in the copy, and how soon the copy answered reads of its node again: in
    milliseconds since the request was sent. `but`: what went wrong."""

    visible: float
    vouched: float
    but: str = ""


async def follow(stage: Stage) -> None:
    """Another account publishes, overwrites and retracts; the program sees it in the copy."""
    stage.teller.step("Somebody else corrects a post, publishes one, and retracts it")
    async with stage.client(ROMEO, "phone") as romeo:
        old = [post for post in stage.content.community if post.account == ROMEO.account]
        rounds = [await _publish_and_retract(stage, romeo, post) for post in old[-ROUNDS:]]
    visible = {name: statistics.median(each[name].visible for each in rounds) for name in rounds[0]}
    vouched = {name: statistics.median(each[name].vouched for each in rounds) for name in rounds[0]}
    for name, ms in visible.items():
        stage.teller.claim(
            f"{name}: in the copy {ms:.0f} ms after it was sent", first(each[name].but for each in rounds)
        )
    stage.teller.say(
        f"Medians of {ROUNDS}. After a new post the copy checks whether an old one was evicted, of which nobody is"
        f" notified; for so long, {vouched['new post']:.0f} ms, the service answers."
    )
    stage.teller.figures["live"] = {
        name.replace(" ", "_"): {"visible_ms": round(visible[name], 2), "vouched_ms": round(vouched[name], 2)}
        for name in visible
    }


async def _publish_and_retract(stage: Stage, author: LoopbackClient, old: Publication) -> dict[str, Arrival]:
    """An old post is overwritten, a new one comes and goes. By deed."""
    content = stage.content
    post = content.new_post(ROMEO, content.pubsub, COMMUNITY)
    corrected = content.rewrite(old)
    retract = author.plugin["xep_0060"].retract
    return {
        "update": await _arrival(stage, old.item_id, lambda: publish(corrected, author), corrected),
        "new post": await _arrival(stage, post.item_id, lambda: publish(post, author), post),
        "retraction": await _arrival(
            stage, post.item_id, lambda: retract(content.pubsub, COMMUNITY, post.item_id, notify=True), None
        ),
    }


async def _arrival(
    stage: Stage, item_id: str, deed: Callable[[], Awaitable[Any]], expected: Publication | None
) -> Arrival:
    """slixmpp's own event tells the program when to read."""
    received: asyncio.Queue[Any] = asyncio.Queue()
    events = ("pubsub_publish", "pubsub_retract")
    for event in events:
        stage.program.add_event_handler(event, received.put_nowait)
    began = time.perf_counter()
    sending = asyncio.ensure_future(deed())
    try:
        async with asyncio.timeout(ARRIVAL_SECONDS):
            while not shows(await _in_copy(stage, item_id), expected):
                await received.get()
            visible = time.perf_counter() - began
            read = [await _read(stage, item_id)]
            while answer_of(read[-1]) is None:
                await stage.replica.settled()
                read.append(await _read(stage, item_id))
            vouched = time.perf_counter() - began
    except TimeoutError:
        return Arrival(ARRIVAL_SECONDS * 1000, ARRIVAL_SECONDS * 1000, f"not within {ARRIVAL_SECONDS:g} s")
    finally:
        for event in events:
            stage.program.del_event_handler(event, received.put_nowait)
        await sending
    right = all(shows(elements(answer), expected) for answer in read)
    return Arrival(visible * 1000, vouched * 1000, "" if right else "the program read something else")


async def _in_copy(stage: Stage, item_id: str) -> list[Element]:
    """Asked for by itself: the program's own reads may still be answered by the service."""
    answer = await stage.replica.get_items(stage.places.service, COMMUNITY, item_ids=[item_id], policy=Policy.ONLY_COPY)
    return [fromstring(item.xml) for item in answer.items]


async def _read(stage: Stage, item_id: str) -> Iq:
    answer: Iq = await stage.program.plugin["xep_0060"].get_item(stage.places.service, COMMUNITY, item_id)
    return answer


async def search(stage: Stage) -> None:
    """What the copy finds is what somebody finds who reads everything."""
    stage.teller.step("A search through community and blog, by words and by fields")
    async with stage.plain as checker:
        posts = [
            item
            for service, node in ((stage.places.service, COMMUNITY), (stage.places.blogger, MICROBLOG))
            for item in elements(await checker.plugin["xep_0060"].get_items(service, node))
        ]
    tag = "advice"
    queries: list[tuple[str, dict[str, Any], Callable[[Element], bool]]] = [
        ('"saffron risotto"', {"text": "saffron risotto"}, lambda post: has(post, "saffron", "risotto")),
        ('"cafe", for café', {"text": "cafe"}, lambda post: has(post, "café")),
        (
            f"author {NURSE.name}",
            {"where": {"author.name": NURSE.name}},
            lambda post: author_of(post) == NURSE.name,
        ),
        (f"tag {tag}", {"where": {"categories": tag}}, lambda post: tag in tags_of(post)),
        (
            f'tag {tag}, author {JULIET.name}, "spring"',
            {"text": "spring", "where": {"categories": tag, "author.name": JULIET.name}},
            lambda post: tag in tags_of(post) and author_of(post) == JULIET.name and has(post, "spring"),
        ),
    ]
    rows, figures, wrong = [], [], []
    for name, query, fits in queries:
        found, ms = await stage.search_all(query)
        expected = sorted(filter(fits, posts), key=published_at, reverse=True)
        rows.append((name, str(len(found)), f"{ms:.1f} ms"))
        figures.append({"query": name, "found": len(found), "ms": round(ms, 2)})
        wrong.append(not_found(name, [post.get("id", "") for post in expected], [item.id for item in found]))
    stage.teller.table(("looked for", "found", "time"), rows)
    stage.teller.figures["search"] = figures
    stage.teller.claim(f"the same, newest first, as by reading all {len(posts)} posts", first(wrong))


async def _passes(program: Newsreader) -> dict[str, list[TimedRead]]:
    """Every look, again and again; by look, in order."""
    found: dict[str, list[TimedRead]] = {look: [] for look in program.looks}
    for _ in range(PASSES):
        for look, readings in found.items():
            readings.append(await program.look(look))
    return found


def _median_ms(readings: Sequence[TimedRead]) -> float:
    return statistics.median(reading.seconds for reading in readings) * 1000
