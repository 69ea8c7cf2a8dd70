"""Newsstand: a live, local, queryable copy of the XMPP PubSub nodes that a program reads."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from newsstand.version import VERSION as __version__

if TYPE_CHECKING:
    from newsstand.analysis.analysers import Analyser, Analysis
    from newsstand.errors import NewsstandError
    from newsstand.model import Answer, Change, ChangeKind, Item, Origin, Page, Policy, Provenance, RsmQuery
    from newsstand.offline import open
    from newsstand.replica import ALL_ACCOUNTS, Replica
    from newsstand.rules.comparing import Verification

__all__ = [
    "ALL_ACCOUNTS",
    "Analyser",
    "Analysis",
    "Answer",
    "Change",
    "ChangeKind",
    "Item",
    "NewsstandError",
    "Origin",
    "Page",
    "Policy",
    "Provenance",
    "Replica",
    "RsmQuery",
    "Verification",
    "__version__",
    "open",
]

# Imported when asked for: the replica brings SQLAlchemy along, which a quarter of a second of every command line's
# start would go into, whether it needs it or not.
_MODULES = {
    "Analyser": "analysis.analysers",
    "Analysis": "analysis.analysers",
    "NewsstandError": "errors",
    "Answer": "model",
    "Change": "model",
    "ChangeKind": "model",
    "Item": "model",
    "Origin": "model",
    "Page": "model",
    "Policy": "model",
    "Provenance": "model",
    "RsmQuery": "model",
    "open": "offline",
    "ALL_ACCOUNTS": "replica",
    "Replica": "replica",
    "Verification": "rules.comparing",
}


def __getattr__(name: str) -> Any:
    module = _MODULES.get(name)
    if module is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{module}"), name)
