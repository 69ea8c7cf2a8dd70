"""What pays at the start of a session."""

from __future__ import annotations

import pytest

from newsstand.rules.start import MANY, SMALL, is_lent, pays


@pytest.mark.parametrize("expected", [0, 1, 2, 3])
def test_a_read_is_lent_where_a_second_one_is_expected(expected: int) -> None:
    assert is_lent(expected=expected, whole=True, complete=True, count=1) is (expected > 1)


@pytest.mark.parametrize(
    ("whole", "complete", "count"), [(False, True, 1), (True, False, 1), (True, True, 0), (True, True, SMALL + 1)]
)
def test_only_a_read_of_all_items_of_a_small_complete_copy_is_lent(whole: bool, complete: bool, count: int) -> None:
    assert not is_lent(expected=3, whole=whole, complete=complete, count=count)


def requests_of(reads: int, expected: int, *, whole: bool) -> int:
    """How many requests a session takes in which a node is read so often, where so many reads are expected."""
    sent, live = 0, False
    for number in range(1, reads + 1):
        if live:
            continue
        sent += 1
        if is_lent(expected=expected, whole=whole, complete=True, count=5):
            sent, live = sent + 1, True
        elif pays(expected=expected, reads=number, complete=True, count=5):
            sent, live = sent + 2, True
    return sent


@pytest.mark.parametrize("whole", [True, False])
@pytest.mark.parametrize("reads", range(1, 10))
def test_a_session_that_is_as_the_one_before_takes_no_more_requests_than_without_a_copy(
    reads: int, whole: bool
) -> None:
    assert requests_of(reads, min(reads, 3), whole=whole) <= reads


@pytest.mark.parametrize("expected", range(4))
@pytest.mark.parametrize("reads", range(1, 40))
def test_no_session_takes_more_than_two_requests_more(reads: int, expected: int) -> None:
    for whole in (True, False):
        assert requests_of(reads, expected, whole=whole) <= reads + 2


def test_a_node_that_was_never_complete_is_synchronised_when_it_is_read_often() -> None:
    assert not pays(expected=3, reads=MANY - 1, complete=False, count=0)
    assert pays(expected=0, reads=MANY, complete=False, count=0)
