"""What can be set, and what is refused."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from newsstand.config import Settings
from newsstand.errors import ConfigurationError

NAMES = [field.name for field in dataclasses.fields(Settings)]
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


def test_settings_cannot_change_under_way() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        Settings().max_nodes = 1  # type: ignore[misc]


def test_refused_settings_are_value_errors_too() -> None:
    assert issubclass(ConfigurationError, ValueError)
