"""Throw-away servers, for the demo and for the tests."""
