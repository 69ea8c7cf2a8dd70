"""Every error that Newsstand raises on purpose.

NewsstandError
├── ConfigurationError        a setting or an argument that cannot be right
├── DatabaseError             the copy's database cannot be used
│   ├── DatabaseNewer         made by a newer Newsstand: left untouched
│   ├── DatabaseLocked        another process holds it
│   ├── DatabaseLost          its file was moved, deleted or replaced while it was used
│   └── NotADatabase          the file is something else, or damaged
├── ServiceError              the pubsub service, or the connection to it
│   ├── StanzaError           it answered with an error
│   ├── Timeout               it did not answer in time
│   ├── Disconnected          there is no stream to ask on
│   ├── PepRefused            no account's PEP service at that domain lets us read anything
│   ├── TooSlow               it answers, and takes so long over it that others go first
│   └── NotFollowed           the node can be read, but its notifications would not come
├── LeaseLost                another worker owns the node now: nothing was changed
├── NotInCopy                 "only the copy" was asked, and the copy has no complete listing
├── ChangesLost               the log of changes does not lead from where a watcher was to now
├── ListingError              a node could not be listed: nothing was changed
│   ├── NodeTooLarge          it exceeds a limit of ours (`max_items`, …), and is left to its service
│   └── NotListable           no copy can be made of what its service answers
├── ParseError                a payload's parser failed: recorded on the item
├── ServerMissing             (demo) a server's program is not installed
└── ServerFailed              (demo) it is, and did not start

`lasting` says of each whether it would come again if the same were tried again: a lasting one waits until something
changed (docs/decisions/015-fair-shares.md).
"""

_OF_THE_MOMENT = {
    "internal-server-error",
    "recipient-unavailable",
    "resource-constraint",
    "undefined-condition",
}


class NewsstandError(Exception):
    """The base class of all errors that Newsstand raises."""

    @property
    def lasting(self) -> bool:
        """Whether trying again ends the same until something changes: the node, a setting, the service. What is not
        lasting may heal by itself, and is tried again after a pause."""
        return False


class ConfigurationError(NewsstandError, ValueError):
    """A setting or an argument that cannot be right; the message says what would be."""


class DatabaseError(NewsstandError):
    """The copy's database cannot be used."""


class DatabaseNewer(DatabaseError):
    """The database was made by a newer Newsstand. It was not touched."""


class DatabaseLocked(DatabaseError):
    """Another process holds the database longer than we are willing to wait."""


class DatabaseLost(DatabaseError):
    """The file was moved, deleted or replaced while it was used: nothing more is read from it, or written to it."""


class NotADatabase(DatabaseError):
    """The file is not a database, or is damaged."""


class ServiceError(NewsstandError):
    """A request to a pubsub service failed."""


class StanzaError(ServiceError):
    """The service answered with an error (RFC 6120, 8.3).

    `type` and `condition` are the words of RFC 6120; `app_condition` is the local name of the
    application-specific condition (XEP-0060 defines `closed-node` and others), or None.
    """

    def __init__(self, type: str, condition: str, app_condition: str | None = None, text: str = "") -> None:
        self.type = type
        self.condition = condition
        self.app_condition = app_condition
        self.text = text
        words = f"{type}/{condition}"
        if app_condition:
            words += f" ({app_condition})"
        if text:
            words += f": {text}"
        super().__init__(words)

    @property
    def unreachable(self) -> bool:
        """Whether it says that the service could not answer, rather than what it answers."""
        return self.link_broken or self.condition == "service-unavailable"

    @property
    def link_broken(self) -> bool:
        """Whether it says that the connection between two servers is broken."""
        return self.condition in ("remote-server-timeout", "remote-server-not-found")

    @property
    def lasting(self) -> bool:
        """Whether the service refuses this, or does not know how to do it. An error of the type `wait` passes (RFC
        6120, 8.3.2), and so do those that speak of the moment, whatever type a service gives them."""
        return self.type != "wait" and not self.unreachable and self.condition not in _OF_THE_MOMENT


class Timeout(ServiceError):
    """The service did not answer within the time given."""


class Disconnected(ServiceError):
    """There is no stream on which to ask, or it ended before the answer came."""


class PepRefused(ServiceError):
    """The domain has no PEP service for us, or forbids it: several accounts' answered so, and none otherwise
    (XEP-0163). The others are not asked, until one answers, or after a long pause."""

    @property
    def lasting(self) -> bool:
        return True


class TooSlow(ServiceError):
    """The service takes so long over its answers that what was asked of it is cancelled for now: others wait, or it
    took longer than a listing may. `seconds` is how long it took in all."""

    def __init__(self, text: str, seconds: float) -> None:
        self.seconds = seconds
        super().__init__(f"{text} ({seconds:.0f} s)")


class NotFollowed(ServiceError):
    """The node may be read, but not subscribed to: it is asked of the service each time."""

    def __init__(self, text: str, *, lasting: bool = True) -> None:
        self._lasting = lasting
        super().__init__(text)

    @property
    def lasting(self) -> bool:
        return self._lasting


class LeaseLost(NewsstandError):
    """Another worker owns this node now, or it was dropped: what was to be stored of it was not stored."""


class NotInCopy(NewsstandError):
    """Only the copy was asked, and it holds no complete listing of that node."""


class ChangesLost(NewsstandError):
    """The log of changes does not lead from the revision that a watcher knows to now: it was pruned, or the copy was
    erased, dropped or begun anew. Read the node, and watch from there."""


class ListingError(NewsstandError):
    """A node could not be listed: what its service sent contradicts itself, is somebody else's answer or
    about another node, or the node changed each time. Nothing was taken from it. The next listing may succeed; where it
    cannot, the error is one of the two below."""


class NodeTooLarge(ListingError):
    """The node exceeds a limit of ours, and is read from its service. `setting` names the limit (`max_items`), `limit`
    is what it allows, `found` what the node has, where that is known: of a listing that was ended, at least so much."""

    def __init__(self, setting: str, limit: int, found: int | None = None) -> None:
        self.setting = setting
        self.limit = limit
        self.found = found
        what = setting.removeprefix("max_").replace("_", " ")
        known = "" if found is None else f", at least {found}"
        super().__init__(f"the node has more than {limit} {what}{known} (setting {setting})")

    @property
    def lasting(self) -> bool:
        return True


class NotListable(ListingError):
    """No copy can be made of what the service answers (an item without an id, pages that do not say of how many items,
    …): the node is read from it. Another listing would end the same."""

    @property
    def lasting(self) -> bool:
        return True


class ParseError(NewsstandError):
    """A parser raised, hung, or returned what JSON cannot hold."""
