"""Schedules: what happens to three nodes, in order. They follow from a seed, and are JSON."""

from __future__ import annotations

import dataclasses
import json
import random
from dataclasses import dataclass, field
from typing import Any

LENGTH = 25
"""Operations of a schedule."""
NODES = 3
PEP_NODE = 2
"""The last node is on a PEP service, the others on a pubsub service."""
IDS = [f"i{number}" for number in range(6)]
ACCOUNTS = ("juliet", "nurse")
"""Both run a program. Juliet may publish, and is sometimes made an outcast; nurse only reads."""
FLAVOURS = ("plain", "prosody", "ejabberd-mnesia", "ejabberd-sql", "libervia-pubsub")
"""Whose quirks the fake service has."""
LONG_LOCK_EVERY = 20
"""Of so many schedules one has the database locked for longer than a program waits."""
LOST_ANSWER_EVERY = 3
"""Of so many schedules one has answers lost."""
MODELS = ("open", "open", "open", "open", "whitelist")
"""What a node's access model is at first, as often as it is named here."""
FORGERIES = ("publish", "retract", "purge", "delete")
FORGERS = ("stranger", "other_service", "error")
"""A JID that is nobody's service; the service that does not have the node; an error that bears the right name."""
FAULTS = frozenset(
    {
        *("cut", "cut_listing", "reconnect", "drop", "double", "hold", "reorder", "restart"),
        *("lock", "lock_long", "disk_full", "crash", "short_listing", "short_ids", "lose_answer"),
        *("cut_first", "write_amid_listing", "forge"),
    }
)
CUTS = frozenset({"cut", "cut_listing", "cut_first"})
_WRITES = {
    **{"publish": 24, "publish_same": 3, "retract": 8, "retract_silently": 4, "purge": 3, "delete": 2, "limit": 5},
    **{"expire": 5, "access": 3, "outcast": 3, "demote": 2, "lose": 3, "race": 6, "own_publish": 7, "own_retract": 5},
    **{"read": 14, "news": 6, "check": 6},
}
_FAULTS = {
    **{"cut": 3, "cut_listing": 2, "reconnect": 2, "drop": 2, "double": 3, "hold": 2, "reorder": 2},
    **{
        "lock": 1,
        "disk_full": 1,
        "crash": 2,
        "short_listing": 5,
        "short_ids": 3,
        "cut_first": 4,
        "write_amid_listing": 3,
    },
    **{"forge": 3},
}


@dataclass(frozen=True, slots=True)
class Operation:
    """One thing that happens; which arguments it takes is its kind's own."""

    kind: str
    node: int = 0
    args: dict[str, Any] = field(default_factory=dict)

    def __str__(self) -> str:
        args = "".join(f" {name}={value}" for name, value in self.args.items())
        return f"{self.kind} node{self.node}{args}"


@dataclass(frozen=True, slots=True)
class Schedule:
    """What happens, and to what: each node's `max_items`, how many items it begins with, and its access model. Nurse
    is not on any whitelist."""

    seed: int
    limits: list[int]
    filled: list[int]
    tells_delete: bool
    flavour: str
    operations: list[Operation]
    models: list[str] = field(default_factory=lambda: ["open"] * NODES)
    """Not in what was written down when all were open."""

    @property
    def restarts(self) -> bool:
        return any(operation.kind == "restart" for operation in self.operations)

    def dump(self) -> str:
        return json.dumps(dataclasses.asdict(self), indent=1)

    @classmethod
    def load(cls, text: str) -> Schedule:
        """Raises ValueError, KeyError or TypeError for what is none."""
        found = json.loads(text)
        return cls(**{**found, "operations": [Operation(**operation) for operation in found["operations"]]})


