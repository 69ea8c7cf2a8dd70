"""The lease of a node: which worker owns it, as far as this process knows."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Lease:
    """The lease under which a worker owns a node. `newsstand.workers.leases` alone replaces it, but for what the
    database remembered when the replica was opened."""

    generation: int = 0
    """The generation of the lease under which our knowledge of the node was true."""
    owner: str | None = None
    """The id of the worker that owns the node; None where none does."""
    ours: bool = False
    """Whether this worker owns the node."""
    released: bool = False
    """Whether this worker released the node, and the database does not say so yet."""
    asked: int = 0
    """The ticket of what we know of the copy (`newsstand.state.copies.ticket`): older knowledge does not replace
    it."""
