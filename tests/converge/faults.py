"""What may befall notifications, and answers, on their way to one program."""

from __future__ import annotations

from collections.abc import Callable
from typing import Generic, TypeVar

T = TypeVar("T")


class Faults(Generic[T]):
    """Nothing is wrong until a method says so. What is held is delivered by `lift`, and lost with its stream."""

    def __init__(self) -> None:
        self.hits = 0
        """How many notifications and answers something befell."""
        self._drops = 0
        self._losses = 0
        self._doubles = False
        self._holds: int | None = None
        self._held: list[tuple[T, Callable[[T], None]]] = []

    def drop(self, count: int) -> None:
        """The next notifications never arrive."""
        self._drops = count

    def lose_answers(self, count: int) -> None:
        """The next answers of pubsub services never arrive."""
        self._losses = count

    def loses_answer(self) -> bool:
        """An answer is on its way: whether it never arrives."""
        if not self._losses:
            return False
        self.hits += 1
        self._losses -= 1
        return True

    def double(self) -> None:
        """Every notification arrives twice."""
        self._doubles = True

    def hold(self) -> None:
        """Notifications wait for `lift`."""
        self._holds = 0

    def reorder(self, count: int) -> None:
        """The next so many arrive in reverse."""
        self._holds = count

    @property
    def is_holding(self) -> bool:
        """Some are to be told in reverse, and have not been yet."""
        return self._holds is not None

    def lift(self) -> None:
        """All is well again, and what was held comes, in its order."""
        held = self._held
        self.forget()
        for message, deliver in held:
            deliver(message)

    def forget(self) -> None:
        """The stream ended: nothing of it comes any more."""
        self._losses = 0
        self._drops, self._doubles, self._holds, self._held = 0, False, None, []

    def pass_on(self, message: T, deliver: Callable[[T], None]) -> None:
        """A notification is on its way."""
        if self._drops:
            self.hits += 1
            self._drops -= 1
        elif self._holds is not None:
            self.hits += 1
            self._held.append((message, deliver))
            if self._holds and len(self._held) >= self._holds:
                held, self._held, self._holds = self._held, [], None
                for one, deliver_it in reversed(held):
                    deliver_it(one)
        else:
            deliver(message)
            if self._doubles:
                self.hits += 1
                deliver(message)
