"""The archive: documents, their versions, pages and bytes."""
