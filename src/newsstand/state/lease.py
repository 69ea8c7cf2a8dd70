"""Who follows a node, as far as one worker knows."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Lease:
    """The lease under which a node is followed. `newsstand.workers.leases` alone replaces it, but for what the database
    remembered when the replica was opened."""

    generation: int = 0
    """What we know of the node was so under this generation."""
    owner: str | None = None
    """The worker that follows the node; None: nobody."""
    ours: bool = False
    """It is this worker."""
    released: bool = False
    """It is nobody's, and the database does not say so yet."""
    asked: int = 0
    """The ticket of what is remembered of the copy: see `newsstand.state.copies.ticket`."""
