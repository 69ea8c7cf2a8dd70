"""Stdout and stderr as they may be: read by nobody, full, or closed before the program began."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator
from typing import Any, NoReturn, TextIO, cast

PIPE_CLOSED = 141
"""The exit code that a shell gives for a program that SIGPIPE ended."""


class OutputEnded(SystemExit):
    """Stdout cannot be written. Nothing but `main` takes it for a failure: what the command has begun is closed on the
    way. `why` is None where nobody reads any more, which needs no words."""

    def __init__(self, why: str | None) -> None:
        super().__init__(PIPE_CLOSED if why is None else 1)
        self.why = why


@contextlib.contextmanager
def guarded() -> Iterator[None]:
    """Within it, writing to stdout either succeeds or raises OutputEnded, once; writing to stderr raises nothing."""
    _fill_gaps()
    before = sys.stdout, sys.stderr
    sys.stdout, sys.stderr = cast(TextIO, _Stdout(sys.stdout)), cast(TextIO, _Stderr(sys.stderr))
    try:
        yield
    finally:
        sys.stdout, sys.stderr = before


def _fill_gaps() -> None:
    """What is opened next must not become stdin, stdout or stderr, because one of them was closed: a socket or a
    database in their place would get what is meant for them."""
    with contextlib.suppress(OSError):
        nowhere = os.open(os.devnull, os.O_RDWR)
        while nowhere <= 2:
            nowhere = os.open(os.devnull, os.O_RDWR)
        os.close(nowhere)


def forget_stdout() -> None:
    """Nobody reads it any more."""
    if isinstance(sys.stdout, _Guarded):
        sys.stdout.forget()


class _Guarded:
    """A stream; None where it was closed before Python began. All else that it can do, it does as ever."""

    encoding = "utf-8"

    def __init__(self, stream: Any) -> None:
        self._stream = stream
        self._ended = False
        if stream is not None:
            self.encoding = getattr(stream, "encoding", None) or self.encoding

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def isatty(self) -> bool:
        return self._stream is not None and bool(self._stream.isatty())

    def write(self, text: str) -> int:
        if not self._ended:
            self._do("write", text)
        return len(text)

    def writelines(self, lines: Any) -> None:
        for line in lines:
            self.write(line)

    def flush(self) -> None:
        if not self._ended and self._stream is not None:
            self._do("flush")

    def _do(self, name: str, *args: str) -> None:
        if self._stream is None or self._stream.closed:
            self._end(OSError("it is closed"))
        try:
            getattr(self._stream, name)(*args)
        except OSError as error:
            self._end(error)

    def _end(self, error: OSError) -> None:
        self.forget()

    def forget(self) -> None:
        """Write nothing more. What is still buffered must not fail once more when Python ends."""
        self._ended = True
        with contextlib.suppress(OSError, ValueError, AttributeError):
            number = self._stream.fileno()
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, number)
            os.close(nowhere)


class _Stdout(_Guarded):
    def _end(self, error: OSError) -> NoReturn:
        super()._end(error)
        if isinstance(error, BrokenPipeError):
            raise OutputEnded(None) from error
        raise OutputEnded(f"cannot write to stdout: {error.strerror or error}") from error


class _Stderr(_Guarded):
    def _do(self, name: str, *args: str) -> None:
        if self._stream is not None and not self._stream.closed:
            super()._do(name, *args)
