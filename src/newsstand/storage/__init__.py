"""The database of the copies: its classes and tables, opening and migrating it, and all statements. No other package
knows SQL."""
