"""Which analyser a node is, and what comes of its parser."""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from newsstand.analysis.analysers import Analyser, Analysers, Analysis, Decided, analyse, parser_of
from newsstand.analysis.runner import Runner
from newsstand.analysis.words import XML_VERSION
from newsstand.errors import ConfigurationError, ParseError

NODE = Analysis("pubsub.montague.example", "urn:example:recipes/1", namespaces=("urn:example:recipe",))


@pytest.fixture
def run() -> Iterator[Runner]:
    runner = Runner()
    yield runner
    runner.close()


class Types:
    """Tells a node's `pubsub#type`, and how often it was asked."""

    def __init__(self, told: str | None = None) -> None:
        self.told = told
        self.asked = 0

    async def __call__(self) -> str | None:
        self.asked += 1
        return self.told


def named(name: str, **criteria: Any) -> Analyser:
    return Analyser(name, "recipe", **(criteria or {"node": "urn:example:"}))


def own(*analysers: Analyser) -> Analysers:
    found = Analysers()
    for analyser in analysers:
        found.register(analyser)
    return found


# Registration ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "criteria",
    [{}, {"node": None}, {"to_sync": True}, {"parser": dict}, {"node": ()}, {"namespace": (), "pubsub_type": ()}],
)
def test_an_analyser_needs_a_criterion(criteria: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError, match="criterion"):
        Analyser("a", "recipe", **criteria)


@pytest.mark.parametrize("criterion", ["node", "namespace", "pubsub_type"])
@pytest.mark.parametrize("empty", ["", ("",), ("urn:a", "")])
def test_an_empty_criterion_would_match_everything_and_is_refused(criterion: str, empty: Any) -> None:
    with pytest.raises(ConfigurationError, match=r"'a'"):
        Analyser("a", "recipe", **{criterion: empty})


def test_an_analyser_needs_a_name_and_a_type() -> None:
    with pytest.raises(ConfigurationError):
        Analyser("", "recipe", node="x")
    with pytest.raises(ConfigurationError):
        Analyser("a", "", node="x")


def test_a_program_s_own_are_asked_first_in_the_order_of_registration() -> None:
    analysers = Analysers([named("built-in-1"), named("built-in-2")])
    analysers.register(named("z"))
    analysers.register(named("a"))
    assert [one.name for one in analysers] == ["z", "a", "built-in-1", "built-in-2"]


def test_a_name_is_taken_once() -> None:
    analysers = own(named("a"))
    with pytest.raises(ConfigurationError, match="'a'"):
        analysers.register(named("a", namespace="urn:other"))
    assert [one.node for one in analysers] == ["urn:example:"]


def test_a_program_s_analyser_takes_the_place_of_a_built_in_one() -> None:
    analysers = Analysers([named("a"), named("b")])
    mine = named("b", namespace="urn:mine")
    analysers.register(mine)
    assert [one.name for one in analysers] == ["b", "a"]
    assert analysers.find("b") is mine
    assert analysers.find("a") is not None
    assert analysers.find("c") is None
    assert analysers.find(None) is None


def test_those_of_installed_packages_are_asked_between_the_program_s_own_and_the_built_in_ones() -> None:
    analysers = Analysers([named("built-in")])
    analysers.bring([named("installed-2"), named("installed-1")])
    analysers.register(named("own"))
    assert [one.name for one in analysers] == ["own", "installed-2", "installed-1", "built-in"]


def test_an_analyser_takes_the_place_of_one_behind_it_by_bearing_its_name() -> None:
    analysers = Analysers([named("a"), named("b"), named("c")])
    installed, mine = named("b", namespace="urn:installed"), named("a", namespace="urn:mine")
    analysers.bring([installed, named("a", namespace="urn:installed")])
    analysers.register(mine)
    assert [one.name for one in analysers] == ["a", "b", "c"]
    assert (analysers.find("a"), analysers.find("b")) == (mine, installed)


def test_only_where_some_could_not_be_loaded_an_unknown_name_may_be_theirs() -> None:
    analysers = Analysers([named("built-in")])
    assert not analysers.may_lack("recipes")
    analysers.bring([named("installed")], complete=False)
    assert analysers.may_lack("recipes")
    assert not analysers.may_lack("installed")
    assert not analysers.may_lack("built-in")
    assert not analysers.may_lack(None)


# Fingerprint -----------------------------------------------------------------------------------------------


