"""Ten behaviours are found by the names of folders and files alone; docs/architecture.md says where they are."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SOURCES = ROOT / "src" / "newsstand"
WHERE = {
    "an evicted item is looked up": ("sync/evictions.py", "check_ids"),
    "the pause after a failure": ("sync/retrying.py", "Retrying"),
    "the stale answer after `patience`": ("serving/fallback.py", "ask_or_fall_back"),
    "a write of the program's own that blocks the copy": ("serving/own_writes.py", "Writes"),
    'a node closed on "forbidden"': ("sync/closed_nodes.py", "ClosedNodes"),
    "smaller pages after a loss": ("rules/batch_sizes.py", "lost"),
    "the renewal of a lease": ("workers/lease_renewal.py", "Heartbeat"),
    "the revalidation every 15 minutes": ("sync/revalidation.py", "Revalidation"),
    "an unread node dropped": ("upkeep/unread_nodes.py", "drop_unread"),
    "a spoofed notification refused": ("xmpp/senders.py", "read_addresses"),
}
"""By behaviour: the file, below src/newsstand, and a class or function that it defines."""


@pytest.mark.parametrize("behaviour", WHERE)
def test_a_behaviour_is_where_the_names_say(behaviour: str) -> None:
    file, name = WHERE[behaviour]
    tree = ast.parse((SOURCES / file).read_text(encoding="utf-8"))
    kinds = ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef
    assert name in {node.name for node in ast.walk(tree) if isinstance(node, kinds)}


def test_the_architecture_says_the_same() -> None:
    text = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    table = text.partition("## Where is")[2].partition("\n## ")[0]
    rows = [line for line in table.splitlines() if line.startswith("| ")][1:]
    assert [row for row in rows if "---" not in row] == [
        f"| {behaviour} | `{file}`, `{name}` |" for behaviour, (file, name) in WHERE.items()
    ]
