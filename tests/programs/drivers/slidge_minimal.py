"""The smallest legacy module for slidge: a network on which anybody may log in, and nobody writes."""

from __future__ import annotations

import os
from typing import Any

import slidge
from slidge.command import FormField


class Session(slidge.BaseSession):
    """A user's session on that network."""

    async def login(self) -> str:
        self.user.preferences = {**self.user.preferences, "sync_avatar": True}  # as its users may choose
        return "Logged in"

    async def on_avatar(self, *_: Any) -> None:
        """The network takes the user's avatar. slidge remembers then that it has it."""


class Gateway(slidge.BaseGateway[Session]):
    """The gateway. The last line of `__init__` is all that concerns Newsstand."""

    COMPONENT_NAME = "A network for measurements"
    REGISTRATION_FIELDS = (FormField(var="username", label="User name", required=True),)

    def __init__(self) -> None:
        super().__init__()
        if os.environ.get("PROGRAMS_NEWSSTAND"):
            self.register_plugin("newsstand", {}, module="newsstand.slixmpp")

    async def validate(self, user_jid: Any, registration_form: Any) -> None:
        """Anybody may log in."""
