"""What was written into the audit log, listed and exported."""
