"""The revisions of the schema, which Alembic runs. How to add one: see README.md here."""
