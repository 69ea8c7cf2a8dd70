"""Compares, tidies and drops copies."""
