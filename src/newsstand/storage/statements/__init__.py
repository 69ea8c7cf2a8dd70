"""The SQL statements, by what they are about, as functions of a connection. They never commit."""
