"""Docent: answers over an organisation's own documents, every claim tied to its page."""
