"""The plugin for poezio, a client for terminals: `plugins_autoload = newsstand` in its configuration is all.

Its settings, if any, are in `newsstand.cfg` in poezio's folder for the settings of plugins, below `[newsstand]`:
`database`, and the fields of `newsstand.config.Settings`. poezio finds this module by the entry point `poezio_plugins`.
"""

from __future__ import annotations

from poezio.plugin import BasePlugin

from newsstand.config import read_setting
from newsstand.slixmpp.plugin import Newsstand


class Plugin(BasePlugin):
    """Newsstand, registered with poezio's stream while this plugin is loaded."""

    def init(self) -> None:
        """poezio loads the plugin. A setting that cannot be right raises, and poezio shows that in its window."""
        given = {name: self.config.get(name) for name in self.config.options()}
        settings = {name: read_setting(name, said, f"{name} in newsstand.cfg") for name, said in given.items()}
        Newsstand.of(self.core.xmpp, **settings)

    def cleanup(self) -> None:
        """poezio unloads the plugin: from now on its reads go to the services."""
        self.core.xmpp.plugin.disable("newsstand")