def match_one(analysis: Analysis) -> Analysis | None:
    return analysis


def match_other(analysis: Analysis) -> Analysis | None:
    return None


@pytest.mark.parametrize(
    "change",
    [
        {"name": "b"},
        {"type": "other"},
        {"node": "urn:other"},
        {"node": ("urn:example:", "urn:other")},
        {"namespace": "urn:x"},
        {"pubsub_type": "urn:x"},
        {"to_sync": True},
        {"version": 2},
        {"match": match_one},
        {"parser": match_one},
        {"words": ("title",)},
        {"words": ()},
    ],
)
def test_the_fingerprint_changes_with_whatever_a_verdict_hangs_on(change: dict[str, Any]) -> None:
    analyser = named("a")
    assert own(dataclasses.replace(analyser, **change)).fingerprint != own(analyser).fingerprint


@pytest.mark.parametrize("words", ["title", ("",), ("a..b",), ("author.",), (".name",)])
def test_words_are_fields(words: Any) -> None:
    with pytest.raises(ConfigurationError, match=r"'a'.*words"):
        named("a", node="n", words=words)


def test_which_fields_are_words_is_known_by_the_analysers_name() -> None:
    analysers = own(named("a", node="n", words=("title", "author.name")), named("b"))
    assert analysers.words_of("a") == ("title", "author.name")
    assert [analysers.words_of(name) for name in ("b", "unknown", None)] == [None] * 3


def test_items_are_known_by_the_parser_that_read_them_and_without_one_by_how_their_words_are_cut() -> None:
    assert parser_of(named("a", node="n", parser=match_one, version=3)) == ("a", 3)
    assert parser_of(named("a", node="n", version=3)) == parser_of(None) == (None, XML_VERSION)


def test_the_fingerprint_tells_orders_and_match_functions_apart() -> None:
    assert own(named("a"), named("b")).fingerprint != own(named("b"), named("a")).fingerprint
    one, other = named("a", match=match_one), named("a", match=match_other)
    assert own(one).fingerprint != own(other).fingerprint


def test_the_fingerprint_is_the_same_for_the_same_and_follows_a_registration() -> None:
    analysers = own(named("a"))
    before = analysers.fingerprint
    assert own(named("a")).fingerprint == before
    analysers.register(named("b"))
    assert analysers.fingerprint == own(named("a"), named("b")).fingerprint != before


def test_the_fingerprint_tells_of_installed_packages_analysers() -> None:
    analysers = Analysers([named("b")])
    before = analysers.fingerprint
    analysers.bring([named("a")])
    assert analysers.fingerprint != before
    analysers.bring([named("b", namespace="urn:installed")])
    assert analysers.fingerprint != before
    analysers.bring([])
    assert analysers.fingerprint == before


# The first match decides -----------------------------------------------------------------------------------


async def decided_by(
    analysers: Analysers, run: Runner, node: Analysis = NODE, types: Types | None = None
) -> str | None:
    found = await analyse(analysers, node, types or Types(), run)
    assert found is not None
    return found.analyser.name if found.analyser else None


async def test_the_first_that_matches_decides(run: Runner) -> None:
    assert await decided_by(own(named("no", node="urn:other"), named("a"), named("b")), run) == "a"
    assert await decided_by(own(named("b"), named("a")), run) == "b"


async def test_it_gives_its_type_and_whether_to_copy(run: Runner) -> None:
    analyser = named("a", node="urn:example:", to_sync=True)
    assert await analyse(own(analyser), NODE, Types(), run) == Decided(
        analyser, dataclasses.replace(NODE, type="recipe", to_sync=True)
    )


async def test_where_none_matches_the_node_is_not_wanted(run: Runner) -> None:
    assert await analyse(own(named("a", node="urn:other")), NODE, Types(), run) == Decided(None, NODE)
    assert await analyse(Analysers(), NODE, Types(), run) == Decided(None, NODE)


