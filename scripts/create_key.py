"""`make create-key`: mint an API key; its last line of output is the key, shown this once."""

import argparse
import sys

from app.auth.caller import ALL_SCOPES
from app.auth.keys import create_key, secret_of
from app.errors import AppError
from app.infra.servers import owner_url, servers
from app.settings import load_settings


def main(arguments: list[str]) -> int:
    """Mint a key; the exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tenant", required=True, help="made if it is new")
    parser.add_argument("--name", required=True, help="what the key is for")
    parser.add_argument(
        "--scopes", default=" ".join(ALL_SCOPES), help="separated by spaces or commas"
    )
    options = parser.parse_args(arguments)
    try:
        settings = load_settings()
        with servers(settings):
            key = create_key(
                owner_url(settings),
                secret_of(settings),
                tenant=options.tenant,
                name=options.name,
                scopes=options.scopes.replace(",", " ").split() or ALL_SCOPES,
            )
    except AppError as error:
        sys.stderr.write(f"docent: {error.detail}\n")
        return 1
    print(f"Key '{options.name}' of tenant '{options.tenant}'; it is not shown again:")
    print(key)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
