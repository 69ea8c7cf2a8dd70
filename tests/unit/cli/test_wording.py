"""What a service's error means for the person who asked."""

from __future__ import annotations

import pytest

from newsstand.cli.wording import explained
from newsstand.errors import Disconnected, ListingError, NewsstandError, NotInCopy, ServiceError, StanzaError, Timeout


def told(error: NewsstandError) -> str:
    return str(explained(error, "juliet@verona", "pubsub.verona", "news"))


@pytest.mark.parametrize("condition", ["item-not-found", "gone"])
def test_a_missing_node_is_named(condition: str) -> None:
    words = told(StanzaError("cancel", condition))
    assert words == f"pubsub.verona has no node 'news' (cancel/{condition}): check the name and the service"


@pytest.mark.parametrize("condition", ["forbidden", "not-authorized", "not-allowed", "subscription-required"])
def test_a_refusal_names_who_may_not_read_what(condition: str) -> None:
    words = told(StanzaError("auth", condition, "closed-node"))
    assert words.startswith("pubsub.verona does not let juliet@verona read 'news' (auth/")
    assert "closed-node" in words


@pytest.mark.parametrize("condition", ["remote-server-not-found", "remote-server-timeout", "service-unavailable"])
def test_a_service_that_is_not_there_is_named(condition: str) -> None:
    assert told(StanzaError("cancel", condition)).startswith("pubsub.verona cannot be reached, or is no pubsub service")


def test_other_errors_keep_their_words() -> None:
    assert "about 'news' with an error: wait/resource-constraint" in told(StanzaError("wait", "resource-constraint"))
    assert "did not answer about 'news'" in told(Timeout("no answer within 60 s"))
    assert "'news' of pubsub.verona was not synchronised: too large" in told(ListingError("too large"))
    assert "`newsstand sync` it first" in told(NotInCopy("no complete listing"))


def test_what_is_not_about_the_node_comes_back_as_it_is() -> None:
    error = Disconnected("gone")
    assert explained(error, "a", "b", "c") is error


def test_what_was_a_services_error_still_is_one() -> None:
    assert isinstance(explained(StanzaError("cancel", "gone"), "a", "b", "c"), ServiceError)
    assert isinstance(explained(NotInCopy("x"), "a", "b", "c"), NotInCopy)
