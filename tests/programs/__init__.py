"""Real programs that nobody here wrote, unmodified, without and with Newsstand: what they send, and what they get."""
