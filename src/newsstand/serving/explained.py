"""What the log says of a read, for whoever asks why it was served from the copy, fetched from the service, or
refused."""

from __future__ import annotations

from typing import assert_never

from newsstand.serving.steps import Ask, Join, Lend, Refused, Repeated, Rows, Served, Step, Wait


def explain(step: Step) -> str | None:
    """One line about what a read comes to; None where that is not known yet."""
    match step:
        case Served():
            how = "stale" if step.made_of.stale else "live"
            comes_to = f"from the copy, {how}, at revision {step.made_of.revision}"
        case Ask():
            comes_to = f"from the service: {step.why}"
        case Repeated():
            comes_to = f"refused a moment ago: {step.refusal.error}"
        case Refused():
            comes_to = f"not from the copy: {step.reason}"
        case Rows() | Wait() | Lend() | Join():
            return None
        case _:
            assert_never(step)
    key = step.read.request.key
    return f"{key.node!r} of {key.service} is read {comes_to}"
