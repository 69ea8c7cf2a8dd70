"""`--where FIELD OP VALUE`."""

from __future__ import annotations

from typing import Any

import pytest

from newsstand.cli.conditions import conditions, scalar
from newsstand.errors import ConfigurationError


@pytest.mark.parametrize(
    ("typed", "value"),
    [
        ("Juliet", "Juliet"),
        ("true", True),
        ("false", False),
        ("1597", 1597),
        ("-3", -3),
        ("1.5e2", 150.0),
        ('"1597"', "1597"),
        ('"true"', "true"),
        ("True", "True"),
        ("null", "null"),
        ("[1]", "[1]"),
        ('{"a": 1}', '{"a": 1}'),
        ('"open', '"open'),
        ("NaN", "NaN"),
        ("-Infinity", "-Infinity"),
        ("1e999", "1e999"),
        (str(2**63 - 1), 2**63 - 1),
        (str(2**63), str(2**63)),
        ("9" * 5_000, "9" * 5_000),
        ("[" * 100_000, "[" * 100_000),
        ("", ""),
    ],
)
def test_a_value_is_a_json_scalar_or_else_text(typed: str, value: Any) -> None:
    read = scalar(typed)
    assert read == value
    assert type(read) is type(value)


def test_every_field_is_held_to_its_value() -> None:
    given = [("author.name", "=", "Juliet"), ("year", "=", "1597")]
    assert conditions(given) == {"author.name": "Juliet", "year": 1597}


@pytest.mark.parametrize("operator", [">", "!=", "==", "contains"])
def test_another_comparison_is_refused_by_naming_what_there_is(operator: str) -> None:
    with pytest.raises(ConfigurationError, match="yet, only =: write --where year = VALUE"):
        conditions([("year", operator, "1")])


def test_a_field_cannot_be_held_to_two_values() -> None:
    with pytest.raises(ConfigurationError, match="'year' twice"):
        conditions([("year", "=", "1"), ("year", "=", "2")])
