"""Brings copies up to their services, and keeps them so."""
