"""Answers a program's reads, and settles its writes."""
