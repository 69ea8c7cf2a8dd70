"""`newsstand demo`: a throw-away server, real nodes, and what Newsstand makes of them, in half a minute.

Every line that begins with a tick is a claim that was checked just then.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import logging
import re
import signal
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import AsyncExitStack
from datetime import UTC, datetime
from pathlib import Path

from rich.console import Console
from slixmpp.exceptions import IqError, IqTimeout

from newsstand.demo import acts, outage
from newsstand.demo.claims import all_hold
from newsstand.demo.content import Content
from newsstand.demo.phrases import PEOPLE
from newsstand.demo.servers.prosody import Prosody
from newsstand.demo.stage import Stage
from newsstand.demo.telling import Teller
from newsstand.errors import NewsstandError

log = logging.getLogger(__name__)

TITLE = "Newsstand: a live, local, queryable copy of PubSub nodes"
WIDTH = 100
MOST_SECONDS = 90.0


def main(as_json: bool = False, record: Path | None = None) -> int:
    """Plays the demo; 0 when every claim held, 1 when one did not or the demo could not go on, 130 when it was
    interrupted. Whatever happens, nothing is left behind.

    `as_json` prints one JSON document instead, with the figures and the claims. `record` is where a picture of
    the output goes (SVG)."""
    if hasattr(sys.stdout, "reconfigure"):
        sys.stdout.reconfigure(errors="replace")  # a terminal that knows no é still gets the story
    console = Console(quiet=as_json, record=record is not None, highlight=False, soft_wrap=False)
    console.width = WIDTH if record is not None or not console.is_terminal else min(WIDTH, console.width)
    teller = Teller(console)
    # Streams are cut here on purpose, also in the middle of a login: what slixmpp says to that is not the story.
    logging.getLogger("slixmpp").addHandler(logging.NullHandler())
    began = time.monotonic()
    trouble = ""
    try:
        asyncio.run(_play(teller))
    except (KeyboardInterrupt, asyncio.CancelledError):
        print("newsstand demo: interrupted, everything is cleaned up", file=sys.stderr)
        return 130
    except Exception as error:  # whatever it is: nothing more can be shown
        log.debug("the demo failed", exc_info=True)
        trouble = explain(error)
    seconds = time.monotonic() - began
    teller.figures["seconds"] = round(seconds, 2)
    if not trouble:
        teller.end(seconds)
    if as_json:
        document = teller.document()
        print(json.dumps(document | {"holds": document["holds"] and not trouble, "error": trouble or None}, indent=2))
    if trouble:
        print(f"newsstand demo: {trouble}", file=sys.stderr)
        return 1
    if record is not None:
        record.write_text(picture(console), encoding="utf-8")
    return 0 if all_hold(teller.claims) else 1


async def _play(teller: Teller) -> None:
    """Everything that is begun here is ended here, whatever happens."""
    with _cancelled_by_signals():
        async with asyncio.timeout(MOST_SECONDS), AsyncExitStack() as stack:
            folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="newsstand-demo-"))
            server = await stack.enter_async_context(Prosody([person.account for person in PEOPLE]))
            content = Content(server.domain, server.pubsub, datetime.now(UTC))
            stage = Stage(teller, server, content, f"sqlite:///{folder}/news.db", stack)
            teller.title(TITLE)
            await stage.fill()
            for act in (acts.compare, acts.follow, acts.search, outage.go_offline, outage.come_back):
                await act(stage)


@contextlib.contextmanager
def _cancelled_by_signals() -> Iterator[None]:
    """A demo that is told to end cleans up as after Ctrl-C."""
    loop, task = asyncio.get_running_loop(), asyncio.current_task()
    assert task is not None
    signals = (signal.SIGTERM, signal.SIGHUP)
    with contextlib.suppress(ValueError, RuntimeError, NotImplementedError):  # not in the main thread
        for number in signals:
            loop.add_signal_handler(number, task.cancel)
    try:
        yield
    finally:
        with contextlib.suppress(ValueError, RuntimeError, NotImplementedError):
            for number in signals:
                loop.remove_signal_handler(number)


def explain(error: BaseException) -> str:
    """What went wrong, for a person."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    match error:
        case TimeoutError():
            return f"it did not come to its end within {MOST_SECONDS:g} s"
        case IqTimeout():
            return "the server did not answer in time"
        case IqError():
            return f"the server refused a request: {error.condition} {error.text}".rstrip()
        case NewsstandError():
            return str(error)
        case _:
            return f"{type(error).__name__}: {error}"


def picture(console: Console) -> str:
    """What was said, as SVG; rich's own, but that no font is loaded from elsewhere, and that every viewer keeps the
    columns apart."""
    svg = console.export_svg(title="newsstand demo")
    without_fonts = re.sub(r"\s*@font-face \{.*?\}", "", svg, flags=re.DOTALL)
    return without_fonts.replace('-matrix">', '-matrix" xml:space="preserve">')


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m newsstand.demo.story")
    parser.add_argument("--json", action="store_true", help="one JSON document with the figures")
    parser.add_argument("--record", type=Path, metavar="FILE", help="a picture of the output, as SVG")
    arguments = parser.parse_args()
    sys.exit(main(arguments.json, arguments.record))
