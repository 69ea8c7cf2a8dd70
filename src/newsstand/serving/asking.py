"""What the services' answers to a program's reads come to, whoever sent them: an adapter, or `Replica.get_items`."""

from __future__ import annotations

import asyncio
import copy as copying
from collections.abc import Sequence
from xml.etree.ElementTree import Element

from newsstand.errors import NewsstandError, StanzaError
from newsstand.jid import canonical_bare
from newsstand.model import ItemsRequest, SyncState
from newsstand.rules.refusals import MISSING, Refusal
from newsstand.serving.steps import Ask, Basis, Read
from newsstand.state.context import Context
from newsstand.sync import listing
from newsstand.sync.selection import Selection
from newsstand.sync.synchroniser import Synchroniser
from newsstand.workers.ownership import Ownership
from newsstand.xmpp import answers, senders
from newsstand.xmpp.weight import is_heavy


class Asking:
    """Learns from the answers to the program's requests to services. `only_when_asked`: no node is analysed for
    being read."""

    def __init__(
        self,
        context: Context,
        ownership: Ownership,
        synchroniser: Synchroniser,
        selection: Selection,
        *,
        only_when_asked: bool,
    ) -> None:
        self._context = context
        self._ownership = ownership
        self._synchroniser = synchroniser
        self._selection = selection
        self._only_when_asked = only_when_asked

    def basis(self, request: ItemsRequest) -> Basis | None:
        """Taken before the service is asked: `replied` sees by it whether the answer can be compared with the copy.
        None where there is nothing to compare it with."""
        copy = self._context.copies.find(request.key)
        if copy is None or not self._ownership.is_notified(copy) or not copy.lease.ours or not copy.at_rest:
            return None
        return Basis(copy.inbox.received, copy.record.revision, copy.lease.ours)

    def find_refusal(self, request: ItemsRequest) -> Refusal | None:
        """The error that stands for the service's answer at this moment."""
        return self._context.refusals.find(request, asyncio.get_running_loop().time())

    def changing(self, service: str) -> None:
        """The program changes something at this service: what it refused is asked anew."""
        self._context.refusals.forget(service=canonical_bare(service))

    def replied(self, ask: Ask, iq: Element) -> None:
        """The service answered, with this `<iq/>`: also where the copy did so before. An answer of somebody else, or
        about another node, says nothing."""
        request, context = ask.read.request, self._context
        if senders.find_objection(iq, request.key) is not None:
            _give_back(ask)
            return
        _lend(ask, iq)
        context.refusals.answered(request)
        context.service_responded(request.key)
        answered = answers.find_items(iq)
        copy = context.copies.find(request.key)
        if copy is not None:
            copy.checked.answered(asyncio.get_running_loop().time())
        if copy is not None and copy.record.state is SyncState.LIVE and request.max_items is not None:
            copy.cursors.learn(answers.read_ends(iq))
        if copy is not None and answered is not None and len(answered) < len(set(request.item_ids)):
            copy.session.note_skipped()
        if not context.serves(request.key.account):
            return
        if copy is not None and self._ownership.leases.owned_by_another(copy):
            return  # what its copy holds is that worker's affair
        if copy is not None and answered is not None:
            whole = not request.item_ids and request.max_items is None and answers.read_ends(iq).rsm is None
            if copy.record.state is not SyncState.LIVE:
                if not copy.stale_first.due:  # else who was served stale would not be notified of it
                    self._synchroniser.take_in(copy, list(answered), shows_all=whole)
                self._synchroniser.note_answered(copy)
            elif ask.basis is not None and self.basis(request) == ask.basis:
                self._synchroniser.compare(copy, list(answered), shows_all=whole)
        self._note_read(request, iq)

    def observed(
        self, request: ItemsRequest, spelt: Sequence[str | None], iq: Element, error: StanzaError | None = None
    ) -> None:
        """The service answered a read that was sent before the database was open: the node is one that the program
        reads, or is refused to it. Nothing is drawn from what it holds, which may be of another moment."""
        context, account = self._context, request.key.account
        if request.privileged or (account != context.account and not context.speaks_for(account)):
            return
        for jid in spelt:
            if jid is not None and (context.spellings or jid not in (request.key.service, account)):
                context.note_spelling(jid)
        if error is not None:
            self.failed(Ask(Read(request, 0.0), "the database was not open yet"), error, iq)
            return
        if senders.find_objection(iq, request.key) is not None or not context.serves(account):
            return
        copy = context.copies.find(request.key)
        if copy is None or not self._ownership.leases.owned_by_another(copy):
            self._note_read(request, iq)

    def _note_read(self, request: ItemsRequest, iq: Element) -> None:
        if not self._only_when_asked:
            answered = answers.find_items(iq)
            self._selection.observe(request.key, [] if answered is None else list(answered))

    def given_up(self, ask: Ask) -> None:
        """The request was cancelled: nobody learns what the service answers."""
        _give_back(ask)

    def failed(self, ask: Ask, error: NewsstandError, iq: Element | None = None) -> bool:
        """The service answered with an error, or not at all: also where the copy answered before. Returns whether that
        says that it cannot be reached. What another sent in its place, as the `<iq/>` shows, is not remembered."""
        _give_back(ask)
        if not isinstance(error, StanzaError):
            return True
        request = ask.read.request
        if iq is None or senders.is_from(iq, request.key.service, request.key.account):
            self._context.refusals.note(request, error, asyncio.get_running_loop().time(), iq)
            missing = not request.item_ids and error.condition in MISSING
            self._synchroniser.note_error(request.key, error, missing=missing)
        return error.unreachable


def _lend(ask: Ask, iq: Element) -> None:
    """The answer may be a listing. The tree is the program's."""
    if ask.lent is not None and answers.count_items(iq) <= listing.SMALL and not is_heavy(iq):
        ask.lent.answered(copying.deepcopy(iq))
    else:
        _give_back(ask)


def _give_back(ask: Ask) -> None:
    """The answer is no listing."""
    if ask.lent is not None:
        ask.lent.over()
