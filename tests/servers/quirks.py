"""In what the services differ that XEP-0060, XEP-0059 and XEP-0030 leave open, or that they simply do otherwise.

A test that cannot hold for a quirk skips by it, never by a service's name. That each service has exactly the quirks
that stand here is itself tested (tests/contract/services/test_quirks.py).
"""

from __future__ import annotations

import enum


class Quirk(enum.StrEnum):
    """Each says what a service does, of its pubsub nodes unless PEP is named."""

    # Lists
    NO_RSM = "no-rsm"
    """A `<set/>` is ignored: the whole node comes back."""
    RSM_UNANNOUNCED = "rsm-unannounced"
    """Pages work, and disco#info of the service does not name them."""
    OPAQUE_CURSORS = "opaque-cursors"
    """A page's `<first/>` and `<last/>` are not item ids."""
    INDEX_ALWAYS_ZERO = "index-always-zero"
    """Every page says that it begins at index 0."""
    LAST_PAGE_REVERSED = "last-page-reversed"
    """An empty `<before/>` brings the last page newest first."""
    UNKNOWN_BEFORE_IS_LAST_PAGE = "unknown-before-is-last-page"
    """A `<before/>` that means nothing to the service is answered as if it were empty."""
    OVERWRITE_STAYS = "overwrite-stays"
    """An item that is overwritten stays where it was, instead of becoming the last."""
    MAX_ITEMS_REVERSED = "max-items-reversed"
    """`max_items` brings the newest items newest first, though a full listing is oldest first."""
    LIMITED_SET_SHOWN = "limited-set-shown"
    """What `max_items` brings comes with a `<set/>`, unasked: count, the cursors of its ends, and an index that counts
    from the end of the node, below 0 where more was asked for than there is (unless INDEX_ALWAYS_ZERO)."""
    IDS_IN_NODE_ORDER = "ids-in-node-order"
    """Several item ids are answered in the node's order, not the request's."""
    MISSING_ID_REFUSED_TO_OWNER = "missing-id-refused-to-owner"
    """An owner who asks for ids of which one is missing gets item-not-found; others get the rest."""
    DISCO_NEWEST_FIRST = "disco-newest-first"
    """disco#items of a node lists its ids newest first."""
    DISCO_ITEMS_CUT = "disco-items-cut"
    """disco#items of the service lists a hundred nodes at most, and does not say so."""
    DISCO_MISSING_NODE_FAULT = "disco-missing-node-fault"
    """disco#items of a missing node is an internal-server-error."""
    EMPTY_NAMESPACE_LOST = "empty-namespace-lost"
    """Elements of no namespace come back in their parent's."""
    PUBSUB_PAYLOAD_TOLD_AS_EVENT = "pubsub-payload-told-as-event"
    """A payload in the namespace of pubsub has the namespace of events in notifications, and its own in answers."""
    TEXT_BESIDE_PAYLOAD_LOST = "text-beside-payload-lost"
    """Text beside an item's payload is in the notification, and not in answers."""
    PUBLISHER_SHOWN = "publisher-shown"
    """Answers name each item's publisher."""

    PUBLISHED_ID_UNTOLD = "published-id-untold"
    """The answer to a publish does not name the id of the item."""

    # Limits
    EVICTION_SILENT = "eviction-silent"
    """Nobody is notified of the items that `max_items` removes."""
    RETRACTS_JOINED = "retracts-joined"
    """Several items that are removed at once are notified as one retract, whose id is theirs run together."""
    EVICTS_PER_PUBLISHER = "evicts-per-publisher"
    """`max_items` counts each publisher's items by themselves."""
    TRIMS_AT_NEXT_PUBLISH = "trims-at-next-publish"
    """A lowered `max_items` holds from the next publish on."""
    LOWER_LIMIT_REFUSED = "lower-limit-refused"
    """`max_items` cannot be lowered below what the node holds."""
    ITEM_EXPIRE_IGNORED = "item-expire-ignored"
    """`item_expire` is accepted, and nothing ever expires."""
    PEP_ITEM_EXPIRE_IGNORED = "pep-item-expire-ignored"
    """On PEP, `item_expire` is accepted, and nothing ever expires."""
    EXPIRED_ITEMS_STAY = "expired-items-stay"
    """On PEP, what has expired stays until the administrator has it deleted."""

    # Events
    RETRACT_SILENT_WITHOUT_NOTIFY = "retract-silent-without-notify"
    """Nobody is notified of a retract that does not ask for `notify`."""
    DELETE_SILENT = "delete-silent"
    """Nobody is notified that a node was deleted, unless its configuration asks for it."""
    CONFIGURATION_SILENT = "configuration-silent"
    """Nobody is notified of a change of the configuration, though the configuration asks for it."""
    LAST_ITEM_ON_SUBSCRIBE = "last-item-on-subscribe"
    """Whoever subscribes is sent the last item."""
    LAST_ITEM_LOOKS_NEW = "last-item-looks-new"
    """The last item that a new subscriber is sent is not marked as delayed (XEP-0203): it looks like a new publish."""
    OWNER_HEARS_UNSUBSCRIBED = "owner-hears-unsubscribed"
    """Owners are notified of what is published without a subscription."""
    OUTCAST_STILL_HEARS = "outcast-still-hears"
    """A subscriber who becomes an outcast is refused items, and is still notified of them."""
    CLOSING_UNSUBSCRIBES = "closing-unsubscribes"
    """Whoever may not read a node any more, because its access model became whitelist, is unsubscribed without a
    notification."""
    SUBSCRIPTION_OUTLIVES_NODE = "subscription-outlives-node"
    """A subscription to a node that was deleted and created again is still listed, and brings no notifications."""
    PEP_RETRACT_SILENT_WITHOUT_NOTIFY = "pep-retract-silent-without-notify"
    """On PEP, nobody is notified of a retract that does not ask for `notify`."""
    PEP_PURGE_SILENT = "pep-purge-silent"
    """On PEP, nobody is notified of a purge, unless the node's configuration asks for it."""

    # Streams
    OWN_EVENT_AFTER_ANSWER = "own-event-after-answer"
    """A publisher who is subscribed is notified of the own publish only after the answer to it."""
    ANSWERS_OUT_OF_ORDER = "answers-out-of-order"
    """Requests that are under way at the same time may be answered in any order."""
    EVENTS_OVERTAKE_ANSWERS = "events-overtake-answers"
    """A change whose notification came before an answer may be missing in that answer."""
    EVENTS_OUT_OF_ORDER = "events-out-of-order"
    """Changes of one client, each sent after the answer to the one before, may be notified in another order."""

    # Refusals
    RETRACT_OF_OWN_ONLY = "retract-of-own-only"
    """A publisher who is no owner may retract only items that it published itself."""
    CLOSED_NODE_NOT_ALLOWED = "closed-node-not-allowed"
    """Whoever is not on the whitelist gets not-allowed with `closed-node`, instead of forbidden."""


