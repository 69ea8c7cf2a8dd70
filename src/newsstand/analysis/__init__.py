"""Which nodes are wanted, and what their payloads say."""
