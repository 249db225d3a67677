"""`make create-key`: mint an API key; its last line of output is the key, shown this once.

Budgets are US dollars a calendar month (UTC); "none" leaves a budget to the settings.
"""

import argparse
import sys

from app.auth.caller import ALL_SCOPES
from app.auth.keys import create_key, secret_of, set_tenant_budget
from app.errors import AppError
from app.infra.servers import owner_url
from app.settings import load_settings
from scripts.prepare import prepared_servers


def main(arguments: list[str]) -> int:
    """Mint a key; the exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tenant", required=True, help="made if it is new")
    parser.add_argument("--name", required=True, help="what the key is for")
    parser.add_argument(
        "--scopes", default=" ".join(ALL_SCOPES), help="separated by spaces or commas"
    )
    parser.add_argument("--budget-usd", type=dollars, help="what the key may spend a month")
    parser.add_argument(
        "--tenant-budget-usd",
        type=dollars,
        default=argparse.SUPPRESS,
        help="what the whole tenant may spend a month from now on",
    )
    options = parser.parse_args(arguments)
    try:
        settings = load_settings()
        with prepared_servers(settings):
            if hasattr(options, "tenant_budget_usd"):
                set_tenant_budget(owner_url(settings), options.tenant, options.tenant_budget_usd)
            key = create_key(
                owner_url(settings),
                secret_of(settings),
                tenant=options.tenant,
                name=options.name,
                scopes=options.scopes.replace(",", " ").split() or ALL_SCOPES,
                budget_usd=options.budget_usd,
            )
    except AppError as error:
        sys.stderr.write(f"docent: {error.detail}\n")
        return 1
    print(f"Key '{options.name}' of tenant '{options.tenant}'; it is not shown again:")
    print(key)
    return 0


def dollars(text: str) -> float | None:
    """A budget as it was typed; None for "none"."""
    return None if text == "none" else float(text)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
