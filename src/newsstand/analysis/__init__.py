"""Analysers: they choose the nodes that are copied, and parse the payloads of their items."""
