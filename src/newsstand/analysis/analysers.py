"""Analysers choose the nodes that are copied, and say how payloads are parsed. The first that matches a node
decides."""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import json
import logging
import re
from collections.abc import Awaitable, Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from xml.etree.ElementTree import Element

from newsstand.analysis.words import XML_VERSION
from newsstand.errors import ConfigurationError, ParseError
from newsstand.model import Policy

log = logging.getLogger(__name__)

ParserFunction = Callable[..., "dict[str, Any] | Awaitable[dict[str, Any]]"]
MatchFunction = Callable[["Analysis"], "Analysis | Awaitable[Analysis | None] | None"]
ImmutableFunction = Callable[[Element], bool]
FetchType = Callable[[], Awaitable["str | None"]]
Run = Callable[..., Awaitable[Any]]
"""Calls a foreign function, plain or coroutine, within bounds (`newsstand.analysis.runner.Runner`)."""

MAX_JSON_DEPTH = 100
MAX_JSON_VALUES = 500_000
MAX_JSON_CHARACTERS = 2**25
SMALL_VALUES = 1_000
SMALL_CHARACTERS = 20_000
"""Parsed data above either is checked in a thread."""
_SURROGATE = re.compile("[\ud800-\udfff]")


@dataclass(frozen=True, slots=True)
class Analysis:
    """What is known of a node when it is analysed, and what came of it.

    `namespaces` are those of the payloads just received; empty when no item came.
    `pubsub_type` is the node's `pubsub#type` (XEP-0060, 16.4.4), None while nobody asked for it.
    A `match` function may return it changed: `dataclasses.replace(analysis, subtype="comments")`.
    """

    service: str
    node: str
    namespaces: tuple[str, ...] = ()
    pubsub_type: str | None = None
    items: tuple[Element, ...] = ()
    type: str | None = None
    subtype: str | None = None
    to_sync: bool = False


@dataclass(frozen=True, slots=True)
class Analyser:
    """Recognises nodes of one kind. The criteria given are ANDed, and at least one is needed.

    - `node`: a prefix of the node's name, or several;
    - `namespace`: a namespace that one of the payloads just received has, or several;
    - `pubsub_type`: the node's `pubsub#type`, or several; costs one disco#info request a node;
    - `match(analysis)`: called last; returns the analysis, changed or not, or None for "not mine".

    `to_sync` false means: mine, and not to be copied. `parser(item, *, service, node)` gets the whole
    `<item/>` and returns a dict that JSON can hold; give `version` a higher number when its result, or `words`,
    changes, and stored items are parsed and indexed again. `match` and `parser` may be coroutine functions; plain ones
    run in a thread. Both have 30 seconds. What they raise is logged or kept on the item, and goes no further. An item
    with which the process ended twice is set aside until its contents or `version` change.

    `words` are the parsed fields that people read, by dotted path: a full-text search finds an item by these only.
    Fields for programs (ids, addresses, dates, media types) are better left out: their words would be found in every
    item. A list within the path stands for its elements (`authors.name`); of a field that holds an object or a list,
    all texts in it count. None: all texts that the parser returns, but those at keys that end in `_xhtml` or `_html`.
    With a parser there is nothing else that is found; without one, it is the texts of the payload's elements.

    `policy` and `max_age` (seconds) say how the program's reads of such nodes are answered, where a request does not
    say otherwise: see `Replica.get_items`. Where there is no copy to serve, the service is asked, whatever they say;
    but `get_items` raises NotInCopy where the policy is ONLY_COPY.

    `is_immutable(item)` says of an `<item/>` whether it is right for ever, whoever hands it out: because it is named by
    the hash of what it holds. A read of such items by their ids is answered from the copy, and not as stale, also when
    nothing vouches for the copy otherwise, and offline. It must be quick, and must not raise.
    """

    name: str
    type: str
    node: str | tuple[str, ...] | None = dataclasses.field(default=None, kw_only=True)
    namespace: str | tuple[str, ...] | None = dataclasses.field(default=None, kw_only=True)
    pubsub_type: str | tuple[str, ...] | None = dataclasses.field(default=None, kw_only=True)
    to_sync: bool = dataclasses.field(default=False, kw_only=True)
    parser: ParserFunction | None = dataclasses.field(default=None, kw_only=True)
    match: MatchFunction | None = dataclasses.field(default=None, kw_only=True)
    version: int = dataclasses.field(default=1, kw_only=True)
    words: tuple[str, ...] | None = dataclasses.field(default=None, kw_only=True)
    policy: Policy | None = dataclasses.field(default=None, kw_only=True)
    max_age: float | None = dataclasses.field(default=None, kw_only=True)
    is_immutable: ImmutableFunction | None = dataclasses.field(default=None, kw_only=True)

    def __post_init__(self) -> None:
        if not self.name or not self.type:
            raise ConfigurationError("an analyser needs a name and a type")
        if not (self.node or self.namespace or self.pubsub_type or self.match):
            raise ConfigurationError(
                f"analyser {self.name!r} has no criterion: give node, namespace, pubsub_type or match"
            )
        for given in ("node", "namespace", "pubsub_type"):
            if "" in _several(getattr(self, given)):
                raise ConfigurationError(f"analyser {self.name!r}: {given} must not be empty")
        if isinstance(self.words, str):
            raise ConfigurationError(f"analyser {self.name!r}: words is a tuple of fields, such as ({self.words!r},)")
        if not all(all(path.split(".")) for path in self.words or ()):
            raise ConfigurationError(f"analyser {self.name!r}: words are fields, such as title or author.name")


