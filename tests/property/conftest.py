"""How Hypothesis works here. A failing test prints the smallest example that it found, and a line
`@reproduce_failure(…)`: put above the test, that replays it anywhere. On the same machine the next run tries it
first; `--hypothesis-seed=N` replays a whole run."""

from __future__ import annotations

import os

from hypothesis import settings

settings.register_profile("newsstand", deadline=None, print_blob=True, derandomize=False, max_examples=50)
settings.register_profile("newsstand-ci", settings.get_profile("newsstand"), max_examples=150)
settings.load_profile("newsstand-ci" if os.environ.get("CI") else "newsstand")
