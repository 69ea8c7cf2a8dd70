"""The convergence machine: random schedules of writes and faults, played at any service, and what must hold of them.

`python -m tests.converge --help`, or `make converge`; docs/coherence.md says what is promised and what was run.
"""
