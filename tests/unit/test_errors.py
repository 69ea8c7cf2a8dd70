"""What an error says of trying again."""

from __future__ import annotations

import pytest

from newsstand import errors
from newsstand.errors import (
    Disconnected,
    ListingError,
    NewsstandError,
    NodeTooLarge,
    NotFollowed,
    NotListable,
    PepRefused,
    StanzaError,
    Timeout,
    TooSlow,
)


@pytest.mark.parametrize(
    "error",
    [
        NodeTooLarge("max_items", 5),
        NotListable("an item without an id"),
        NotFollowed("the service refuses the subscription"),
        PepRefused("three accounts' refuse it"),
        StanzaError("cancel", "feature-not-implemented"),
        StanzaError("modify", "bad-request"),
        StanzaError("auth", "forbidden"),
    ],
)
def test_what_is_refused_or_cannot_be_done_waits_for_a_change(error: NewsstandError) -> None:
    assert error.lasting


@pytest.mark.parametrize(
    "error",
    [
        ListingError("the number of items changed while they were listed"),
        Timeout("no answer within 60 s"),
        Disconnected("the stream ended"),
        StanzaError("cancel", "remote-server-not-found"),
        StanzaError("wait", "internal-server-error"),
        StanzaError("cancel", "internal-server-error"),
        StanzaError("cancel", "service-unavailable"),
        StanzaError("wait", "policy-violation"),
        TooSlow("it takes long", 60.0),
        NotFollowed("refused for the moment", lasting=False),
        NewsstandError("something else"),
    ],
)
def test_what_may_pass_by_itself_is_tried_again(error: NewsstandError) -> None:
    assert not error.lasting


def test_a_node_above_a_limit_names_the_setting_and_what_is_known_of_its_size() -> None:
    error = NodeTooLarge("max_items", 1000, 1200)
    assert (error.setting, error.limit, error.found) == ("max_items", 1000, 1200)
    assert str(error) == "the node has more than 1000 items, at least 1200 (setting max_items)"
    assert str(NodeTooLarge("max_bytes", 5_000_000)) == "the node has more than 5000000 bytes (setting max_bytes)"


def test_every_error_is_in_the_tree_at_the_top() -> None:
    assert errors.__doc__ is not None
    for name, error in vars(errors).items():
        if isinstance(error, type) and issubclass(error, NewsstandError):
            assert name in errors.__doc__
