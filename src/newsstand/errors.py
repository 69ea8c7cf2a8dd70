"""Every error that Newsstand raises on purpose.

NewsstandError
├── ConfigurationError        a setting or an argument that cannot be right
├── DatabaseError             the copy's database cannot be used
│   ├── DatabaseNewer         made by a newer Newsstand: left untouched
│   ├── DatabaseLocked        another process holds it
│   ├── DatabaseLost          its file was moved, deleted or replaced while it was used
│   └── NotADatabase          the file is something else, or damaged
├── ServiceError              the pubsub service, or the way to it
│   ├── StanzaError           it answered with an error
│   ├── Timeout               it did not answer in time
│   ├── Disconnected          there is no stream to ask on
│   └── NotFollowed           the node can be read, but its notifications would not come
├── LeaseLost                another worker follows the node now: nothing was changed
├── NotInCopy                 "only the copy" was asked, and the copy has no complete listing
├── ChangesLost               the log of changes does not lead from where a watcher was to now
├── ListingError              a node's listing contradicts itself: nothing was changed
├── ParseError                a payload's parser failed: recorded on the item
├── ServerMissing             (demo) a server's program is not installed
└── ServerFailed              (demo) it is, and did not start
"""


class NewsstandError(Exception):
    """The base of all of them."""


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
        """Whether it says that the way between two servers is broken."""
        return self.condition in ("remote-server-timeout", "remote-server-not-found")


class Timeout(ServiceError):
    """The service did not answer within the time given."""


class Disconnected(ServiceError):
    """There is no stream on which to ask, or it ended before the answer came."""


class NotFollowed(ServiceError):
    """The node may be read, but not subscribed to: it is asked of the service each time."""


class LeaseLost(NewsstandError):
    """Another worker follows this node now, or it was dropped: what was to be stored of it is not."""


class NotInCopy(NewsstandError):
    """Only the copy was asked, and it holds no complete listing of that node."""


class ChangesLost(NewsstandError):
    """The log of changes does not lead from the revision that a watcher knows to now: it was pruned, or the copy was
    erased, dropped or begun anew. Read the node, and watch from there."""


class ListingError(NewsstandError):
    """What a service listed contradicts itself; nothing was taken from it."""


class ParseError(NewsstandError):
    """A parser raised, hung, or returned what JSON cannot hold."""
