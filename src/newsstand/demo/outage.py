"""The acts of the demo in which the server is killed, and started again."""

from __future__ import annotations

import asyncio
import time
from contextlib import AsyncExitStack

from slixmpp.stanza import Iq

from newsstand.demo.answers import differs, is_marked_stale, not_fresh
from newsstand.demo.claims import difference, first, items_of
from newsstand.demo.content import COMMUNITY, MICROBLOG
from newsstand.demo.filling import publish
from newsstand.demo.phrases import JULIET, ROMEO
from newsstand.demo.program import Newsreader, TimedRead
from newsstand.demo.stage import Stage
from newsstand.errors import NewsstandError

NOTICE_SECONDS = 15.0


async def go_offline(stage: Stage) -> None:
    """The server is killed; the program reads on."""
    stage.teller.step("The server is killed")
    before = await stage.program.look_at_all()
    gone = asyncio.Event()
    stage.program.add_event_handler("disconnected", lambda _: gone.set(), disposable=True)
    await stage.server.kill()
    try:
        async with asyncio.timeout(NOTICE_SECONDS):
            await gone.wait()
    except TimeoutError as error:
        raise NewsstandError("the program's stream outlived its server") from error
    offline = await stage.program.look_at_all()
    seconds = sum(reading.seconds for reading in offline.values())
    answers = [answer for reading in offline.values() for answer in reading.answers]
    stage.teller.figures["offline"] = {"requests": len(answers), "ms": round(seconds * 1000, 2)}
    stage.teller.say(f"The same {len(answers)} requests again, without a server: {seconds * 1000:.1f} ms.")
    same = first(differs(look, before[look], offline[look]) for look in before)
    stage.teller.claim("each was answered, with the same items as before", same)
    unmarked = [str(answer["id"]) for answer in answers if not is_marked_stale(answer)]
    stage.teller.claim("each answer says that it is stale", f"{len(unmarked)} do not" if unmarked else "")
    found, _ = await stage.search_all({"text": "saffron"})
    stage.teller.claim("search goes on as well", "" if found else "nothing was found")


async def come_back(stage: Stage) -> None:
    """The server is back; somebody changes things before the program is."""
    stage.teller.step("The server is back, and things changed before the program was")
    await stage.server.start()
    changes = await _change_behind_its_back(stage)
    stage.teller.figures["missed"] = changes
    stage.teller.say("Missed: " + ", ".join(f"{count} {what}" for what, count in changes.items()) + ".")
    began = time.perf_counter()
    await stage.program.begin()
    first_look = await stage.program.look_at_all()
    await stage.replica.settled()
    seconds = time.perf_counter() - began
    async with stage.plain as plain:
        items, unequal = await _compare_nodes(stage, plain)
        from_service = await plain.look_at_all()
    again = await stage.program.look_at_all()
    nodes = len(stage.replica.nodes())
    stage.teller.figures["back"] = {"nodes": nodes, "items": items, "seconds": round(seconds, 3)}
    stage.teller.say(f"Logged in again and live after {seconds:.2f} s.")
    stage.teller.claim(
        "what it read at once was right already",
        first(differs(look, from_service[look], first_look[look]) for look in again),
    )
    stage.teller.claim(f"all {nodes} copies, {items} items, equal the service's, item by item, in order", unequal)
    stage.teller.claim("and reads are answered from them again", not_fresh(again))


async def _change_behind_its_back(stage: Stage) -> dict[str, int]:
    content, service = stage.content, stage.content.pubsub
    async with AsyncExitStack() as stack:
        clients = {
            person.account: await stack.enter_async_context(stage.client(person, "tablet"))
            for person in (ROMEO, JULIET)
        }
        new = [content.new_post(ROMEO, service, COMMUNITY) for _ in range(3)]
        new += [content.new_post(ROMEO, stage.places.blogger, MICROBLOG), content.bookmark(JULIET, 1)]
        old = [post for post in content.community if post.account == ROMEO.account]
        overwritten = [content.rewrite(old[3]), content.rewrite(old[-1]), *content.devices(ROMEO, 2)]
        for each in [*new, *overwritten]:
            await publish(each, clients[each.account])
        retracted = [
            (service, COMMUNITY, old[5]),
            (service, COMMUNITY, old[-2]),
            (None, MICROBLOG, content.blog[-3]),
        ]
        for to, node, post in retracted:
            await clients[ROMEO.account].plugin["xep_0060"].retract(to, node, post.item_id)  # nobody is notified of it
    return {"new": len(new), "overwritten": len(overwritten), "retracted without notice": len(retracted)}


async def _compare_nodes(stage: Stage, plain: Newsreader) -> tuple[int, str]:
    """Every copy, whole, against what a plain client gets; how many items, and what differs."""
    items, objections = 0, []
    for record in stage.replica.nodes():
        _, service, node = record.key
        mine: Iq = await stage.program.plugin["xep_0060"].get_items(service, node)
        theirs: Iq = await plain.plugin["xep_0060"].get_items(service, node)
        expected = items_of(theirs.xml)
        items += len(expected)
        differing = difference(expected, items_of(mine.xml)) or not_fresh({node: TimedRead([mine], 0)})
        objections.append(f"{node} of {service}: {differing}" if differing else "")
    return items, first(objections)
