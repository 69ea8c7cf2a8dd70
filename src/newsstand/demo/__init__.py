"""The demo, which `newsstand demo` plays: a throw-away server, real nodes, and what Newsstand makes of them."""
