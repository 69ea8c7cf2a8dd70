"""The database: the mapped classes, opening and migrating, and the statements. The only room that knows SQL."""
