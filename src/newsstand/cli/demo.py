"""`newsstand demo`."""

from __future__ import annotations

from typing import Any


def demo(args: Any) -> int:
    from newsstand.demo import story

    return story.main(as_json=args.json)
