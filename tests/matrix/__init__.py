"""The tests that depend on the versions of what is below Newsstand, run with each version that the machine has."""