@pytest.mark.parametrize(
    ("criteria", "matches"),
    [
        ({"node": "urn:example:"}, True),
        ({"node": "urn:example:recipes/1"}, True),
        ({"node": "example"}, False),
        ({"node": ("urn:other", "urn:ex")}, True),
        ({"namespace": "urn:example:recipe"}, True),
        ({"namespace": "urn:example:"}, False),
        ({"namespace": ("urn:other", "urn:example:recipe")}, True),
        ({"pubsub_type": "urn:type"}, True),
        ({"pubsub_type": ("urn:other", "urn:type")}, True),
        ({"pubsub_type": "urn:"}, False),
        ({"node": "urn:example:", "namespace": "urn:other"}, False),
        ({"node": "urn:other", "namespace": "urn:example:recipe"}, False),
        ({"node": "urn:example:", "pubsub_type": "urn:other"}, False),
        ({"node": "urn:example:", "namespace": "urn:example:recipe", "pubsub_type": "urn:type"}, True),
        ({"node": "urn:example:", "match": match_one}, True),
        ({"node": "urn:example:", "match": match_other}, False),
        ({"node": "urn:other", "match": match_one}, False),
        ({"match": match_one}, True),
    ],
)
async def test_all_criteria_given_must_hold(criteria: dict[str, Any], matches: bool, run: Runner) -> None:
    name = await decided_by(own(named("a", **criteria)), run, types=Types("urn:type"))
    assert name == ("a" if matches else None)


async def test_an_empty_answer_leaves_undecided_what_a_payload_decides(run: Runner) -> None:
    empty = dataclasses.replace(NODE, namespaces=())
    by_namespace = named("a", namespace="urn:x")
    assert await analyse(own(by_namespace, named("b")), empty, Types(), run) is None
    assert await decided_by(own(named("b"), by_namespace), run, empty) == "b"
    elsewhere = named("c", node="urn:other", namespace="urn:x")
    assert await decided_by(own(elsewhere, named("b")), run, empty) == "b"


async def test_the_type_is_asked_for_once_and_only_where_it_is_all_that_is_left(run: Runner) -> None:
    types = Types("urn:type")
    other = {"pubsub_type": "urn:other"}
    await decided_by(own(named("a", node="urn:no", **other), named("b", namespace="urn:no", **other)), run, types=types)
    await decided_by(own(named("a"), named("b", **other)), run, types=types)
    assert types.asked == 0
    assert (
        await decided_by(
            own(named("a", **other), named("b", **other), named("c", pubsub_type="urn:type")), run, types=types
        )
        == "c"
    )
    assert types.asked == 1


async def test_a_type_that_is_known_or_that_nobody_tells_is_not_asked_for_again(run: Runner) -> None:
    types = Types(None)
    two = own(named("a", pubsub_type="urn:type"), named("b", pubsub_type="urn:other"))
    assert await decided_by(two, run, types=types) is None
    assert types.asked == 1
    assert await decided_by(two, run, dataclasses.replace(NODE, pubsub_type="urn:other"), types) == "b"
    assert await decided_by(two, run, dataclasses.replace(NODE, pubsub_type=""), types) is None
    assert types.asked == 1


# Match functions -------------------------------------------------------------------------------------------


async def test_a_match_function_sees_what_is_known_and_may_change_it(run: Runner) -> None:
    shown: list[Analysis] = []

    def plain(analysis: Analysis) -> Analysis:
        shown.append(analysis)
        return dataclasses.replace(analysis, subtype="cake", to_sync=True)

    async def coroutine(analysis: Analysis) -> Analysis:
        return plain(analysis)

    for match in (plain, coroutine):
        found = await analyse(own(named("a", pubsub_type="urn:t", match=match)), NODE, Types("urn:t"), run)
        assert found is not None
        assert (found.analysis.subtype, found.analysis.type, found.analysis.to_sync) == ("cake", "recipe", True)
    assert shown == [dataclasses.replace(NODE, type="recipe", pubsub_type="urn:t")] * 2


async def test_what_one_match_function_refused_the_next_sees_untouched(run: Runner) -> None:
    analysers = own(named("a", to_sync=True, match=match_other), Analyser("b", "other", match=match_one))
    found = await analyse(analysers, NODE, Types(), run)
    assert found is not None
    assert found.analysis == dataclasses.replace(NODE, type="other", to_sync=False)


def raising(_: Analysis) -> Analysis | None:
    raise LookupError("no such cake")


async def raising_later(_: Analysis) -> Analysis | None:
    raise LookupError("no such cake")


@pytest.mark.parametrize("match", [raising, raising_later, lambda _: True, lambda _: "recipe", lambda _: {}])
async def test_a_match_function_that_fails_is_named_and_decides_nothing(
    match: Callable[[Analysis], Any], run: Runner, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING), pytest.raises(ParseError, match="'a'"):
        await analyse(own(named("a", match=match), named("b")), NODE, Types(), run)
    assert "'a'" in caplog.text
