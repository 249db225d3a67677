"""Plumbing of HTTP: problems, middleware, probes; no domain words."""
