"""A program that kills itself by SIGKILL at a commit of its database, to be run as a process of its own.

On stdin a JSON object: `host`, `port`, `jid`, `password`, `database`, `service`, `node`; and the point: `statement`, a
pattern; `number`, which of the transactions that hold such a statement; `after`, whether its commit is over. It reads
the node, publishes `mine` to it and retracts it again, and prints what the service acknowledged, each on a line.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
import sys
from typing import Any
from xml.etree.ElementTree import fromstring

import slixmpp
from sqlalchemy import Engine, event
from sqlalchemy.engine.default import DefaultDialect

import newsstand.slixmpp  # noqa: F401 - makes the plugin known

ENTRY = fromstring('<entry xmlns="http://www.w3.org/2005/Atom"><title>mine</title></entry>')


def die_at(statement: str, number: int, *, after: bool) -> None:
    pattern, seen, holds = re.compile(statement), 0, False

    @event.listens_for(Engine, "before_cursor_execute")
    def before_execute(_: Any, __: Any, text: str, *___: Any) -> None:
        nonlocal holds
        holds |= pattern.match(text) is not None

    do_commit = DefaultDialect.do_commit

    def commit(self: Any, connection: Any) -> None:
        nonlocal seen, holds
        seen += holds
        here, holds = holds and seen == number, False
        if here and not after:
            os.kill(os.getpid(), signal.SIGKILL)
        do_commit(self, connection)
        if here:
            os.kill(os.getpid(), signal.SIGKILL)

    DefaultDialect.do_commit = commit  # type: ignore[method-assign]


def tell(acknowledged: str) -> None:
    sys.stdout.write(f"{acknowledged}\n")
    sys.stdout.flush()


async def main(told: dict[str, Any]) -> None:
    plain = {"feature_mechanisms": {"unencrypted_plain": True, "use_mech": "PLAIN"}}
    xmpp: Any = slixmpp.ClientXMPP(told["jid"], told["password"], plugin_config=plain)
    xmpp.enable_plaintext = True
    xmpp.enable_starttls = xmpp.enable_direct_tls = False
    xmpp.register_plugin("xep_0060")
    xmpp.register_plugin("newsstand", {"database": told["database"]})
    xmpp.add_event_handler("session_start", lambda _: xmpp.send_presence())
    xmpp.connect(told["host"], told["port"])
    await xmpp.plugin["newsstand"].ready()
    die_at(told["statement"], told["number"], after=told["after"])
    replica, pubsub = xmpp.plugin["newsstand"].replica, xmpp.plugin["xep_0060"]
    service, node = told["service"], told["node"]
    await replica.session_began()
    await pubsub.get_items(service, node)
    await replica.settled()
    await pubsub.publish(service, node, id="mine", payload=ENTRY)
    tell("published")
    await replica.settled()
    await pubsub.retract(service, node, "mine", notify=True)
    tell("retracted")
    await replica.settled()
    await xmpp.plugin["newsstand"].close()


if __name__ == "__main__":
    asyncio.run(main(json.load(sys.stdin)))
