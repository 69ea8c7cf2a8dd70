"""A worker, to be run as a process of its own: a program that reads nodes, watches them, and says what it follows.

On stdin, first a JSON object: `host`, `port`, `jid`, `password`, `database`, `service`, `lease`, `name` (which triggers
of an SQLite file know as `worker_name()`). It goes without the database's hints of changes. Then a command a line, each
answered by a line of JSON:

`read NODE…`    what each is answered with: its ids, and from where
`watch NODE…`   from now on their changes are noted
`changes`       those that were noted, in order
`follows`       the nodes that it follows, and which of them are live
`explain NODE`  what it knows of one, for people
`settle`        once nothing is under way
`end`
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections import defaultdict
from typing import Any

import slixmpp
from sqlalchemy import Pool, event

import newsstand.slixmpp  # noqa: F401 - makes the plugin known
from newsstand import Analyser, Replica
from newsstand.errors import NewsstandError
from newsstand.model import SyncState
from newsstand.storage.port import Database
from newsstand.storage.statements import doubt_rows

AT_ONCE = 8


class Worker:
    def __init__(self, replica: Replica, service: str) -> None:
        self.replica = replica
        self.service = service
        self.changes: dict[str, list[str]] = defaultdict(list)
        self.tasks: list[asyncio.Task[None]] = []
        self._places = asyncio.Semaphore(AT_ONCE)

    async def read(self, *nodes: str) -> dict[str, Any]:
        return dict(zip(nodes, await asyncio.gather(*map(self._read, nodes)), strict=True))

    async def _read(self, node: str) -> Any:
        async with self._places:
            try:
                answer = await self.replica.get_items(self.service, node)
            except NewsstandError as error:
                return {"error": str(error)}
        return {"ids": [item.id for item in answer.items], "origin": answer.origin.value, "stale": answer.stale}

    async def watch(self, *nodes: str) -> int:
        for node in nodes:
            self.tasks.append(asyncio.ensure_future(self._watch(node)))
        return len(nodes)

    async def _watch(self, node: str) -> None:
        async for change in self.replica.watch(self.service, node):
            self.changes[node].append(change.item_id)

    async def noted(self) -> dict[str, list[str]]:
        return self.changes

    async def follows(self) -> dict[str, bool]:
        copies = list(self.replica._open.context.copies)
        return {
            copy.key.node: copy.record.state is SyncState.LIVE for copy in copies if copy.lease.ours and copy.followed
        }

    async def explain(self, node: str) -> str:
        context = self.replica._open.context
        for copy in context.copies:
            if copy.key.node == node:
                doubts = await context.database.read(doubt_rows.doubts_of, [copy.record.id])
                parts = (copy.record, copy.lease, copy.doubts, copy.chores, copy.pace, copy.work, copy.closing)
                waiting = f"{len(copy.inbox)} to be stored, listing {copy.listing.under_way}"
                told = f"{', '.join(map(str, parts))}, {waiting}"
                ownership = self.replica._open.ownership
                raised = ownership.doubts._raised.get(copy)
                return f"notified {ownership.is_notified(copy)}, raised {raised}, {doubts}, {told}"
        return "nothing"

    async def settle(self) -> bool:
        await self.replica.settled()
        return True


async def main() -> None:
    lines = asyncio.StreamReader(limit=1 << 20)
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(lines), sys.stdin)
    told = json.loads(await lines.readline())
    # NOTIFY is only a hint: nobody hears any.
    Database.listen = lambda self, listener: None  # type: ignore[method-assign]
    if told["database"].startswith("sqlite"):
        event.listen(Pool, "connect", lambda conn, _: conn.create_function("worker_name", 0, lambda: told["name"]))
    plain = {"feature_mechanisms": {"unencrypted_plain": True, "use_mech": "PLAIN"}}
    xmpp: Any = slixmpp.ClientXMPP(told["jid"], told["password"], plugin_config=plain)
    xmpp.enable_plaintext = True
    xmpp.enable_starttls = xmpp.enable_direct_tls = False
    settings = {"database": told["database"], "lease": told["lease"], "entry_points": False}
    xmpp.register_plugin("newsstand", settings)
    plugin = xmpp.plugin["newsstand"]
    replica: Replica = plugin.replica
    replica.register_analyser(Analyser("notes", "notes", namespace="urn:example:note", to_sync=True))
    await plugin.ready()
    xmpp.add_event_handler("session_start", lambda _: xmpp.send_presence())
    xmpp.connect(told["host"], told["port"])
    await replica.session_began()
    worker = Worker(replica, told["service"])
    verbs: dict[str, Any] = {
        "read": worker.read,
        "watch": worker.watch,
        "changes": worker.noted,
        "follows": worker.follows,
        "explain": worker.explain,
        "settle": worker.settle,
    }
    tell("ready")
    while (words := (await lines.readline()).decode().split()) and words[0] != "end":
        tell(await verbs[words[0]](*words[1:]))
    for task in worker.tasks:
        task.cancel()
    await plugin.close()
    await xmpp.disconnect()


def tell(what: object) -> None:
    sys.stdout.write(f"{json.dumps(what)}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    asyncio.run(main())
