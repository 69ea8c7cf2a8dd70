"""Newsstand for slixmpp: importing this makes the plugin `newsstand` known to slixmpp.

import slixmpp
import newsstand.slixmpp

xmpp = slixmpp.ClientXMPP("me@example.org", password)
xmpp.register_plugin("newsstand", {"database": "sqlite:///news.db"})
"""

from slixmpp.plugins import register_plugin

from newsstand.slixmpp.plugin import Newsstand

register_plugin(Newsstand)

__all__ = ["Newsstand"]
