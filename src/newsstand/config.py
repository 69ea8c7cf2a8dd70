"""The settings of Newsstand, with their defaults."""

from __future__ import annotations

import dataclasses
import math
import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from newsstand.errors import ConfigurationError
from newsstand.model import Policy
from newsstand.suggesting import did_you_mean
from newsstand.xmpp.xmltext import Limits

DEEPEST = 400
"""Levels of nesting that Python's own XML functions take without harm."""
MAY_BE_ZERO = {"quiet_start"}
ANY = "*"
"""In `Settings.policy`: the nodes of all analysers that are not named."""


@dataclass(frozen=True, slots=True)
class Settings:
    """The limits within which nodes are copied. Times are in seconds unless a name says days."""

    max_nodes: int = 2_000
    """Nodes followed at a time, over all accounts; further ones are read from the service."""
    max_items: int = 100_000
    """Items of a node; a larger node is read from the service."""
    max_bytes: int = 256 << 20
    """Bytes of a node's items, as XML; a larger node is read from the service."""
    max_total_bytes: int = 4 << 30
    """Bytes of the items of all nodes in the database. Above it, copies are dropped, those that were not read for
    longest first. On disk a database takes about four times as much."""
    max_waiting_bytes: int = 32 << 20
    """Bytes of notifications, of all nodes together, that wait in memory to be stored. A node whose notifications do
    not fit is listed anew."""
    max_item_bytes: int = 1 << 20
    """Bytes of an item, as XML. Of one that exceeds this, or one of the next three, only the id is kept, and the
    service is asked for it. Programs that share a database must agree on these four."""
    max_item_elements: int = 20_000
    """XML elements of an item."""
    max_item_depth: int = 200
    """Levels of nesting of an item, 400 at most."""
    max_item_attributes: int = 1_000
    """XML attributes of one element."""
    unread_days: int = 30
    """A node that the program did not read for so long is unsubscribed and dropped."""
    refused_days: int = 7
    """How long the items of a node are kept that its service refuses to the account: unread, unsearched, and there
    again if access comes back."""
    change_days: int = 30
    """How long the log of changes is kept."""
    parallel: int = 5
    """Nodes that are synchronised at a time."""
    parallel_service: int = 4
    """Of these, how many may be of one service, and in any case fewer than all, where `parallel` is more than 1. The
    PEP services of a domain's accounts count as one."""
    slow_after: float = 2.0
    """What a service has not answered for so long holds up no node of another service any more."""
    listing_time: float = 3_600.0
    """How long a service may take over the answers of which a listing is made, in all; a listing that takes longer is
    cancelled, and begun anew after a pause."""
    page_size: int = 200
    """Items asked for in one page, where a service knows pages (XEP-0059)."""
    request_timeout: float = 60.0
    """How long a service may take over one request of ours."""
    quiet_start: float = 60.0
    """How long after a session's start a copy that is not live is synchronised only where the requests for that are
    fewer than those that it saves: many programs read each node once, when their session starts. 0: at once."""
    patience: float = 10.0
    """How long the service may take over a program's read; then the read falls back on a stale copy."""
    revalidate: float = 900.0
    """A live node of which the service answered nothing for so long is asked for: whether we still may read it, and
    whether it holds what the copy holds. As often, each is asked for whether we are still subscribed to it. No service
    notifies us of all of this."""
    remember_errors: float = 4.0
    """How long at most an error stands for the service's answer to the same read, when it came several times: that a
    node or an item is missing, or may not be read. What comes once is not remembered; the second time it stands for a
    tenth of a second."""
    retry_first: float = 5.0
    """The pause after a failed synchronisation; it doubles with each failure."""
    retry_most: float = 3_600.0
    """The longest of these pauses."""
    retry_lasting: float = 86_400.0
    """The pause after an error that will not pass by itself (the node is too large, its service refuses the
    subscription, or lists it so that nobody can rely on it), unless something changes before: see
    docs/decisions/015-fair-shares.md."""
    parser_timeout: float = 30.0
    """How long an analyser's `match` or `parser` may take, and the import of a package that brings one."""
    lease: float = 15.0
    """How long a worker that does not renew its leases any more keeps the nodes that it owns, where several use one
    database. Until then the others trust its copies; then they acquire its nodes. The end of a process on the same
    machine is noticed at once."""
    policy: Mapping[str, Policy] | None = None
    """Whom the program's reads ask (`newsstand.Policy`), by the name or the type of a node's analyser, or "*" for all
    that are not named: `{"avatar": "serve-stale", "*": "ask-when-stale"}`. It stands above what an analyser says, and
    below what a call of `get_items` says."""

    def __post_init__(self) -> None:
        if self.policy is not None:
            object.__setattr__(self, "policy", _policies(self.policy))
        for field in dataclasses.fields(self):
            if field.name == "policy":
                continue
            value = getattr(self, field.name)
            if not math.isfinite(value) or value < 0 or (value == 0 and field.name not in MAY_BE_ZERO):
                least = "0 or more" if field.name in MAY_BE_ZERO else "above 0"
                raise ConfigurationError(f"{field.name} must be a number {least}, not {value!r}")
            if isinstance(field.default, int) and not isinstance(value, int):
                raise ConfigurationError(f"{field.name} must be a whole number, not {value!r}")
        if self.max_total_bytes < self.max_bytes:
            raise ConfigurationError("max_total_bytes must not be less than max_bytes, which one node may take")
        if self.max_item_depth > DEEPEST:
            raise ConfigurationError(f"max_item_depth must be at most {DEEPEST}: deeper trees end the interpreter")

    @property
    def item_limits(self) -> Limits:
        """How large an item may be, for `newsstand.xmpp.answers`."""
        return Limits(self.max_item_bytes, self.max_item_elements, self.max_item_depth, self.max_item_attributes)

    def policy_of(self, name: str, type: str) -> Policy | None:
        """What is set for the nodes of an analyser of this name and type."""
        given = self.policy or {}
        return given.get(name) or given.get(type) or given.get(ANY)

    @classmethod
    def of(cls, given: Mapping[str, Any]) -> Settings:
        """From a mapping. Raises ConfigurationError naming what it does not know, or what cannot be."""
        cls._check_names(given)
        for name, value in given.items():
            if name == "policy":
                continue
            if isinstance(value, bool) or not isinstance(value, int | float):
                raise ConfigurationError(f"{name} must be a number, not {value!r}")
        return cls(**given)

    @classmethod
    def _check_names(cls, given: Mapping[str, Any]) -> None:
        known = [field.name for field in dataclasses.fields(cls)]
        unknown = sorted(set(given) - set(known))
        if unknown:
            raise ConfigurationError(f"unknown setting {', '.join(unknown)}; there are {', '.join(known)}")

    @classmethod
    def of_environment(cls, given: Mapping[str, Any]) -> Settings:
        """As `of`; what is not given, or None, is taken from the environment: `max_nodes` from $NEWSSTAND_MAX_NODES,
        `policy` from $NEWSSTAND_POLICY, as `avatar=serve-stale,*=ask-when-stale`."""
        cls._check_names(given)
        named = {name: value for name, value in given.items() if value is not None}
        for field in dataclasses.fields(cls):
            variable = f"NEWSSTAND_{field.name.upper()}"
            if field.name not in named and (said := os.environ.get(variable)):
                named[field.name] = read_setting(field.name, said, f"${variable}")
        return cls.of(named)


