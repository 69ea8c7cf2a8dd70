"""Fakes of the ports, for what a real server cannot be made to show."""
