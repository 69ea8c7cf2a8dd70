"""Alembic's folder. New revisions: see README.md here."""
