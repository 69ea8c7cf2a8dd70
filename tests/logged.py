"""What Newsstand logged, and nothing else: a stream of another test that slixmpp let go of with its task still waiting
is complained of by asyncio whenever the garbage is collected, in whichever test that is."""

from __future__ import annotations

import logging

import pytest


def records_of_ours(caplog: pytest.LogCaptureFixture) -> list[logging.LogRecord]:
    return [record for record in caplog.records if record.name.partition(".")[0] == "newsstand"]


def warnings_of_ours(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in records_of_ours(caplog) if record.levelno >= logging.WARNING]
