"""The schema: which revision a database is at, which tables can be copied, and what differs between the databases."""
