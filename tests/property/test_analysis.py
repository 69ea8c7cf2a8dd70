"""The first match decides, whatever the analysers are; and JSON is checked before it is stored."""

from __future__ import annotations

import asyncio
import json
import math
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from newsstand.analysis.analysers import Analyser, Analysers, Analysis, analyse, checked_json
from newsstand.errors import ParseError

prefixes = st.sampled_from(["a", "ab", "abc", "b"])
uris = st.sampled_from(["urn:1", "urn:2", "urn:3"])
maybe_several = st.none() | uris | st.lists(uris, min_size=1, max_size=2).map(tuple)


@st.composite
def analysers_of_any_kind(draw: st.DrawFn) -> list[Analyser]:
    made = []
    for number in range(draw(st.integers(0, 5))):
        node = draw(st.none() | prefixes)
        namespace, pubsub_type = draw(maybe_several), draw(maybe_several)
        if node is None and namespace is None and pubsub_type is None:
            node = "a"
        made.append(Analyser(str(number), "t", node=node, namespace=namespace, pubsub_type=pubsub_type))
    return made


def given_as(criterion: str | tuple[str, ...] | None) -> tuple[str, ...]:
    return (criterion,) if isinstance(criterion, str) else criterion or ()


async def never_run(*_: Any, **__: Any) -> Any:
    raise AssertionError("no analyser here has a function")


@given(analysers_of_any_kind(), st.sampled_from(["abc", "a", "b", "c"]), st.lists(uris, max_size=2), st.none() | uris)
def test_the_first_analyser_whose_criteria_all_hold_decides(
    made: list[Analyser], node: str, namespaces: list[str], pubsub_type: str | None
) -> None:
    registered = Analysers(made[3:])
    for analyser in made[:3]:
        registered.register(analyser)
    asked = 0

    async def fetch_type() -> str | None:
        nonlocal asked
        asked += 1
        return pubsub_type

    expected: str | None = "nobody"
    for one in made:
        if one.node is not None and not node.startswith(one.node):
            continue
        if one.namespace is not None and not namespaces:
            expected = None
            break
        if one.namespace is not None and not set(given_as(one.namespace)) & set(namespaces):
            continue
        if one.pubsub_type is not None and pubsub_type not in given_as(one.pubsub_type):
            continue
        expected = one.name
        break
    found = asyncio.run(analyse(registered, Analysis("s", node, tuple(namespaces)), fetch_type, never_run))
    name = None if found is None else found.analyser.name if found.analyser else "nobody"
    assert name == expected
    assert asked <= 1
    assert asked == 0 or any(one.pubsub_type for one in made)


scalars = st.one_of(
    st.none(), st.booleans(), st.integers(-(2**70), 2**70), st.floats(), st.text(st.characters(), max_size=5)
)
junk = st.recursive(
    st.one_of(scalars, st.binary(max_size=2), st.just(math.nan), st.sampled_from(["\0", chr(0xD800)])),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.tuples(inner, inner),
        st.dictionaries(st.one_of(st.text(max_size=3), st.integers(), st.none()), inner, max_size=3),
    ),
    max_leaves=8,
)


def holds(value: Any) -> bool:
    """Whether every database holds it alike."""
    match value:
        case None | bool():
            return True
        case int():
            return -(2**63) <= value < 2**63
        case float():
            return math.isfinite(value)
        case str():
            return "\0" not in value and not any(0xD800 <= ord(c) <= 0xDFFF for c in value)
        case list() | tuple():
            return all(map(holds, value))
        case dict():
            return all(isinstance(key, str) and holds(key) and holds(inner) for key, inner in value.items())
        case _:
            return False


def as_read(value: Any) -> Any:
    match value:
        case list() | tuple():
            return [as_read(inner) for inner in value]
        case dict():
            return {key: as_read(inner) for key, inner in value.items()}
        case _:
            return value


@given(junk)
def test_what_is_stored_reads_back_equal_and_all_else_is_refused(parsed: Any) -> None:
    try:
        text = checked_json(parsed)
    except ParseError:
        assert not isinstance(parsed, dict) or not holds(parsed)
    else:
        assert holds(parsed)
        assert json.loads(text) == as_read(parsed)
        text.encode()
