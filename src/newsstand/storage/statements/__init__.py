"""Statements: functions of a connection, which never commit."""
