"""From a question to scored passages: embedding, the chunk table, hybrid search."""
