"""Which failures wait for a change, for how long, and what a change is."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from newsstand.config import Settings
from newsstand.errors import ListingError, NodeTooLarge, NotFollowed, NotListable, StanzaError, Timeout, TooSlow
from newsstand.model import (
    Configured,
    Deleted,
    News,
    NodeKey,
    NodeRecord,
    Published,
    Purged,
    Retracted,
    SubscriptionChanged,
    SyncState,
)
from newsstand.rules.lasting import fingerprint, is_waiting, may_heal, pause_after, waits_for_change

SETTINGS = Settings()
NOW = 1_700_000_000_000_000
FAILED = NodeRecord(
    1,
    NodeKey("juliet@example.org", "pubsub.example.org", "blog"),
    state=SyncState.FAILED,
    retry_at=NOW + 1,
    failed_by=fingerprint(SETTINGS),
)


LASTING = [NodeTooLarge("max_items", 5), NotFollowed("refused"), NotListable("no count"), StanzaError("modify", "x")]


def test_a_lasting_failure_waits_for_a_day() -> None:
    for error in LASTING:
        assert waits_for_change(error, SyncState.SYNCING)
        assert [pause_after(error, n, SETTINGS, lasting=True) for n in (1, 2, 50)] == [86_400.0] * 3


def test_what_a_live_copy_fails_by_has_it_listed_unless_a_listing_ends_the_same() -> None:
    assert [waits_for_change(error, SyncState.LIVE) for error in LASTING] == [True, True, False, False]


def test_what_may_pass_waits_for_nothing() -> None:
    for error in (Timeout("no answer"), TooSlow("too long", 5.0), ListingError("it changed")):
        assert not any(waits_for_change(error, state) for state in SyncState)


def test_any_other_waits_longer_each_time_up_to_a_limit() -> None:
    pauses = [pause_after(Timeout("no answer"), attempts, SETTINGS) for attempts in (0, 1, 2, 3, 10, 11, 12)]
    assert pauses == [5.0, 5.0, 10.0, 20.0, 2560.0, 3600.0, 3600.0]


def test_however_often_it_failed_there_is_a_pause() -> None:
    assert pause_after(Timeout("no answer"), 1_000_000, SETTINGS) == SETTINGS.retry_most


def test_what_took_long_in_vain_does_not_take_more_than_half_of_the_time() -> None:
    assert pause_after(TooSlow("too long", 600.0), 1, SETTINGS) == 600.0
    assert pause_after(TooSlow("too long", 2.0), 1, SETTINGS) == SETTINGS.retry_first
    assert pause_after(TooSlow("too long", 99_999.0), 1, SETTINGS) == SETTINGS.retry_most


@pytest.mark.parametrize("name", [field.name for field in dataclasses.fields(Settings)])
def test_any_setting_that_changes_is_a_change(name: str) -> None:
    changed: Any = {"*": "only-copy"} if name == "policy" else getattr(SETTINGS, name) + 1
    other = dataclasses.replace(SETTINGS, **{name: changed})
    assert fingerprint(other) != fingerprint(SETTINGS)


def test_another_version_is_a_change(monkeypatch: pytest.MonkeyPatch) -> None:
    before = fingerprint(SETTINGS)
    monkeypatch.setattr("newsstand.rules.lasting.VERSION", "99.0")
    assert fingerprint(SETTINGS) != before


def test_failures_of_different_kinds_are_told_apart() -> None:
    assert fingerprint(SETTINGS, "domain") != fingerprint(SETTINGS)
    assert fingerprint(Settings()) == fingerprint(SETTINGS)


def test_a_failure_waits_until_its_time_or_another_fingerprint() -> None:
    mine = fingerprint(SETTINGS)
    assert is_waiting(FAILED, mine, NOW)
    assert not is_waiting(FAILED, mine, NOW + 1)
    assert not is_waiting(FAILED, b"another", NOW)
    assert not is_waiting(dataclasses.replace(FAILED, failed_by=None), mine, NOW)
    assert not is_waiting(dataclasses.replace(FAILED, retry_at=None), mine, NOW)


@pytest.mark.parametrize("state", [state for state in SyncState if state is not SyncState.FAILED])
def test_only_what_failed_waits(state: SyncState) -> None:
    assert not is_waiting(dataclasses.replace(FAILED, state=state), fingerprint(SETTINGS), NOW)


@pytest.mark.parametrize(
    ("news", "heals"),
    [
        (Retracted(("a",)), True),
        (Purged(), True),
        (Configured(), True),
        (Published(()), False),
        (Deleted(), False),
        (SubscriptionChanged("none"), False),
    ],
)
def test_items_that_go_and_a_new_configuration_may_heal(news: News, heals: bool) -> None:
    assert may_heal([news]) is heals
    assert may_heal([Published(()), news]) is heals


def test_nothing_heals_nothing() -> None:
    assert not may_heal([])
