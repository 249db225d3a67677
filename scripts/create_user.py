"""`make create-user`: make a user; the last line of output is their temporary password.

It is shown this once and lapses in three days; the user changes it by `POST /api/v1/auth/password`.
"""

import argparse
import asyncio
import sys
from typing import get_args

from app.auth.caller import Role
from app.auth.keys import tenant_named
from app.auth.passwords import Passwords
from app.auth.people.registration import add_by_operator
from app.errors import AppError
from app.infra.postgres import open_pool
from app.infra.servers import owner_url, urls_of
from app.settings import Settings, load_settings
from scripts.prepare import prepared_servers


def main(arguments: list[str]) -> int:
    """Make a user; the exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tenant", required=True, help="made if it is new")
    parser.add_argument("--email", required=True, help="what the user signs in with")
    parser.add_argument("--role", default="owner", choices=get_args(Role))
    parser.add_argument("--name", default="", help="if empty, what stands before the @")
    options = parser.parse_args(arguments)
    try:
        settings = load_settings()
        with prepared_servers(settings):
            password = asyncio.run(create_user(settings, options))
    except AppError as error:
        sys.stderr.write(f"docent: {error.detail}\n")
        return 1
    print(f"User '{options.email}' of tenant '{options.tenant}', {options.role}; password:")
    print(password)
    return 0


async def create_user(settings: Settings, options: argparse.Namespace) -> str:
    """Make the user; their temporary password."""
    tenant_id = tenant_named(owner_url(settings), options.tenant)
    async with open_pool(
        urls_of(settings).database_url, size=1, timeout_s=settings.database_timeout_s
    ) as pool:
        return await add_by_operator(
            pool,
            tenant_id,
            email=options.email,
            name=options.name or options.email.partition("@")[0],
            role=options.role,
            passwords=Passwords(),
        )


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
