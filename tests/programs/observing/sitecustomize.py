"""Observes a program from within: Python imports this at its start, because the folder is in the program's PYTHONPATH.

It writes a line of JSON to the file $PROGRAMS_RECORD for each read of the program's and for what came of it, and for
each request of Newsstand's own. The program's own files, and what it imports, stay as they are: `Iq.send` is wrapped
once slixmpp was imported, and hands on what it was given. Needs nothing but Python and slixmpp.
"""

from __future__ import annotations

import functools
import importlib.abc
import json
import os
import sys
import time
from collections.abc import Callable, Sequence
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any
from xml.etree.ElementTree import tostring

from answered_items import is_read, items_of


def write(**what: Any) -> None:
    """Each line with one write, so that whoever reads meanwhile gets whole lines."""
    line = json.dumps(what | {"at": time.time()}) + "\n"
    os.write(RECORD, line.encode())


def watch_program(module: Any) -> None:
    """slixmpp's own `Iq.send`, by which a program's requests go."""
    module.Iq.send = _watched(module.Iq.send, lambda iq, *_, **__: iq)


def watch_trigger(module: Any) -> None:
    """With Newsstand, the trigger decides first."""
    module.Trigger.send = _watched(module.Trigger.send, lambda _, iq, *__, **___: iq)


def watch_own(module: Any) -> None:
    """Newsstand's own requests."""
    original = module.ask

    @functools.wraps(original)
    def ask(iq: Any, *args: Any, **kwargs: Any) -> Any:
        if not getattr(iq, "was_observed", False):
            write(own=iq["id"])
        return original(iq, *args, **kwargs)

    module.ask = ask


def _watched(original: Callable[..., Any], iq_of: Callable[..., Any]) -> Callable[..., Any]:
    """The same function, which notes the reads that pass it: each once, the outermost time."""

    @functools.wraps(original)
    def send(*args: Any, **kwargs: Any) -> Any:
        iq = iq_of(*args, **kwargs)
        if getattr(iq, "was_observed", False):
            return original(*args, **kwargs)
        iq.was_observed = True
        if not is_read(iq.xml):
            return original(*args, **kwargs)
        write(read=iq["id"], xml=tostring(iq.xml, encoding="unicode"))
        future = original(*args, **kwargs)
        future.add_done_callback(lambda done: _note(iq["id"], done))
        return future

    return send


def _note(id: str, done: Any) -> None:
    if done.cancelled():
        write(answer=id, origin="cancelled")
    elif (error := done.exception()) is not None:
        condition = getattr(error, "condition", type(error).__name__)
        write(answer=id, origin="error", condition=str(condition))
    else:
        made_of = getattr(done.result(), "newsstand", None)
        write(
            answer=id,
            origin="service" if made_of is None else "copy",
            stale=made_of is not None and made_of.stale,
            items=items_of(done.result().xml),
        )


WATCHED: dict[str, Callable[[Any], None]] = {
    "slixmpp.stanza.iq": watch_program,
    "newsstand.slixmpp.trigger": watch_trigger,
    "newsstand.slixmpp.asking": watch_own,
}


class Loader(importlib.abc.Loader):
    """Loads a module as it would be loaded anyway, then watches it."""

    def __init__(self, loader: Any, watch: Callable[[Any], None]) -> None:
        self._loader, self._watch = loader, watch

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        module: ModuleType | None = self._loader.create_module(spec)
        return module

    def exec_module(self, module: ModuleType) -> None:
        self._loader.exec_module(module)
        self._watch(module)


class Finder(importlib.abc.MetaPathFinder):
    """Finds the modules to watch where they are found anyway."""

    def find_spec(self, name: str, path: Sequence[str] | None, target: ModuleType | None = None) -> ModuleSpec | None:
        if name not in WATCHED:
            return None
        for finder in sys.meta_path:
            if finder is not self and (spec := finder.find_spec(name, path, target)) is not None:
                spec.loader = Loader(spec.loader, WATCHED[name])
                return spec
        return None


if name := os.environ.get("PROGRAMS_RECORD"):
    RECORD = os.open(name, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    sys.meta_path.insert(0, Finder())
