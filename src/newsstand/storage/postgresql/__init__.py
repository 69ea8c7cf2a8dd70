"""The back end for PostgreSQL: connections, reads, the writer, and making a database ready."""
