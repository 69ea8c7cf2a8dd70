"""The built-in analysers, in the order in which they are asked.

====================  =========  ==========================================  ================================
name                  type       node begins with                            payload namespace
====================  =========  ==========================================  ================================
bookmarks             bookmark   urn:xmpp:bookmarks:1                        urn:xmpp:bookmarks:1
legacy-bookmarks      bookmark   storage:bookmarks                           storage:bookmarks
avatar-metadata       avatar     urn:xmpp:avatar:metadata                    urn:xmpp:avatar:metadata
avatar-data           avatar     urn:xmpp:avatar:data                        urn:xmpp:avatar:data
omemo-devices         omemo      urn:xmpp:omemo:2:devices                    urn:xmpp:omemo:2
omemo-legacy-devices  omemo      eu.siacs.conversations.axolotl.devicelist   eu.siacs.conversations.axolotl
omemo-bundles         omemo      urn:xmpp:omemo:2:bundles                    urn:xmpp:omemo:2
omemo-legacy-bundles  omemo      eu.siacs.conversations.axolotl.bundles:     eu.siacs.conversations.axolotl
displayed             displayed  urn:xmpp:mds:displayed:0                    urn:xmpp:mds:displayed:0
vcard4                vcard      urn:xmpp:vcard4, or as its namespace        urn:ietf:params:xml:ns:vcard-4.0
nick                  nick       http://jabber.org/protocol/nick             http://jabber.org/protocol/nick
microblog             blog       urn:xmpp:microblog:0                        any
blog                  blog       any                                         http://www.w3.org/2005/Atom, or
                                                                             urn:xmpp:avatar:metadata
====================  =========  ==========================================  ================================

A microblog is known by its name alone, so that an empty one is copied too; its nodes of comments get the
subtype `comments`. Other blogs are known by their posts. Of OMEMO bundles there is one in each node of the older form,
which is named by its device, and one in each item of today's.

Each parser is a pure function of the item. It returns what JSON can hold, leaves out what the payload does
not say, and raises ValueError for a payload that is not its own. Where the payload tells when it was
published, that is at `published`, and when it was last changed at `updated`: RFC 3339, in UTC, ending in `Z`.

Search finds items by the fields that people read, which each names as its `words`: not by addresses, dates or types.
What a person wrote that no other field holds is at `more`, so that no word of a payload is lost; but of bookmarks,
where it may be secret. Images, bundles of keys, and what was displayed have no words: nobody writes them.

Of nodes whose last item a service sends by itself when presence comes (XEP-0163, 4.3.4), the copy answers at once when
a session starts, marked as stale (`Policy.STALE_FIRST`). Avatar data that is named by its own hash is right for ever.
"""

from __future__ import annotations

from newsstand.analysis.analysers import Analyser
from newsstand.analysis.builtin import avatar, blog, bookmarks, displayed, nick, omemo, vcard4
from newsstand.model import Policy

BUILT_IN: tuple[Analyser, ...] = (
    Analyser(
        "bookmarks",
        "bookmark",
        node=bookmarks.NODE,
        namespace=bookmarks.NAMESPACE,
        to_sync=True,
        policy=Policy.STALE_FIRST,
        parser=bookmarks.parse_bookmark,
        words=bookmarks.WORDS,
        version=2,
    ),
    Analyser(
        "legacy-bookmarks",
        "bookmark",
        node=bookmarks.LEGACY_NODE,
        namespace=bookmarks.LEGACY_NAMESPACE,
        to_sync=True,
        policy=Policy.STALE_FIRST,
        parser=bookmarks.parse_bookmarks,
        words=bookmarks.LEGACY_WORDS,
    ),
    Analyser(
        "avatar-metadata",
        "avatar",
        node=avatar.NODE,
        namespace=avatar.NAMESPACE,
        to_sync=True,
        policy=Policy.STALE_FIRST,
        parser=avatar.parse_avatar_and_more,
        words=avatar.WORDS,
        version=2,
    ),
    Analyser(
        "avatar-data",
        "avatar",
        node=avatar.DATA_NODE,
        namespace=avatar.DATA_NAMESPACE,
        to_sync=True,
        is_immutable=avatar.is_verified,
        parser=avatar.parse_data,
        words=(),
    ),
    Analyser(
        "omemo-devices",
        "omemo",
        node=omemo.NODE,
        namespace=omemo.NAMESPACE,
        to_sync=True,
        policy=Policy.STALE_FIRST,
        parser=omemo.parse_device_list_and_more,
        words=omemo.WORDS,
        version=2,
    ),
    Analyser(
        "omemo-legacy-devices",
        "omemo",
        node=omemo.LEGACY_NODE,
        namespace=omemo.LEGACY_NAMESPACE,
        to_sync=True,
        policy=Policy.STALE_FIRST,
        parser=omemo.parse_device_list_and_more,
        words=omemo.WORDS,
        version=2,
    ),
    Analyser(
        "omemo-bundles",
        "omemo",
        node=omemo.BUNDLES_NODE,
        namespace=omemo.NAMESPACE,
        to_sync=True,
        parser=omemo.parse_bundle,
        words=(),
    ),
    Analyser(
        "omemo-legacy-bundles",
        "omemo",
        node=omemo.LEGACY_BUNDLES_NODE,
        namespace=omemo.LEGACY_NAMESPACE,
        to_sync=True,
        parser=omemo.parse_bundle,
        words=(),
    ),
    Analyser(
        "displayed",
        "displayed",
        node=displayed.NODE,
        namespace=displayed.NAMESPACE,
        to_sync=True,
        policy=Policy.STALE_FIRST,
        parser=displayed.parse_displayed,
        words=(),
    ),
    Analyser(
        "vcard4",
        "vcard",
        node=(vcard4.NODE, vcard4.NAMESPACE),  # slixmpp names the node by the namespace
        namespace=vcard4.NAMESPACE,
        to_sync=True,
        policy=Policy.STALE_FIRST,
        parser=vcard4.parse_vcard4_and_more,
        words=vcard4.WORDS,
        version=3,
    ),
    Analyser(
        "nick",
        "nick",
        node=nick.NODE,
        namespace=nick.NAMESPACE,
        to_sync=True,
        policy=Policy.STALE_FIRST,
        parser=nick.parse_nick_and_more,
        words=nick.WORDS,
        version=2,
    ),
    Analyser(
        "microblog",
        "blog",
        node=blog.NODE,
        to_sync=True,
        parser=blog.parse_blog_and_more,
        words=blog.WORDS,
        version=3,
        match=blog.mark_comments,
    ),
    Analyser(
        "blog",
        "blog",
        # An avatar among the items is a community's own; a user's is on a node that was asked for above.
        namespace=(blog.NAMESPACE, avatar.NAMESPACE),
        to_sync=True,
        parser=blog.parse_blog_and_more,
        words=blog.WORDS,
        version=3,
    ),
)
