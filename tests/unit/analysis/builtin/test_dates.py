from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from newsstand.analysis.builtin._dates import date_time


@pytest.mark.parametrize(
    ("given_text", "expected"),
    [
        ("2024-03-09T17:05:00Z", "2024-03-09T17:05:00Z"),
        ("  2024-03-09T17:05:00Z\n", "2024-03-09T17:05:00Z"),
        ("2024-03-09t17:05:00z", "2024-03-09T17:05:00Z"),
        ("2024-03-09 17:05:00Z", "2024-03-09T17:05:00Z"),
        ("2024-03-09T17:05:00+01:30", "2024-03-09T15:35:00Z"),
        ("2024-03-01T00:30:00+01:00", "2024-02-29T23:30:00Z"),
        ("2023-12-31T23:30:00-01:00", "2024-01-01T00:30:00Z"),
        ("2024-03-09T17:05:00+0000", "2024-03-09T17:05:00Z"),
        ("2024-03-09T17:05:00-00:00", "2024-03-09T17:05:00Z"),
        ("2024-03-09T17:05:00", "2024-03-09T17:05:00Z"),
        ("20240309T17:05:00", "2024-03-09T17:05:00Z"),
        ("20240309T170500Z", "2024-03-09T17:05:00Z"),
        ("2024-03-09T17:05Z", "2024-03-09T17:05:00Z"),
        ("2016-12-31T23:59:60Z", "2016-12-31T23:59:59Z"),
        ("0999-01-02T03:04:05Z", "0999-01-02T03:04:05Z"),
    ],
)
def test_every_form_in_use_becomes_one(given_text: str, expected: str) -> None:
    assert date_time(given_text) == expected


@pytest.mark.parametrize(
    ("given_text", "expected"),
    [
        ("2024-03-09T17:05:00.5Z", "2024-03-09T17:05:00.5Z"),
        ("2024-03-09T17:05:00.120+02:00", "2024-03-09T15:05:00.120Z"),
        ("2024-03-09T17:05:00.000000Z", "2024-03-09T17:05:00.000000Z"),
        ("2024-03-09T17:05:00.1234567891234Z", "2024-03-09T17:05:00.123456789Z"),
    ],
)
def test_fractions_keep_the_precision_that_was_given(given_text: str, expected: str) -> None:
    assert date_time(given_text) == expected


@pytest.mark.parametrize(
    "text",
    [
        None,
        "",
        "yesterday",
        "2024-03-09",
        "2024-02-30T00:00:00Z",
        "2023-02-29T00:00:00Z",
        "2024-13-01T00:00:00Z",
        "2024-03-09T24:00:00Z",
        "2024-03-09T17:05:61Z",
        "2024-03-09T17:60:00Z",
        "2024-03-09T17:05:00+24:00",
        "2024-03-09T17:05:00+01:60",
        "2024-03-09T17:05:00.Z",
        "2024-03-09T17:05:00Z and more",
        "0000-01-01T00:00:00Z",
        "0001-01-01T00:00:00+01:00",
        "9999-12-31T23:59:59-01:00",
        "12024-03-09T17:05:00Z",
        "-2024-03-09T17:05:00Z",
        "٢٠٢٤-03-09T17:05:00Z",
        "1710003900",
    ],
)
def test_what_is_no_point_in_time_is_nothing(text: str | None) -> None:
    assert date_time(text) is None


@settings(deadline=None)
@given(
    st.datetimes(min_value=datetime(2, 1, 1), max_value=datetime(9998, 1, 1)).map(
        lambda moment: moment.replace(microsecond=0)
    ),
    st.integers(-23 * 60 - 59, 23 * 60 + 59),
)
def test_a_moment_is_the_same_moment_in_utc(moment: datetime, minutes: int) -> None:
    local = moment.replace(tzinfo=timezone(timedelta(minutes=minutes)))
    assert date_time(local.isoformat()) == local.astimezone(UTC).replace(tzinfo=None).isoformat() + "Z"


@settings(deadline=None)
@given(st.text(alphabet="0123456789-:.+TtZz ٣\n", max_size=40))
def test_no_text_makes_it_raise(text: str) -> None:
    parsed = date_time(text)
    assert parsed is None or datetime.fromisoformat(parsed).tzinfo == UTC


def test_a_megabyte_of_digits_is_refused_at_once() -> None:
    start = time.process_time()
    assert date_time("2024-03-09T17:05:00." + "1" * 2**20 + "x") is None
    assert time.process_time() - start < 1


def test_what_is_very_long_is_no_date() -> None:
    assert date_time(f"2024-03-09T17:05:00.{'5' * 900}Z") == "2024-03-09T17:05:00.555555555Z"
    assert date_time(f"2024-03-09T17:05:00.{'5' * 1_000}Z") is None
