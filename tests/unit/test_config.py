"""What can be set, and what is refused."""

from __future__ import annotations

import dataclasses
import re
from typing import Any

import pytest

from newsstand.config import MAY_BE_ZERO, Settings
from newsstand.errors import ConfigurationError
from newsstand.model import Policy

NAMES = [field.name for field in dataclasses.fields(Settings) if field.name != "policy"]
COUNTED = ["max_nodes", "max_items", "parallel", "parallel_service", "page_size"]


def test_nothing_given_means_the_documented_limits() -> None:
    assert Settings.of({}) == Settings()
    assert (Settings().max_nodes, Settings().unread_days, Settings().patience) == (2_000, 30, 10.0)


def test_what_is_given_counts_and_the_rest_stays() -> None:
    assert Settings.of({"max_nodes": 5, "patience": 0.5}) == Settings(max_nodes=5, patience=0.5)


def test_a_time_may_be_a_whole_number() -> None:
    assert Settings.of({"patience": 3}).patience == 3


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("value", [0, -1, float("nan"), float("-inf"), float("inf")])
def test_a_limit_is_a_number_above_nothing(name: str, value: float) -> None:
    if name in MAY_BE_ZERO and value == 0:
        assert getattr(Settings.of({name: 0}), name) == 0
        return
    with pytest.raises(ConfigurationError, match=name):
        Settings.of({name: value})


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("value", [True, None, "5", [5], 5j])
def test_what_is_no_number_is_refused_by_name(name: str, value: Any) -> None:
    with pytest.raises(ConfigurationError, match=name):
        Settings.of({name: value})


@pytest.mark.parametrize("name", COUNTED)
def test_what_is_counted_needs_a_whole_number(name: str) -> None:
    with pytest.raises(ConfigurationError, match=name):
        Settings.of({name: 2.5})


def test_unknown_settings_are_named_with_those_that_exist() -> None:
    with pytest.raises(ConfigurationError, match=r"unknown setting a, z; there are .*max_nodes"):
        Settings.of({"z": 1, "a": 1, "max_nodes": 5})


def test_policies_are_named_by_analyser_type_or_all() -> None:
    settings = Settings.of({"policy": {"nick": "only_copy", "avatar": "serve-stale", "*": Policy.ONLY_SERVICE}})
    assert settings.policy_of("avatar-metadata", "avatar") is Policy.SERVE_STALE
    assert settings.policy_of("nick", "avatar") is Policy.ONLY_COPY  # the name says more than the type
    assert settings.policy_of("blog", "blog") is Policy.ONLY_SERVICE
    assert Settings().policy_of("blog", "blog") is None


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ("serve-stale", "policy is a mapping such as"),
        ({"avatar": "serve-stall"}, "policy of 'avatar' is 'serve-stall': did you mean 'serve-stale'"),
        ({"avatar": "x"}, "there are ask-when-stale, serve-stale, stale-first, only-copy, only-service"),
        ({"avatar": None}, "policy of 'avatar' is None"),
        ({"": "serve-stale"}, "policy names analysers or their types"),
        ({3: "serve-stale"}, "policy names analysers or their types"),
    ],
)
def test_what_is_no_policy_is_refused_with_those_that_there_are(given: Any, says: str) -> None:
    with pytest.raises(ConfigurationError, match=re.escape(says)):
        Settings.of({"policy": given})


def test_what_is_not_given_is_in_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NEWSSTAND_MAX_NODES", "7")
    monkeypatch.setenv("NEWSSTAND_PATIENCE", "0.5")
    monkeypatch.setenv("NEWSSTAND_POLICY", "avatar=serve_stale, *=ask-when-stale")
    monkeypatch.setenv("NEWSSTAND_PARALLEL", "")
    settings = Settings.of_environment({"patience": 3, "max_items": None})
    assert (settings.max_nodes, settings.patience, settings.max_items) == (7, 3, Settings().max_items)
    assert settings.policy == {"avatar": Policy.SERVE_STALE, "*": Policy.ASK_WHEN_STALE}


@pytest.mark.parametrize(
    ("variable", "said", "says"),
    [
        ("NEWSSTAND_MAX_NODES", "2.5", "it must be a whole number"),
        ("NEWSSTAND_PATIENCE", "soon", "it must be a number"),
        ("NEWSSTAND_PATIENCE", "-1", "patience must be a number above 0"),
        ("NEWSSTAND_POLICY", "serve-stale", "write it as avatar=serve-stale"),
        ("NEWSSTAND_POLICY", "avatar=stale", "policy of 'avatar' is 'stale'"),
    ],
)
def test_a_variable_that_says_nothing_of_the_kind_is_named(
    monkeypatch: pytest.MonkeyPatch, variable: str, said: str, says: str
) -> None:
    monkeypatch.setenv(variable, said)
    with pytest.raises(ConfigurationError, match=re.escape(says)):
        Settings.of_environment({})


def test_settings_cannot_change_under_way() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        Settings().max_nodes = 1  # type: ignore[misc]


def test_refused_settings_are_value_errors_too() -> None:
    assert issubclass(ConfigurationError, ValueError)
