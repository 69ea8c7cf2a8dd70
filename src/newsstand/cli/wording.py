"""What a service's error means for the person who asked. Pure."""

from __future__ import annotations

from newsstand.errors import ListingError, NewsstandError, NotInCopy, ServiceError, StanzaError, Timeout

_MISSING = {"item-not-found", "gone"}
_REFUSED = {
    "forbidden",
    "not-authorized",
    "not-allowed",
    "registration-required",
    "payment-required",
    "subscription-required",
}


def is_missing(error: StanzaError) -> bool:
    """Whether it says that there is no such node."""
    return error.condition in _MISSING


def explained(error: NewsstandError, account: str, service: str, node: str) -> NewsstandError:
    """The error of a request for this node, with what can be done about it. Others come back as they are."""
    match error:
        case StanzaError(condition=condition) if condition in _MISSING:
            return ServiceError(f"{service} has no node {node!r} ({error}): check the name and the service")
        case StanzaError(condition=condition) if condition in _REFUSED:
            return ServiceError(f"{service} does not let {account} read {node!r} ({error}): ask the node's owner")
        case StanzaError(unreachable=True):
            return ServiceError(f"{service} cannot be reached, or is no pubsub service ({error}): check its address")
        case StanzaError():
            return ServiceError(f"{service} answered about {node!r} with an error: {error}")
        case Timeout():
            return ServiceError(f"{service} did not answer about {node!r} ({error}): try again later")
        case ListingError():
            return ServiceError(f"{node!r} of {service} was not synchronised: {error}")
        case NotInCopy():
            return NotInCopy(f"{error}; get it from the service without --offline, or `newsstand sync` it first")
        case _:
            return error


def explained_service(error: NewsstandError, account: str, service: str) -> NewsstandError:
    """The error of a question about the service itself, with what can be done. Others come back as they are."""
    match error:
        case StanzaError(condition=condition) if condition in _REFUSED:
            return ServiceError(f"{service} does not tell {account} of its nodes ({error})")
        case StanzaError(condition=condition) if condition in _MISSING:
            return ServiceError(f"{service} is not there ({error}): check its address")
        case StanzaError(unreachable=True):
            return ServiceError(f"{service} cannot be reached, or has no nodes to tell of ({error}): check its address")
        case StanzaError():
            return ServiceError(f"{service} answered with an error: {error}")
        case Timeout():
            return ServiceError(f"{service} did not answer ({error}): try again later")
        case _:
            return error