_EJABBERD = frozenset(
    {
        Quirk.CLOSED_NODE_NOT_ALLOWED,
        Quirk.DELETE_SILENT,
        Quirk.DISCO_ITEMS_CUT,
        Quirk.EVENTS_OVERTAKE_ANSWERS,
        Quirk.EVICTS_PER_PUBLISHER,
        Quirk.EXPIRED_ITEMS_STAY,
        Quirk.IDS_IN_NODE_ORDER,
        Quirk.ITEM_EXPIRE_IGNORED,
        Quirk.LAST_ITEM_ON_SUBSCRIBE,
        Quirk.LIMITED_SET_SHOWN,
        Quirk.OPAQUE_CURSORS,
        Quirk.OUTCAST_STILL_HEARS,
        Quirk.OVERWRITE_STAYS,
        Quirk.PEP_PURGE_SILENT,
        Quirk.PEP_RETRACT_SILENT_WITHOUT_NOTIFY,
        Quirk.PUBSUB_PAYLOAD_TOLD_AS_EVENT,
        Quirk.RETRACT_OF_OWN_ONLY,
        Quirk.RETRACTS_JOINED,
        Quirk.TRIMS_AT_NEXT_PUBLISH,
        Quirk.UNKNOWN_BEFORE_IS_LAST_PAGE,
    }
)

QUIRKS: dict[str, frozenset[Quirk]] = {
    "prosody": frozenset(
        {
            Quirk.CLOSING_UNSUBSCRIBES,
            Quirk.CONFIGURATION_SILENT,
            Quirk.DISCO_NEWEST_FIRST,
            Quirk.EMPTY_NAMESPACE_LOST,
            Quirk.EVICTION_SILENT,
            Quirk.ITEM_EXPIRE_IGNORED,
            Quirk.NO_RSM,
            Quirk.OUTCAST_STILL_HEARS,
            Quirk.PEP_ITEM_EXPIRE_IGNORED,
            Quirk.PEP_RETRACT_SILENT_WITHOUT_NOTIFY,
            Quirk.RETRACT_SILENT_WITHOUT_NOTIFY,
            Quirk.SUBSCRIPTION_OUTLIVES_NODE,
            Quirk.TEXT_BESIDE_PAYLOAD_LOST,
        }
    ),
    "ejabberd-mnesia": _EJABBERD | {Quirk.RSM_UNANNOUNCED},
    "ejabberd-sql": _EJABBERD
    | {
        Quirk.EMPTY_NAMESPACE_LOST,
        Quirk.INDEX_ALWAYS_ZERO,
        Quirk.LAST_PAGE_REVERSED,
        Quirk.MAX_ITEMS_REVERSED,
    },
    "libervia-pubsub": frozenset(
        {
            Quirk.ANSWERS_OUT_OF_ORDER,
            Quirk.CONFIGURATION_SILENT,
            Quirk.DISCO_MISSING_NODE_FAULT,
            Quirk.EVENTS_OUT_OF_ORDER,
            Quirk.EVENTS_OVERTAKE_ANSWERS,
            Quirk.EVICTION_SILENT,
            Quirk.ITEM_EXPIRE_IGNORED,
            Quirk.LAST_ITEM_LOOKS_NEW,
            Quirk.LAST_ITEM_ON_SUBSCRIBE,
            Quirk.LOWER_LIMIT_REFUSED,
            Quirk.MISSING_ID_REFUSED_TO_OWNER,
            Quirk.OUTCAST_STILL_HEARS,
            Quirk.OWN_EVENT_AFTER_ANSWER,
            Quirk.OWNER_HEARS_UNSUBSCRIBED,
            Quirk.PEP_ITEM_EXPIRE_IGNORED,
            Quirk.PEP_RETRACT_SILENT_WITHOUT_NOTIFY,
            Quirk.PUBLISHED_ID_UNTOLD,
            Quirk.PUBLISHER_SHOWN,
            Quirk.RETRACT_SILENT_WITHOUT_NOTIFY,
            Quirk.TEXT_BESIDE_PAYLOAD_LOST,
        }
    ),
}
"""By the names of the services (tests/conftest.py)."""

RACES = frozenset({Quirk.EVENTS_OUT_OF_ORDER, Quirk.EVENTS_OVERTAKE_ANSWERS})
"""What a service that has them does only at times: that one does it is not tested, that none of the others does is.
Answers were overtaken in 139 of 150 rounds on ejabberd with Mnesia, 20 on Libervia, 2 on ejabberd with SQLite. Five
events came in another order in 4 of 60 rounds on Libervia, on a busy machine."""