def parser_of(analyser: Analyser | None) -> tuple[str | None, int]:
    """By what items are parsed and indexed, and its version: by an analyser's parser, or, without one, by the texts of
    their elements."""
    if analyser is None or analyser.parser is None:
        return None, XML_VERSION
    return analyser.name, analyser.version


def _several(criterion: str | tuple[str, ...] | None) -> tuple[str, ...]:
    if criterion is None:
        return ()
    return (criterion,) if isinstance(criterion, str) else tuple(criterion)


class Analysers:
    """The analysers of one replica, in the order in which they are asked: the program's own in the order of
    their registration, then those of installed packages, then the built-in ones. Names are unique; an analyser takes
    the place of one behind it by bearing its name."""

    def __init__(self, built_in: Iterable[Analyser] = ()) -> None:
        self._own: dict[str, Analyser] = {}
        self._brought: dict[str, Analyser] = {}
        self._complete = True
        self._built_in = {analyser.name: analyser for analyser in built_in}
        self.by_name: Mapping[Any, Analyser] = dict(self._built_in)
        """All that are asked."""
        self._fingerprint: bytes | None = None

    def register(self, analyser: Analyser) -> None:
        """Add one, behind those already registered. Raises ConfigurationError when the name is taken."""
        if analyser.name in self._own:
            raise ConfigurationError(f"an analyser named {analyser.name!r} is registered already")
        self._own[analyser.name] = analyser
        self._change()

    def bring(self, analysers: Iterable[Analyser], *, complete: bool = True) -> None:
        """Take the analysers of installed packages, in their order. Not `complete`: there are more, which could not be
        loaded."""
        self._brought = {analyser.name: analyser for analyser in analysers}
        self._complete = complete
        self._change()

    def _change(self) -> None:
        self.by_name = dict(self._built_in | self._brought | self._own)
        self._fingerprint = None

    def __iter__(self) -> Iterator[Analyser]:
        asked: dict[str, Analyser] = {}
        for analyser in (*self._own.values(), *self._brought.values(), *self._built_in.values()):
            asked.setdefault(analyser.name, analyser)
        return iter(asked.values())

    def find(self, name: str | None) -> Analyser | None:
        return self.by_name.get(name)

    def may_parse(self, node: str, namespaces: Collection[str]) -> bool:
        """Whether one that has a parser may match a node of this name, whose payloads have these namespaces."""
        return any(each.parser and _may_be_of(each, node, namespaces) for each in self)

    def words_of(self, name: str | None) -> tuple[str, ...] | None:
        """Which parsed fields of its nodes are words: see `Analyser.words`."""
        analyser = self.find(name)
        return None if analyser is None else analyser.words

    def may_lack(self, name: str | None) -> bool:
        """Whether an analyser of this name, which decided once, may be among those that could not be loaded."""
        return name is not None and not self._complete and self.find(name) is None

    @property
    def fingerprint(self) -> bytes:
        """Changes whenever a verdict, or what is parsed or indexed, could: another analyser, order, criterion, version
        or field for people."""
        if self._fingerprint is None:
            facts: list[object] = [
                (
                    a.name,
                    a.type,
                    a.node,
                    a.namespace,
                    a.pubsub_type,
                    a.to_sync,
                    _source(a.match),
                    a.version,
                    *parser_of(a),
                    a.words,
                )
                for a in self
            ]
            facts.append(parser_of(None))
            self._fingerprint = hashlib.blake2b(json.dumps(facts).encode(), digest_size=16).digest()
        return self._fingerprint


def _source(function: MatchFunction | None) -> str | None:
    if function is None:
        return None
    # Databases remember verdicts under the name that the package of the built-in analysers had first: another name
    # would have every node judged anew.
    module = getattr(function, "__module__", "").replace("newsstand.analysis.builtin.", "newsstand.analysers.")
    return f"{module}.{getattr(function, '__qualname__', repr(type(function)))}"


@dataclass(frozen=True, slots=True)
class Decided:
    """What the analysers said of a node: which was the first that matched, and the analysis that it returned. Where
    none matched, `analyser` is None, and the node is not wanted."""

    analyser: Analyser | None
    analysis: Analysis


def _may_be_of(analyser: Analyser, node: str, namespaces: Collection[str]) -> bool:
    """Whether an analyser may match a node of this name, whose payloads have these namespaces."""
    prefixes, wanted = _several(analyser.node), _several(analyser.namespace)
    return (not prefixes or node.startswith(prefixes)) and (not wanted or not set(wanted).isdisjoint(namespaces))


