"""The tables: which revision a database is at, and what differs between the databases."""
