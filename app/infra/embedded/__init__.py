"""PostgreSQL and Redis that come with Docent: real servers from pinned wheels, no installation."""
