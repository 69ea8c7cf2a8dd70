"""The command line: `newsstand COMMAND …`. It is the only package, with the demo, that prints.

Each command is imported when it runs, and imports slixmpp, Alembic or rich only where it needs them.
"""

from __future__ import annotations

import contextlib
import logging
import sys
import traceback
from collections.abc import Iterator, Sequence
from typing import Any

from newsstand.cli import output, streams
from newsstand.cli.arguments import parser
from newsstand.errors import NewsstandError

INTERRUPTED = 130
_SHOWN = (
    ("newsstand.storage.sqlite.damage", logging.ERROR),
    ("newsstand.storage.statements.nodes", logging.WARNING),
)
"""The loggers of which a command shows what they say, from a level on, for it goes on: that the database was set aside;
that a row holds what Newsstand does not write."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command, and return the exit code: 0, 1 for an error, 2 for wrong usage, 130 after Ctrl-C, 141 where
    nobody reads what it prints any more.

    Errors are one line on stderr; with `-v` their traceback comes before it. Where stderr cannot be written, they are
    the exit code alone."""
    with streams.guarded():
        output.write_anything()
        try:
            code = _parse_and_run(argv)
            sys.stdout.flush()
        except streams.OutputEnded as ended:
            streams.forget_stdout()
            if ended.why is not None:
                output.say(ended.why)
            return int(ended.code or 0)
        except KeyboardInterrupt:
            return INTERRUPTED
        return code


def _parse_and_run(argv: Sequence[str] | None) -> int:
    try:
        args = parser().parse_args(argv)
    except streams.OutputEnded:
        raise
    except SystemExit as ended:
        return int(ended.code or 0)
    with _logging(args.verbose):
        return _run(args)


def _run(args: Any) -> int:
    try:
        code: int = args.find()(args)
    except NewsstandError as error:
        return _failed(str(error), args.verbose)
    except Exception as error:  # a fault of ours: still one line, and how to see the rest
        return _failed(f"this should not happen: {error!r}; -v shows where", args.verbose)
    return code


def _failed(message: str, verbose: bool) -> int:
    if verbose:
        traceback.print_exc()
    output.say(message)
    return 1


@contextlib.contextmanager
def _logging(verbose: bool) -> Iterator[None]:
    """With -v the log goes to stderr; without, nowhere: an error is shown once, in one line. But what a command goes on
    after is in the log alone."""
    root = logging.getLogger()
    handler: logging.Handler = logging.StreamHandler() if verbose else logging.NullHandler()
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    before = root.level, logging.getLogger("newsstand").level
    root.addHandler(handler)
    logging.captureWarnings(True)  # the driver's, of a password file that it passes over: the error says so in its line
    shown = [] if verbose else [(logging.getLogger(name), _Line(level)) for name, level in _SHOWN]
    for logger, line in shown:
        logger.addHandler(line)
    if verbose:
        # Not slixmpp's DEBUG: it writes out the stream, and with it the login.
        root.setLevel(logging.INFO)
        logging.getLogger("newsstand").setLevel(logging.DEBUG)
    try:
        yield
    finally:
        logging.captureWarnings(False)
        root.removeHandler(handler)
        for logger, line in shown:
            logger.removeHandler(line)
        root.setLevel(before[0])
        logging.getLogger("newsstand").setLevel(before[1])


class _Line(logging.Handler):
    """One line on stderr."""

    def emit(self, record: logging.LogRecord) -> None:
        output.say(record.getMessage())
