"""Sessions of SQLAlchemy for programs, and what follows from what they change."""
