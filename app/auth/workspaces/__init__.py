"""Workspaces: parts of a tenant, whose members share documents with each other only."""
