"""A program that parses what is left to be parsed, and ends itself by SIGKILL at one item: `URL POISON`. Prints the ids
of the items that its parser was given, each on a line."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from typing import Any
from xml.etree.ElementTree import Element

from newsstand import Analyser, Replica
from newsstand.storage.database import open_database

DEADLY = "deadly"
"""The analyser's name."""


async def main(url: str, poison: str) -> None:
    def parse(item: Element, *, service: str, node: str) -> dict[str, Any]:
        sys.stdout.write(f"{item.get('id')}\n")
        sys.stdout.flush()
        if item.get("id") == poison:
            os.kill(os.getpid(), signal.SIGKILL)
        return {"id": item.get("id")}

    database = await open_database(url)
    replica = Replica(None, entry_points=False)
    replica.register_analyser(Analyser(DEADLY, "notes", node="blog", to_sync=True, parser=parse))
    await replica.open(database)
    await replica.settled()
    await replica.close()
    await database.close()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
