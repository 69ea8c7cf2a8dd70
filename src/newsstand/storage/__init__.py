"""The database: the mapped classes, opening and migrating, and the statements. The only package that knows SQL."""
