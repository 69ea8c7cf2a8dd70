"""The planted faults, as data: each is a text of our source and what stands in its place."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

SOURCE = Path(__file__).parents[2] / "src"


class Drifted(Exception):
    """The source has changed: a fault cannot be planted where it was."""


@dataclass(frozen=True, slots=True)
class Mutant:
    """One fault. `old` stands once in its module, and `new` takes its place."""

    name: str
    breaks: str
    """What does not hold any more."""
    module: str
    """The file, below src/newsstand."""
    old: str
    new: str

    def plant(self, source: Path) -> None:
        """Into a copy of `src`. Raises Drifted."""
        file = source / "newsstand" / self.module
        text = file.read_text(encoding="utf-8")
        if (count := text.count(self.old)) != 1:
            raise Drifted(f"{self.name}: its text stands {count} times in {self.module}")
        file.write_text(text.replace(self.old, self.new), encoding="utf-8")


MUTANTS = [
    Mutant(
        "retract-ignored",
        "an item that was retracted is taken out",
        "rules/reconcile.py",
        "                steps.append(Remove(item_ids))\n",
        "",
    ),
    Mutant(
        "purge-ignored",
        "a purge empties the copy",
        "rules/reconcile.py",
        "            case Purged():\n                steps = [Clear()]\n                refetch.clear()\n"
        "                check_ids = True\n",
        "            case Purged():\n                pass\n",
    ),
    Mutant(
        "deletion-ignored",
        "a node that is deleted is closed",
        "rules/reconcile.py",
        "            case Deleted():\n                steps = [Clear()]\n                refetch.clear()\n"
        "                deleted = True\n",
        "            case Deleted():\n                pass\n",
    ),
    Mutant(
        "evictions-ignored",
        "after an insertion it is looked up what fell out for it",
        "rules/reconcile.py",
        "        check_ids=applied.grew,\n",
        "        check_ids=False,\n",
    ),
    Mutant(
        "overwritten-stays",
        "an item that is overwritten goes where its service puts it",
        "rules/reconcile.py",
        "    return Put(item, _place(behaviour.new), _place(behaviour.overwritten))\n",
        "    return Put(item, _place(behaviour.new), Place.KEEP)\n",
    ),
    Mutant(
        "complete-early",
        "a copy is complete when its first listing is over, not before",
        "sync/full.py",
        "                copy.update(state=SyncState.SYNCING)\n",
        "                copy.update(state=SyncState.SYNCING, complete=True)\n",
    ),
    Mutant(
        "short-listing-believed",
        "one listing is believed only if the ids, asked for in another way, agree",
        "sync/full.py",
        "        same = ids == listed.items.ids or set(ids) ^ set(listed.items.ids) <= may_differ\n",
        "        same = set(ids) >= set(listed.items.ids) - may_differ\n",
    ),
    Mutant(
        "much-shorter-pages-believed",
        "a listing by pages that is much shorter than the copy is believed only if the ids agree",
        "sync/full.py",
        "        return is_much_shorter(len(held), missing) if listed.paged else missing > 0\n",
        "        return not listed.paged and missing > 0\n",
    ),
    Mutant(
        "whole-answer-believed",
        "one answer that lacks what the copy holds is believed only if the ids say the same",
        "sync/full.py",
        "        return is_much_shorter(len(held), missing) if listed.paged else missing > 0\n",
        "        return listed.paged and is_much_shorter(len(held), missing)\n",
    ),
    Mutant(
        "lent-though-notified",
        "the answer to a program's read is no listing of a node that was notified of in between",
        "sync/listing.py",
        "    if on_begin is not None:\n        on_begin()\n"
        "    iq = await lent.answer(context.settings.request_timeout, on_answer)\n",
        "    iq = await lent.answer(context.settings.request_timeout, on_answer)\n"
        "    if on_begin is not None:\n        on_begin()\n",
    ),
    Mutant(
        "much-shorter-ids-believed",
        "a list of ids that is much shorter than the copy is believed only if a second one says the same",
        "sync/evictions.py",
        "    return set(again) == there\n",
        "    return True\n",
    ),
    Mutant(
        "disturbed-listing-believed",
        "news that come in the middle of a listing are not lost by it",
        "sync/full.py",
        "        undisturbed = all(_contained(listed.items, shows, each, behaviour) for each in copy.inbox)\n",
        "        undisturbed = True\n",
    ),
    Mutant(
        "reset-forgets-session",
        "each fresh session subscribes anew: the node may be another one of its name",
        "state/resets.py",
        "    copy.elsewhere.forget()\n    copy.session = NodeSession()\n",
        "    copy.elsewhere.forget()\n",
    ),
    Mutant(
        "reset-forgets-listing",
        "a listing that another session interrupted is begun anew",
        "state/resets.py",
        "    copy.listing.forget()\n",
        "",
    ),
    Mutant(
        "fresh-taken-for-resumed",
        "after a fresh session nothing vouches for a copy until it is listed",
        "engine.py",
        "        context = self.context\n        context.follow(session)\n",
        "        context = self.context\n        if session is Session.FRESH and context.session_number:\n"
        "            session = Session.RESUMED\n        context.follow(session)\n",
    ),
    Mutant(
        "inbox-forgotten",
        "a read waits for news that have arrived",
        "rules/policy.py",
        "        return Serve(take, stale=not _vouched(situation), wait=situation.arriving)\n    return Fetch(",
        "        return Serve(take, stale=not _vouched(situation))\n    return Fetch(",
    ),
    Mutant(
        "live-without-session",
        "without a session no answer is called live",
        "rules/policy.py",
        "    return situation.connected and known and not situation.writing",
        "    return known and not situation.writing",
    ),
    Mutant(
        "served-after-refusal",
        "once the service refused a read, the copy answers none",
        "sync/synchroniser.py",
        "        if error.condition in REFUSED and copy is not None and copy.followed"
        " and self._context.serves(key.account):\n",
        "        if False:\n",
    ),
    Mutant(
        "written-before-acknowledged",
        "a write of the program's own is in no copy before the service has it",
        "serving/own_writes.py",
        "        return Write(copy, request, copy.inbox.received, self._context.session_number)\n",
        "        write = Write(copy, request, copy.inbox.received, self._context.session_number)\n"
        "        if request.kind is WriteKind.RETRACT:\n"
        "            self._follower.receive(copy, Notification(request.key, (Retracted(request.item_ids),)))\n"
        "        if request.kind is WriteKind.PUBLISH:\n"
        "            from newsstand.model import Published\n"
        "            self._follower.receive(copy, Notification(request.key, (Published(request.items),)))\n"
        "        return write\n",
    ),
    Mutant(
        "own-write-not-awaited",
        "an acknowledged write is in the next read, told or not",
        "serving/own_writes.py",
        "                doubts.doubt(copy, RELIST)  # no notification says where it went\n",
        "                pass\n",
    ),
    Mutant(
        "close-words-not-looked-up",
        "of two words on an item, close together, it is looked up which one holds",
        "sync/follower.py",
        "Doubts(relist=late, refetch=frozenset(close))\n",
        "Doubts(relist=late)\n",
    ),
    Mutant(
        "stranger-believed",
        "only a node's own service is believed about it",
        "sync/follower.py",
        "            copy = self._context.copies.find(notification.key)\n",
        "            named = (c for c in self._context.copies if c.key.node == notification.key.node)\n"
        "            copy = next((c for c in named if c.key.account == notification.key.account), None)\n",
    ),
    Mutant(
        "other-account-answers",
        "a copy answers its own account alone",
        "serving/driver.py",
        "        copy = self._find(read)\n        if copy is not None:\n",
        "        copies, key = self._context.copies.by_key, read.request.key\n"
        "        same = (k for k in copies if (k.service, k.node) == (key.service, key.node))\n"
        "        copy = copies.get(next(same, key))\n"
        "        if copy is not None:\n",
    ),
    Mutant(
        "revision-not-raised",
        "each change raises the copy's revision, a retract too",
        "storage/statements/changes.py",
        "    revision += 1\n",
        "    revision += bool(changed or moved)\n",
    ),
    Mutant(
        "lost-subscription-overlooked",
        "a subscription that was lost without a word is found in the session that goes on",
        "sync/subscriptions.py",
        "        named = await self._is_named(copy)\n",
        "        named = True\n",
    ),
]
"""All of them are found by the convergence machine on the fake service."""
