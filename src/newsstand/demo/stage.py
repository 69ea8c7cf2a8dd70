"""What the acts of the demo share: the server and what it holds, the program, and what it is compared with."""

from __future__ import annotations

import time
from contextlib import AsyncExitStack
from typing import Any

from newsstand.demo.clients import LoopbackClient
from newsstand.demo.content import COMMUNITY, Content
from newsstand.demo.filling import create_nodes, publish_all
from newsstand.demo.phrases import JULIET, PEOPLE, ROMEO, Person
from newsstand.demo.program import Newsreader, Places
from newsstand.demo.servers.prosody import Prosody
from newsstand.demo.telling import Teller
from newsstand.model import Item, SyncState
from newsstand.replica import Replica


class Stage:
    """One server, one program and one database, for all acts. What is begun here ends with `stack`."""

    def __init__(self, teller: Teller, server: Prosody, content: Content, database: str, stack: AsyncExitStack) -> None:
        self.teller = teller
        self.server = server
        self.content = content
        self.stack = stack
        self.places = Places(
            service=server.pubsub,
            community=COMMUNITY,
            post=content.community[-10].item_id,
            blogger=content.jid(ROMEO),
            people=tuple(content.jid(person) for person in PEOPLE),
        )
        self.plain = Newsreader(server, JULIET.account, self.places)
        self.program = Newsreader(server, JULIET.account, self.places, database)
        stack.push_async_callback(self._end_program)  # its database is being opened from now on

    def client(self, person: Person, resource: str) -> LoopbackClient:
        """Another client of somebody, without Newsstand."""
        return LoopbackClient(self.server, person.account, resource)

    @property
    def plugin(self) -> Any:
        """Newsstand's, in the program."""
        plugins: Any = self.program.plugin
        return plugins["newsstand"]

    @property
    def replica(self) -> Replica:
        replica: Replica = self.plugin.replica
        return replica

    async def fill(self) -> None:
        """Something to read."""
        content, teller = self.content, self.teller
        publications = [*content.community, *content.blog, *content.profiles]
        async with AsyncExitStack() as stack:
            clients = {
                person.account: await stack.enter_async_context(self.client(person, "filler")) for person in PEOPLE
            }
            began = time.perf_counter()
            await create_nodes(content, clients)
            with teller.progress("publishing", len(publications)) as published:
                await publish_all(content, clients, published)
            seconds = time.perf_counter() - began
        nodes = len({(each.service, each.node) for each in publications})
        teller.figures["filled"] = {
            "items": len(publications),
            "nodes": nodes,
            "accounts": len(PEOPLE),
            "seconds": round(seconds, 3),
        }
        teller.say(
            f"A throw-away Prosody on loopback holds {len(publications)} items in {nodes} nodes of {len(PEOPLE)}"
            f" accounts: a community, a blog, bookmarks, avatars, OMEMO devices, vCards. Filled in {seconds:.1f} s."
        )

    async def begin_program(self) -> None:
        """The first look goes to the service; what it shows is followed from then on."""
        await self.plugin.ready()
        await self.program.begin()
        began = time.perf_counter()
        await self.program.look_at_all()
        await self.replica.settled()
        seconds = time.perf_counter() - began
        nodes = self.replica.nodes()
        items = sum(record.item_count for record in nodes)
        self.teller.figures["copied"] = {"items": items, "nodes": len(nodes), "seconds": round(seconds, 3)}
        self.teller.say(f"Read once, its {len(nodes)} nodes were copied: {items} items, live after {seconds:.2f} s.")
        not_live = [record.key.node for record in nodes if record.state is not SyncState.LIVE]
        self.teller.claim("every node that it read is copied, and live", ", ".join(not_live))

    async def _end_program(self) -> None:
        await self.plugin.close()
        await self.program.log_out()

    async def search_all(self, query: dict[str, Any]) -> tuple[list[Item], float]:
        """Posts, on all pages; and how long the first page took, in milliseconds."""
        began = time.perf_counter()
        page = await self.replica.search(type="blog", **query)
        ms = (time.perf_counter() - began) * 1000
        found = list(page.items)
        while page.next is not None:
            page = await self.replica.search(type="blog", after=page.next, **query)
            found += page.items
        return found, ms
