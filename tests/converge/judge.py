"""What must hold of answers while a schedule is played, and at its end."""

from __future__ import annotations

import re
from collections import defaultdict
from dataclasses import dataclass, field

from newsstand.rules.refusals import REFUSED
from tests.converge.world import Contents, Held, Program, Reading, View

Place = tuple[str, int]
"""An account, by its name, and a node, by its number."""
_PUBLISHER = re.compile(r' publisher="[^"]*"')
_ABSENT = frozenset({"item-not-found", "gone"})
_CLOSING = REFUSED | _ABSENT


@dataclass
class Past:
    """What the service said of a node to an account, in order."""

    views: list[View] = field(default_factory=list)
    blurred: int = -1
    """The last index before which the node also was otherwise, for moments that nobody saw (a race)."""
    seen: int = 0
    """The index of what the program was last answered with as live: it never goes back."""
    untold: bool = False
    """Something happened that no notification tells, or that one told which was lost: until the next fresh session
    the copy may be wrong without anybody's fault."""
    unproved: bool = False
    """Something was untold, and the copy was not seen to be right since: a fresh session may not have reached it."""
    denied: bool = False
    """The program was refused since it last had access."""

    def lose_track(self) -> None:
        """Something happens that is not told, or not heard."""
        self.untold = self.unproved = True

    def note(self, view: View) -> None:
        if not self.views or self.views[-1] != view:
            self.views.append(view)

    def fewest(self) -> int:
        """How many items the node held at least, since it was what the program was last answered with as live. A node
        that was not there held none, but neither has it a copy: only what it was before and afterwards counts. Whoever
        was refused did not see what went meanwhile, and may have been told of it: then nothing is known."""
        views = self.views[self.seen :]
        if any(view.refusal not in (None, *_ABSENT) for view in views):
            return 0
        return min((len(view.items) for view in views if view.refusal is None), default=0)


class Judge:
    """Collects what did not hold. An answer of the service's own is never judged: it passed through."""

    def __init__(self) -> None:
        self.past: dict[Place, Past] = defaultdict(Past)
        self.divergences: list[str] = []
        self.raced: set[tuple[int, str]] = set()
        self._revisions: dict[Place, int] = {}
        self._stored: dict[tuple[Place, int], Contents] = {}

    def blame(self, place: Place, what: str, *, got: object = None, wanted: object = None) -> None:
        text = f"{place[0]}, node {place[1]}: {what}"
        if got is not None:
            text += f"\n      got    {_short(got)}\n      wanted {_short(wanted)}"
        self.divergences.append(text)

    def noted_refusal(self, place: Place, reading: Reading) -> None:
        past = self.past[place]
        if reading.view is None or reading.from_copy:
            return
        past.denied = reading.view.refusal in _CLOSING

    def caught_up(self, place: Place, reading: Reading) -> None:
        """The copy equals what the service says now: whatever nobody saw before is behind it."""
        past = self.past[place]
        if reading.from_copy and not reading.stale and past.views[-1] == reading.view:
            past.views, past.seen, past.blurred, past.unproved = past.views[-1:], 0, -1, False

    def dropped(self, place: Place) -> None:
        """The copy is no more: the next one shows nothing that is over now."""
        past = self.past[place]
        past.seen, past.blurred, past.unproved = len(past.views) - 1, -1, past.untold

    def live_answer(self, place: Place, reading: Reading, *, connected: bool) -> None:
        """A full read in the middle of things."""
        past = self.past[place]
        self._isolated(place, reading)
        self.noted_refusal(place, reading)
        if not reading.from_copy:
            return
        now = past.views[-1]
        if past.denied and now.refusal in _CLOSING:
            self.blame(place, f"the copy answered after a refusal ({now.refusal})")
        if reading.stale:
            return
        if not connected:
            self.blame(place, "the copy answered as live without a session")
        if past.untold or past.blurred >= past.seen:
            return
        later = [index for index, view in enumerate(past.views) if index >= past.seen and view == reading.view]
        if later:
            past.seen, past.unproved = later[0], False
        else:
            self.blame(place, "the service never said so since", got=reading.view, wanted=past.views[past.seen :])

    def _isolated(self, place: Place, found: Reading | Held) -> None:
        """One account's copies never answer another's reads: nothing excuses that."""
        if found.foreign:
            wanted = "this account's copy of this node alone"
            self.blame(place, "the items of another copy", got=set(found.foreign), wanted=wanted)

    def held(self, place: Place, held: Held | None) -> None:
        """What a copy calls complete holds nothing that the service never had; and not less than the service had at
        any moment that the copy may show, which are those since the last answer that was called live."""
        past = self.past[place]
        if held is None:
            return
        self._isolated(place, held)
        if not held.complete or past.untold or past.blurred >= 0:
            return
        # Who published an item may still be asked for: not every notification says so.
        known = {_unsigned(item) for view in past.views for item in view.items}
        if invented := [item for item in held.items if _unsigned(item) not in known]:
            self.blame(place, "the copy holds what the service never had", got=invented, wanted=past.views)
        if len(held.items) < past.fewest() and not past.unproved:
            self.blame(place, "a complete copy holds too little", got=held.items, wanted=past.views[past.seen :])

    def revisions(self, account: str, program: Program, numbers: dict[tuple[str, str], int]) -> None:
        for record in program.replica.nodes():
            number = numbers.get((record.key.service, record.key.node))
            if number is None or record.key.account != program.account:
                continue
            place = (account, number)
            if record.revision < self._revisions.get(place, 0):
                self.blame(place, f"the revision went back from {self._revisions[place]} to {record.revision}")
            self._revisions[place] = record.revision

    def stored(self, place: Place, stored: tuple[int, Contents] | None) -> None:
        """Of one revision a copy is never two things."""
        if stored is not None:
            revision, held = stored
            before = self._stored.setdefault((place, revision), held)
            if before != held:
                self.blame(place, f"two things of revision {revision}", got=held, wanted=before)

    def news(self, place: Place, reading: Reading, item_id: str, text: str) -> None:
        """A program reads, right after it was told of an item."""
        if reading.from_copy and not reading.stale and reading.view is not None:
            found = dict(reading.view.items).get(item_id, "")
            if f">{text}<" not in found:
                self.blame(place, "what had arrived is not in the next read", got=reading.view, wanted=(item_id, text))

    def own_write(self, place: Place, reading: Reading, item_id: str, text: str | None) -> None:
        """A program reads what it wrote and was acknowledged; `text` is None for a retract."""
        if reading.view is None or reading.view.refusal or reading.stale:
            return
        found = dict(reading.view.items).get(item_id)
        if (found is None) != (text is None) or (text is not None and f">{text}<" not in (found or "")):
            self.blame(place, "an acknowledged write is not in the next read", got=reading.view, wanted=(item_id, text))


def _unsigned(item: tuple[str, str]) -> tuple[str, str]:
    return item[0], _PUBLISHER.sub("", item[1])


def _short(what: object) -> str:
    text = re.sub(r" xmlns:n\d=\"[^\"]*\"|</?n\d:note>|</n\d:item>", "", repr(what))
    return text if len(text) < 1500 else f"{text[:1500]}…"
