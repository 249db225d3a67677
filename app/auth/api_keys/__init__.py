"""The keys that callers make for themselves."""
