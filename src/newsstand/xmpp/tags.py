"""The names of elements in requests and answers."""

from __future__ import annotations

from newsstand.model import NS_OWNER, NS_PUBSUB, NS_RSM

PUBSUB = f"{{{NS_PUBSUB}}}pubsub"
OWNER = f"{{{NS_OWNER}}}pubsub"
ITEMS = f"{{{NS_PUBSUB}}}items"
ITEM = f"{{{NS_PUBSUB}}}item"
SET = f"{{{NS_RSM}}}set"
