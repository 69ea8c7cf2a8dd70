"""The back end for SQLite: connections to the file, reads, the writer, making it ready, damage, and its loss."""