async def analyse(analysers: Analysers, analysis: Analysis, fetch_type: FetchType, run: Run) -> Decided | None:
    """Ask the analysers in turn. None means undecided: the answer held no payload to judge by, and an analyser
    that comes first needs one. `fetch_type` is awaited at most once, and only where a `pubsub_type` criterion is all
    that is left to check. Raises ParseError when a `match` function fails: the analysers behind it are not asked,
    because it might have been the one."""
    asked = analysis.pubsub_type is not None
    for analyser in analysers:
        prefixes = _several(analyser.node)
        if prefixes and not analysis.node.startswith(prefixes):
            continue
        namespaces = _several(analyser.namespace)
        if namespaces:
            if not analysis.namespaces:
                return None
            if not set(namespaces).intersection(analysis.namespaces):
                continue
        types = _several(analyser.pubsub_type)
        if types:
            if not asked:
                analysis = dataclasses.replace(analysis, pubsub_type=await fetch_type())
                asked = True
            if analysis.pubsub_type not in types:
                continue
        mine = dataclasses.replace(analysis, type=analyser.type, to_sync=analyser.to_sync)
        if analyser.match is None:
            return Decided(analyser, mine)
        found = await _ask(analyser, mine, run)
        if found is not None:
            return Decided(analyser, found)
    return Decided(None, analysis)


async def _ask(analyser: Analyser, analysis: Analysis, run: Run) -> Analysis | None:
    try:
        found = await run(analyser.match, analysis)
        if found is not None and not isinstance(found, Analysis):
            raise TypeError(f"match returned {type(found).__name__}, not an Analysis or None")
    except Exception as error:  # foreign code: its failure is about this node, and must not go further
        log.warning("analyser %r could not judge node %r: %r", analyser.name, analysis.node, error)
        raise ParseError(f"analyser {analyser.name!r}: {error!r}") from error
    return found


async def parse(analyser: Analyser, item: Element, *, service: str, node: str, run: Run) -> str:
    """The JSON text of one item, by the analyser's parser. Raises ParseError, whatever went wrong."""
    try:
        parsed = await run(analyser.parser, item, service=service, node=node)
        if _is_small(parsed):
            return _dumped(parsed)
        text: str = await run(functools.partial(checked_json, parsed))
        return text
    except ParseError:
        raise
    except Exception as error:  # a parser is foreign code: what it raises belongs to the item
        raise ParseError(f"{type(error).__name__}: {error}") from error


def checked_json(parsed: object) -> str:
    """JSON text that every database holds alike, or ParseError: an object with text keys, no NaN or infinity, no
    NUL, no lone surrogate, at most 100 levels, 500,000 values and 2^25 characters of text."""
    values, characters = _measure(parsed, MAX_JSON_VALUES, MAX_JSON_CHARACTERS)
    if values > MAX_JSON_VALUES:
        raise ParseError(f"parsed data holds more than {MAX_JSON_VALUES} values")
    if characters > MAX_JSON_CHARACTERS:
        raise ParseError(f"parsed data holds more than {MAX_JSON_CHARACTERS} characters of text")
    return _dumped(parsed)


def _is_small(parsed: object) -> bool:
    """Whether it is checked in no time, and right. Raises ParseError where it is not right."""
    values, characters = _measure(parsed, SMALL_VALUES, SMALL_CHARACTERS)
    return values <= SMALL_VALUES and characters <= SMALL_CHARACTERS


def _dumped(parsed: object) -> str:
    try:
        return json.dumps(parsed, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    except (TypeError, ValueError, RecursionError) as error:
        raise ParseError(f"JSON cannot hold the parsed data: {error}") from error


def _measure(parsed: object, most_values: int, most_characters: int) -> tuple[int, int]:
    """How many values it holds, keys among them, and how many characters of text; no further counted than until there
    are more than this of either: a few objects that hold each other may stand for any number. Raises ParseError for
    what is no object, or a value that no database holds."""
    if not isinstance(parsed, Mapping):
        raise ParseError(f"a parser returns a dict, not {type(parsed).__name__}")
    todo: list[tuple[object, int]] = [(parsed, 1)]
    values, characters = 1, 0
    while todo:
        value, depth = todo.pop()
        if depth > MAX_JSON_DEPTH:
            raise ParseError(f"parsed data is deeper than {MAX_JSON_DEPTH} levels")
        match value:
            case str():
                characters += len(value)
                if "\0" in value or (not value.isascii() and _SURROGATE.search(value)):
                    raise ParseError("parsed text holds a NUL or a lone surrogate")
            case int() if not isinstance(value, bool) and not -(2**63) <= value < 2**63:
                raise ParseError("parsed data holds an integer of more than 64 bits")
            case Mapping() | list() | tuple():
                values += (2 if isinstance(value, Mapping) else 1) * len(value)
                if values > most_values:
                    break
                todo += [(inner, depth + 1) for inner in _inside(value)]
            case _:
                pass
        if characters > most_characters:
            break
    return values, characters


def _inside(value: Mapping[Any, object] | Sequence[object]) -> Iterator[object]:
    if not isinstance(value, Mapping):
        yield from value
        return
    for key, inner in value.items():
        if not isinstance(key, str):
            raise ParseError(f"parsed data has a key that is no text: {key!r}")
        yield key
        yield inner
