"""However work begins, lends, waits and ends: slots are never given twice, none lies idle that somebody may have, and
every service gets its turn."""

from __future__ import annotations

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from newsstand.rules.fairness import Claim, Shares, Standing

SLOTS, OF_SERVICE, MOST = 4, 3, 10
SERVICES = st.sampled_from("abcdef")


class Work(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.shares = Shares(SLOTS, OF_SERVICE, MOST)
        self.claims: list[Claim] = []

    def those(self, standing: Standing) -> list[Claim]:
        return [claim for claim in self.claims if claim.standing is standing]

    def begun(self) -> list[Claim]:
        return [claim for claim in self.claims if claim.begun]

    def serve(self) -> None:
        while self.shares.grant_next() is not None:
            pass

    @rule(service=SERVICES, urgent=st.booleans(), large=st.booleans())
    def comes(self, service: str, urgent: bool, large: bool) -> None:
        claim = Claim(service, urgent=urgent, large=large)
        self.claims.append(claim)
        self.shares.wait(claim)
        self.serve()

    @precondition(lambda self: self.those(Standing.HOLDING))
    @rule(data=st.data())
    def lends(self, data: st.DataObject) -> None:
        self.shares.lend(data.draw(st.sampled_from(self.those(Standing.HOLDING))))
        self.serve()

    @precondition(lambda self: self.begun())
    @rule(data=st.data())
    def waits_again(self, data: st.DataObject) -> None:
        self.shares.wait(data.draw(st.sampled_from(self.begun())))
        self.serve()

    @precondition(lambda self: self.those(Standing.WAITING))
    @rule(data=st.data())
    def hurries(self, data: st.DataObject) -> None:
        self.shares.hurry(data.draw(st.sampled_from(self.those(Standing.WAITING))))
        self.serve()

    @precondition(lambda self: self.claims)
    @rule(data=st.data())
    def ends(self, data: st.DataObject) -> None:
        claim = data.draw(st.sampled_from(self.claims))
        self.claims.remove(claim)
        self.shares.end(claim)
        self.serve()

    @invariant()
    def no_more_is_given_than_there_is(self) -> None:
        holding = self.those(Standing.HOLDING)
        assert len(holding) <= SLOTS
        assert sum(claim.large for claim in holding) <= 1
        assert len(self.begun()) <= MOST
        assert all(count <= OF_SERVICE for count in Counter(claim.service for claim in self.begun()).values())

    @invariant()
    def no_slot_lies_idle_that_somebody_may_have(self) -> None:
        if len(self.those(Standing.HOLDING)) == SLOTS:
            return
        has_large = any(claim.large for claim in self.those(Standing.HOLDING))
        begun = Counter(claim.service for claim in self.begun())
        for claim in self.those(Standing.WAITING):
            assert (
                (claim.large and has_large)
                or (not claim.begun and begun[claim.service] >= OF_SERVICE)
                or (not claim.begun and len(self.begun()) >= MOST)
            )


TestWork = Work.TestCase


@given(st.lists(SERVICES, max_size=60), st.lists(st.booleans(), min_size=200, max_size=200))
def test_a_service_that_comes_last_goes_on_after_one_turn_of_each_other(services: list[str], lends: list[bool]) -> None:
    """Each turn ends, or lends its slot; whoever lent one never comes back."""
    shares = Shares(SLOTS, OF_SERVICE, most=1000)
    for service in services:
        shares.wait(Claim(service))
    holding = []
    while (claim := shares.grant_next()) is not None:
        holding.append(claim)
    well = Claim("well")
    shares.wait(well)
    turns = 0
    for does_lend in lends:
        if (granted := shares.grant_next()) is not None:
            holding.append(granted)
        if well.standing is Standing.HOLDING:
            break
        turns += 1
        first = holding.pop(0)
        (shares.lend if does_lend else shares.end)(first)
    assert well.standing is Standing.HOLDING
    assert turns <= len(set(services))
