"""Plumbing below every room: PostgreSQL, Redis, logs, the embedded servers."""
