"""Benchmarks: ratios, both sides measured in turns within one run, because machines are noisy.

`make bench` runs them all; `make bench ARGS="hit"` one. Not collected by pytest.
"""
