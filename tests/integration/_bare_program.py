"""A program that knows Newsstand's plugin and nothing of recipes, to be run as a process of its own.

On stdin a JSON object: `host`, `port`, `jid`, `password`, `database`, `service`, `nodes`. It reads the nodes twice, and
prints one JSON object: for each node whether the copy answered the second time and what is stored of it, and what
`{"dish": "Apple pie"}` finds. Its log goes to stderr.
"""

from __future__ import annotations

import asyncio
import json
import logging
import sys
from typing import Any

import slixmpp

import newsstand.slixmpp  # noqa: F401 - makes the plugin known


async def main(told: dict[str, Any]) -> dict[str, Any]:
    plain = {"feature_mechanisms": {"unencrypted_plain": True, "use_mech": "PLAIN"}}
    xmpp: Any = slixmpp.ClientXMPP(told["jid"], told["password"], plugin_config=plain)
    xmpp.enable_plaintext = True
    xmpp.enable_starttls = xmpp.enable_direct_tls = False
    xmpp.register_plugin("xep_0060")
    xmpp.register_plugin("newsstand", {"database": told["database"]})
    xmpp.add_event_handler("session_start", lambda _: xmpp.send_presence())
    xmpp.connect(told["host"], told["port"])
    replica = xmpp.plugin["newsstand"].replica
    await xmpp.plugin["newsstand"].ready()
    await replica.session_began()
    nodes = {}
    for node in told["nodes"]:
        await xmpp.plugin["xep_0060"].get_items(told["service"], node)
        await replica.settled()
        again = await xmpp.plugin["xep_0060"].get_items(told["service"], node)
        page = await replica.search(node=node)
        nodes[node] = {"hit": hasattr(again, "newsstand"), "parsed": [item.parsed for item in page.items]}
    found = await replica.search(where={"dish": "Apple pie"})
    await xmpp.plugin["newsstand"].close()
    await xmpp.disconnect()
    return {"nodes": nodes, "found": [item.id for item in found.items]}


if __name__ == "__main__":
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(name)s: %(message)s")
    json.dump(asyncio.run(main(json.load(sys.stdin))), sys.stdout)
