"""Python's garbage collector, while a command runs long."""

from __future__ import annotations

import contextlib
import gc
from collections.abc import Iterator


@contextlib.contextmanager
def frozen_modules() -> Iterator[None]:
    """Keep full collections from visiting what is in memory now: tens of thousands of objects of loaded modules, which
    take 0.1 s each time, and the event loop is blocked meanwhile. Begin this once all is imported."""
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()
