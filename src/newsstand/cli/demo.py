"""`newsstand demo`."""

from __future__ import annotations

from typing import Any


def demo(args: Any) -> int:
    from newsstand.cli.collecting import frozen_modules
    from newsstand.demo import story

    with frozen_modules():
        return story.main(as_json=args.json)
