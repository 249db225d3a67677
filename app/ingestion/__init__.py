"""A document's whole journey, from a file to searchable chunks."""
