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
    PUBLISHER_SHOWN = "publisher-shown"
    """Answers name each item's publisher."""

    # Limits
    EVICTION_SILENT = "eviction-silent"
    """What falls out past `max_items` is told to nobody."""
    RETRACTS_JOINED = "retracts-joined"
    """Several items that fall out at once are told as one retract, whose id is theirs run together."""
    EVICTS_PER_PUBLISHER = "evicts-per-publisher"
    """`max_items` counts each publisher's items by themselves."""
    TRIMS_AT_NEXT_PUBLISH = "trims-at-next-publish"
    """A lowered `max_items` holds from the next publish on."""
    LOWER_LIMIT_REFUSED = "lower-limit-refused"
    """`max_items` cannot be lowered below what the node holds."""

    # Events
    RETRACT_SILENT_WITHOUT_NOTIFY = "retract-silent-without-notify"
    """A retract that does not ask for `notify` is told to nobody."""
    DELETE_SILENT = "delete-silent"
    """Unless the node's configuration asks for it, its deletion is told to nobody."""
    CONFIGURATION_SILENT = "configuration-silent"
    """A change of the configuration is told to nobody, though the configuration asks for it."""
    LAST_ITEM_ON_SUBSCRIBE = "last-item-on-subscribe"
    """Whoever subscribes is sent the last item, in an event that is marked in no way."""
    OWNER_HEARS_UNSUBSCRIBED = "owner-hears-unsubscribed"
    """Owners are told of what is published without a subscription."""
    OUTCAST_STILL_HEARS = "outcast-still-hears"
    """A subscriber who becomes an outcast is refused items, and goes on being told of them."""
    PEP_REMOVALS_SILENT = "pep-removals-silent"
    """Unless the configuration of a PEP node asks for it, retracts, also those with `notify`, and purges are told
    to nobody."""

    # Refusals
    CLOSED_NODE_NOT_ALLOWED = "closed-node-not-allowed"
    """Who is not on the whitelist gets not-allowed with `closed-node`, instead of forbidden."""
