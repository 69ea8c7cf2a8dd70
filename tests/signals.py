"""How the programs that start servers are ended from outside, so that their servers end with them."""

from __future__ import annotations

import signal


def end_as_if_interrupted() -> None:
    """From now on SIGTERM does what Ctrl-C does: what was started is ended, what was made is removed."""
    # A shell starts what it puts in the background with SIGINT ignored, and that is inherited: then none of the
    # programs that the tests start and interrupt would notice.
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGTERM, _interrupt)


def _interrupt(number: int, _: object) -> None:
    """As SIGINT, because asyncio.Runner waits for that one: it cancels what runs, instead of breaking it off anywhere.
    Once: what ends a group of processes may tell each of them twice, and the second would break off the ending."""
    signal.signal(number, lambda *_: None)
    signal.raise_signal(signal.SIGINT)
