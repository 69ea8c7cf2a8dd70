"""Throw-away servers of the tests, besides the demo's Prosody."""
