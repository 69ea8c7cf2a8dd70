"""A PostgreSQL server's database."""