def read_setting(name: str, said: str, where: str) -> Any:
    """The value of a setting, from the text that stands in a file or in the environment. A text of what is no setting
    is returned as it is. Raises ConfigurationError, which says `where` it stands."""
    if name == "policy":
        pairs = [pair.partition("=") for pair in said.split(",")]
        if not all(equals for _, equals, _ in pairs):
            raise ConfigurationError(f"{where} is {said!r}: write it as avatar=serve-stale,*=ask-when-stale")
        return {name.strip(): policy.strip() for name, _, policy in pairs}
    default = next((field.default for field in dataclasses.fields(Settings) if field.name == name), said)
    if default is said:
        return said
    try:
        return int(said) if isinstance(default, int) else float(said)
    except ValueError:
        kind = "whole number" if isinstance(default, int) else "number"
        raise ConfigurationError(f"{where} is {said!r}: it must be a {kind}") from None


def _policies(given: Any) -> dict[str, Policy]:
    if not isinstance(given, Mapping):
        raise ConfigurationError(f"policy is a mapping such as {{'avatar': 'serve-stale'}}, not {given!r}")
    known = {policy.value: policy for policy in Policy}
    found: dict[str, Policy] = {}
    for name, value in given.items():
        if not isinstance(name, str) or not name:
            raise ConfigurationError(f"policy names analysers or their types, or {ANY!r}, not {name!r}")
        policy = known.get(value.replace("_", "-")) if isinstance(value, str) else None
        if policy is None:
            meant = did_you_mean(value, known) if isinstance(value, str) else ""
            says = meant or f": there are {', '.join(known)}"
            raise ConfigurationError(f"policy of {name!r} is {value!r}{says}")
        found[name] = policy
    return found
