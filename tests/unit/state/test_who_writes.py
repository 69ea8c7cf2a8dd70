"""Each part of a copy has one module that writes it, and nothing is awaited between a doubt and its note."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from newsstand.state.copies import Copy

SOURCE = Path(__file__).parents[3] / "src" / "newsstand"
RESETS = "state/resets.py"
WRITERS = {
    "batch_sizes": {"state/copies.py"},
    "learnt": {"state/copies.py"},
    "changed": {"state/copies.py"},
    "checked": {"state/copies.py"},
    "chores": {"state/copies.py", "state/doubts.py", RESETS},
    "closing": {"state/copies.py", "sync/closed_nodes.py"},
    "cursors": {"state/copies.py"},
    "doubts": {"state/copies.py", "state/doubts.py", RESETS},
    "dropped": {"state/copies.py"},
    "elsewhere": {"state/copies.py"},
    "inbox": {"state/copies.py"},
    "key": {"state/copies.py"},
    "lease": {"state/copies.py", "workers/leases.py"},
    "left": {"state/copies.py", "sync/subscriptions.py"},
    "listing": {"state/copies.py"},
    "order": {"state/copies.py"},
    "own": {"state/copies.py", RESETS},
    "pace": {"state/copies.py", "sync/full.py", RESETS},
    "reads": {"state/copies.py", RESETS},
    "record": {"state/copies.py"},
    "saves": {"state/copies.py", "workers/storing.py"},
    "session": {"state/copies.py", RESETS},
    "stale_first": {"state/copies.py", RESETS},
    "work": {"state/copies.py", "sync/synchroniser.py"},
}
"""By part: the modules that may assign it. state/copies.py makes a copy, and has verbs for its record."""
NO_PAUSE = [
    ("serving/own_writes.py", "Writes", "end"),
    ("sync/follower.py", "Follower", "receive"),
    ("sync/follower.py", "Follower", "await_item"),
    ("sync/synchroniser.py", "Synchroniser", "note_error"),
    ("sync/closed_nodes.py", "ClosedNodes", "shut"),
    ("workers/shared_doubts.py", "SharedDoubts", "note"),
]
"""What happens at once: nothing in it can be awaited."""
NOTED = [
    ("sync/follower.py", "Follower", "_apply", "applied", "doubts.doubt"),
    ("sync/partial.py", "PartialSync", "refetch", "applied", "doubts.doubt"),
    ("sync/full.py", "FullSync", "_store", "applied", "copy.update"),
]
"""Where something is awaited, and what came of it is noted: by what it is called, and what notes it."""


def modules() -> Iterator[tuple[str, ast.Module]]:
    for path in sorted(SOURCE.rglob("*.py")):
        yield path.relative_to(SOURCE).as_posix(), ast.parse(path.read_text(encoding="utf-8"))


def written(tree: ast.AST) -> Iterator[ast.Attribute]:
    """Whatever is assigned, changed in place, or deleted; but for what an object of another kind does to itself."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store | ast.Del):
            yield node


def is_of_self(node: ast.Attribute) -> bool:
    return isinstance(node.value, ast.Name) and node.value.id == "self"


def test_every_part_has_its_writers() -> None:
    assert {"__weakref__", *WRITERS} == set(Copy.__slots__)


def test_no_other_module_assigns_a_part() -> None:
    wrong = [
        f"{module}:{node.lineno}: {ast.unparse(node)}"
        for module, tree in modules()
        for node in written(tree)
        if node.attr in WRITERS and not is_of_self(node) and module not in WRITERS[node.attr]
    ]
    assert not wrong


def test_no_part_is_changed_but_by_its_verbs() -> None:
    """What a part holds is assigned in no other module, and what it hides is not reached from there."""
    wrong = []
    for module, tree in modules():
        stored = {id(node) for node in written(tree)}
        for node in ast.walk(tree):
            if not isinstance(node, ast.Attribute) or not isinstance(node.value, ast.Attribute):
                continue
            of_copy = isinstance(node.value.value, ast.Name) and node.value.value.id in ("copy", "kept")
            hidden = node.attr.startswith("_") or id(node) in stored
            if of_copy and node.value.attr in WRITERS and hidden:
                wrong.append(f"{module}:{node.lineno}: {ast.unparse(node)}")
    assert not wrong


def test_nothing_is_set_by_name() -> None:
    wrong = [
        f"{module}:{node.lineno}"
        for module, tree in modules()
        for node in ast.walk(tree)
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Name)
        and node.func.id in ("setattr", "delattr")
        and ast.unparse(node.args[0]) in ("copy", "kept")
    ]
    assert not wrong


def find(module: str, kind: str, name: str) -> ast.FunctionDef | ast.AsyncFunctionDef:
    tree = ast.parse((SOURCE / module).read_text(encoding="utf-8"))
    (of,) = (node for node in tree.body if isinstance(node, ast.ClassDef) and node.name == kind)
    (found,) = (
        node for node in of.body if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name == name
    )
    return found


def test_what_raises_a_doubt_cannot_pause() -> None:
    """Between the moment when something becomes doubtful and its note there is no `await`."""
    for module in ("state/doubts.py", "state/inbox.py", RESETS):
        tree = ast.parse((SOURCE / module).read_text(encoding="utf-8"))
        pausing = {node.name for node in ast.walk(tree) if isinstance(node, ast.AsyncFunctionDef)}
        assert pausing <= {"quiet"}, module
    for where in NO_PAUSE:
        assert isinstance(find(*where), ast.FunctionDef), where


@pytest.mark.parametrize(("module", "kind", "name", "came", "noted"), NOTED, ids=str)
def test_what_came_is_noted_without_a_pause(module: str, kind: str, name: str, came: str, noted: str) -> None:
    function = find(module, kind, name)
    awaited = [
        node.lineno
        for node in ast.walk(function)
        if isinstance(node, ast.Assign)
        and isinstance(node.value, ast.Await)
        and any(isinstance(target, ast.Name) and target.id == came for target in node.targets)
    ]
    assert len(awaited) == 1
    notes = [
        node.lineno
        for node in ast.walk(function)
        if isinstance(node, ast.Call) and ast.unparse(node.func) == noted and node.lineno > awaited[0]
    ]
    assert notes
    pauses = [
        node.lineno
        for node in ast.walk(function)
        if isinstance(node, ast.Await | ast.AsyncWith | ast.AsyncFor) and awaited[0] < node.lineno <= notes[0]
    ]
    assert not pauses