def generate(seed: int, length: int = LENGTH, *, restarts: bool = False, flavour: str | None = None) -> Schedule:
    """`restarts` allows the server to be ended. The same arguments give the same schedule, everywhere."""
    chance = random.Random(seed)
    weights = {**_WRITES, **_FAULTS, **({"restart": 3} if restarts else {})}
    author = _Author(chance)
    drawn = chance.choices(list(weights), list(weights.values()), k=length)
    if length >= LENGTH and seed % LONG_LOCK_EVERY == 0:
        drawn[length // 2] = "lock_long"
    if length >= LENGTH and seed % LOST_ANSWER_EVERY == 0:
        drawn[length // 3] = "lose_answer"
    schedule = Schedule(
        seed=seed,
        limits=[chance.choice([3, 5, 20, 1000]) for _ in range(NODES)],
        filled=[chance.randrange(6) for _ in range(NODES)],
        tells_delete=chance.random() < 0.5,
        flavour=flavour or FLAVOURS[seed % len(FLAVOURS)],
        operations=[author.write(kind) for kind in drawn],
        models=[chance.choice(MODELS) for _ in range(NODES)],
    )
    # Drawn last, as the models are, so that older seeds keep what they drew before.
    return dataclasses.replace(schedule, operations=[_aimed(chance, each) for each in schedule.operations])


def _aimed(chance: random.Random, operation: Operation) -> Operation:
    """Some cuts are through what the program sends."""
    if operation.kind not in CUTS or chance.random() < 0.6:
        return operation
    return dataclasses.replace(operation, args={**operation.args, "upwards": True})


class _Author:
    """Writes operations that mean something after those before: a node that is gone comes back, and so does an
    outcast, and a stream that was cut; and somebody asks for what was shut."""

    def __init__(self, chance: random.Random) -> None:
        self._chance = chance
        self._texts = 0
        self._gone: set[int] = set()
        self._outcast: set[int] = set()
        self._cut: set[str] = set()
        self._looks = False
        """A node was deleted: whether that was noticed is looked at next."""
        self._demoted: int | None = None
        """A node to which juliet may not publish any more: she tries to."""
        self._shut: int | None = None
        """A node that somebody may not read any more, perhaps."""

    def write(self, kind: str) -> Operation:
        chance = self._chance
        node, who, item_id = chance.randrange(NODES), chance.choice(ACCOUNTS), chance.choice(IDS)
        self._texts += 1
        if kind == "lock_long":
            return Operation(kind, node, {"id": item_id, "text": f"t{self._texts}"})
        if self._looks:
            self._looks = False
            return Operation("check", node)
        if self._demoted is not None and chance.random() < 0.7:
            node, self._demoted = self._demoted, None
            return Operation("own_publish", node, self._args("own_publish", who, item_id))
        if self._shut is not None and chance.random() < 0.5:
            node, self._shut = self._shut, None
            return Operation("read", node, {"who": who, "past_copy": True})
        if node in self._gone and chance.random() < 0.5:
            self._gone.discard(node)
            return Operation("create", node)
        if node in self._outcast and chance.random() < 0.3:
            self._outcast.discard(node)
            return Operation("readmit", node)
        if who in self._cut and chance.random() < 0.4:
            self._cut.discard(who)
            return Operation("reconnect", node, {"who": who})
        if kind == "expire" and chance.random() < 0.5:
            node = PEP_NODE  # some services let items expire nowhere else
        operation = Operation(kind, node, self._args(kind, who, item_id))
        self._remember(operation, who)
        return operation

    def _remember(self, operation: Operation, who: str) -> None:
        node = operation.node
        match operation.kind:
            case "delete":
                self._gone.add(node)
                self._looks = True
            case "outcast" | "demote":
                self._outcast.add(node)
                self._shut = node
                if operation.kind == "demote":
                    self._demoted = node
            case "access":
                self._shut = node
            case "cut" | "cut_listing":
                self._cut.add(who)
            case "reconnect":
                self._cut.discard(who)
            case _:
                pass

    def _args(self, kind: str, who: str, item_id: str) -> dict[str, Any]:
        chance = self._chance
        text = f"t{self._texts}"
        how: list[dict[str, Any]] = [
            *({}, {}, {"past_copy": True}),
            *({"max_items": chance.randrange(1, 4)}, {"ids": chance.sample(IDS, 2)}),
        ]
        after = chance.choice([0, chance.randrange(400), chance.randrange(4000)])
        written = {"id": item_id, "text": text}
        short = {"left": chance.choice([1, 4, 5, 6]), "more": chance.choice([0, 10, 10])}
        known: dict[str, dict[str, Any]] = {
            "publish": written,
            "own_publish": written,
            "publish_same": {"id": item_id, "text": "same"},
            "retract": {"id": item_id},
            "retract_silently": {"id": item_id},
            "own_retract": {"id": item_id},
            "lose": {"id": item_id, "texts": [f"{text}a", f"{text}b"]},
            "limit": {"limit": chance.choice([2, 3, 5, 20, 1000])},
            "expire": {"seconds": chance.choice([0, 1, 1, 2])},
            "access": {"model": chance.choice(["open", "open", "whitelist"])},
            "race": {"id": item_id, "texts": [f"{text}a", f"{text}b"], "told_backwards": chance.random() < 0.5},
            "read": {"who": who, **chance.choice(how)},
            "news": {"who": who, **written},
            "write_amid_listing": {"who": who, "texts": [f"{text}a", f"{text}b"]},
            "cut_first": {"who": who, "after": after},
            "forge": {"who": who, "what": chance.choice(FORGERIES), "by": chance.choice(FORGERS), **written},
            "cut": {"who": who, "after": after},
            "cut_listing": {"who": who, "after": after},
            "drop": {"who": who, "count": chance.randrange(1, 4)},
            "reorder": {"who": who, "count": chance.randrange(2, 4)},
            "double": {"who": who},
            "lose_answer": {"who": who, "count": 1 + self._texts % 2},
            "hold": {"who": who},
            "reconnect": {"who": who, "gracefully": chance.random() < 0.5},
            "restart": {"kill": chance.random() < 0.5},
            "lock": written,
            "disk_full": written,
            "short_listing": {"who": who, "count": chance.randrange(1, 3), **short},
            "short_ids": {"who": who, **written, **short},
        }
        return known.get(kind, {})
