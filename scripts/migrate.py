"""`make migrate`: bring the database's schema up to date (or, with a revision, anywhere else)."""

import sys

from app.errors import AppError
from app.infra.migrations import migrate
from app.infra.servers import owner_url, servers
from app.settings import load_settings


def main(arguments: list[str]) -> int:
    """Migrate; the exit code."""
    try:
        settings = load_settings()
        with servers(settings):
            migrate(
                owner_url(settings),
                embedding_model=settings.embedding_model,
                embedding_dimension=settings.embedding_dimension,
                revision=arguments[0] if arguments else "head",
            )
    except AppError as error:
        sys.stderr.write(f"docent: {error.detail}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
