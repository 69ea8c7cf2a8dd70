"""Faults that are planted in a copy of our code, to see that they are found (`make mutants`; docs/coherence.md)."""
