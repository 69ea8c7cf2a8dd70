"""Slots are shared among services, so that none of them can keep the others from theirs."""

from __future__ import annotations

import pytest

from newsstand.rules.fairness import Claim, Shares, Standing


class Trial:
    """Four slots, three for one service."""

    def __init__(self, slots: int = 4, of_service: int = 3, most: int = 20) -> None:
        self.silent: set[str] = set()
        self.shares = Shares(slots, of_service, most, self.silent.__contains__)

    def wait(self, service: str, count: int = 1, *, urgent: bool = False, large: bool = False) -> list[Claim]:
        claims = [Claim(service, urgent=urgent, large=large) for _ in range(count)]
        for claim in claims:
            self.shares.wait(claim)
        return claims

    def grant(self) -> list[Claim]:
        """All that can be granted now, in order."""
        granted = []
        while (claim := self.shares.grant_next()) is not None:
            granted.append(claim)
        return granted

    def begin(self, service: str, count: int = 1, *, large: bool = False) -> list[Claim]:
        """Claims that have their slots."""
        claims = self.wait(service, count, large=large)
        assert self.grant() == claims
        return claims


@pytest.fixture
def trial() -> Trial:
    return Trial()


def services(claims: list[Claim]) -> list[str]:
    return [claim.service for claim in claims]


def test_no_service_has_all_slots(trial: Trial) -> None:
    evil = trial.wait("evil", 6)
    assert trial.grant() == evil[:3]
    well = trial.wait("well")
    assert trial.grant() == well


def test_what_ends_makes_room_for_the_next_of_its_service_in_order(trial: Trial) -> None:
    waiting = trial.wait("one", 6)
    trial.grant()
    trial.shares.end(waiting[1])
    assert trial.grant() == [waiting[3]]


def test_a_free_slot_goes_to_the_service_that_has_the_fewest(trial: Trial) -> None:
    one = trial.begin("one", 3)
    trial.wait("two", 3)
    assert services(trial.grant()) == ["two"]
    trial.wait("one", 3)
    trial.shares.end(one[0])
    assert services(trial.grant()) == ["two"]


def test_services_take_turns(trial: Trial) -> None:
    for service in ("one", "two", "three"):
        trial.wait(service, 3)
    granted = trial.grant()
    for _ in range(4):
        trial.shares.end(granted.pop(0))
        granted += trial.grant()
        assert len(granted) == 4
        assert set(services(granted)) == {"one", "two", "three"}


def test_a_slot_that_is_lent_is_used_by_others_and_not_by_its_own_service(trial: Trial) -> None:
    one = trial.begin("one", 3)
    trial.wait("one", 3)
    for claim in one:
        trial.shares.lend(claim)
    assert trial.grant() == [], "three of it are begun still"
    assert services(trial.wait("two", 3)) == services(trial.grant())
    assert services(trial.wait("three")) == services(trial.grant())


def test_who_got_an_answer_goes_on_before_what_is_new_of_its_service(trial: Trial) -> None:
    (lender,) = trial.begin("one")
    trial.shares.lend(lender)
    trial.begin("two", 3)
    (other,) = trial.begin("three")
    trial.wait("one")
    trial.shares.wait(lender)
    assert trial.grant() == []
    trial.shares.end(other)
    assert trial.grant() == [lender]


def test_a_silent_service_has_one_slot_until_it_answers(trial: Trial) -> None:
    trial.silent.add("one")
    waiting = trial.wait("one", 4)
    assert trial.grant() == waiting[:1]
    trial.silent.clear()
    assert trial.grant() == waiting[1:3]


def test_what_somebody_waits_for_goes_first_of_its_service(trial: Trial) -> None:
    trial.begin("one", 3)
    (busy,) = trial.begin("two")
    first, second, third = trial.wait("two", 3)
    (urgent,) = trial.wait("two", urgent=True)
    trial.shares.hurry(third)
    order = []
    for _ in range(4):
        trial.shares.end(busy)
        (busy,) = trial.grant()
        order.append(busy)
    assert order == [urgent, third, first, second]


def test_large_work_goes_on_one_at_a_time_and_behind_the_rest_of_its_service(trial: Trial) -> None:
    large = trial.wait("one", 2, large=True) + trial.wait("two", large=True)
    small = trial.wait("one")
    granted = trial.grant()
    assert len(granted) == 2
    assert small[0] in granted
    (begun,) = set(granted) - set(small)
    trial.shares.lend(begun)
    (other,) = trial.grant()
    assert other in large, "while the first one waits for its service, another one may go on"
    trial.shares.wait(begun)
    assert trial.grant() == []
    trial.shares.end(other)
    assert trial.grant() == [begun]


def test_large_work_that_somebody_waits_for_is_as_any_other(trial: Trial) -> None:
    trial.begin("one", large=True)
    (large,) = trial.wait("two", large=True)
    assert trial.grant() == []
    trial.shares.hurry(large)
    assert trial.grant() == [large]


def test_where_too_much_is_begun_what_waits_longest_for_its_answer_is_stuck() -> None:
    trial = Trial(slots=2, of_service=1, most=3)
    first, second = trial.begin("one") + trial.begin("two")
    trial.shares.lend(second)
    trial.shares.lend(first)
    (third,) = trial.begin("three")
    trial.shares.lend(third)
    assert trial.shares.find_stuck() is None, "nobody waits"
    waiting = trial.wait("four")
    assert trial.grant() == []
    assert trial.shares.find_stuck() is second
    trial.shares.end(second)
    assert trial.grant() == waiting


def test_nothing_is_stuck_while_there_is_no_slot_anyway() -> None:
    trial = Trial(slots=2, of_service=1, most=3)
    (lender,) = trial.begin("one")
    trial.shares.lend(lender)
    trial.begin("two")
    trial.begin("three")
    trial.wait("four")
    assert trial.shares.find_stuck() is None


def test_somebody_would_go_on_if_there_was_one_more_slot(trial: Trial) -> None:
    trial.begin("one", 3)
    trial.wait("one")
    assert not trial.shares.is_wanted(), "its service has its share"
    trial.begin("two")
    trial.wait("three")
    assert trial.shares.is_wanted()


def test_who_gave_up_waiting_gets_no_slot(trial: Trial) -> None:
    first, second = trial.wait("one", 2)
    trial.shares.end(first)
    assert trial.grant() == [second]
    assert first.standing is Standing.OVER


def test_nothing_is_remembered_of_services_that_want_nothing(trial: Trial) -> None:
    for number in range(100):
        (claim,) = trial.begin(f"service-{number}")
        trial.shares.lend(claim)
        trial.shares.end(claim)
    assert not any((trial.shares._waiting, trial.shares._begun, trial.shares._holding, trial.shares._last_served))
