"""A limit is what it says over a whole fleet, wherever its requests seem to come from."""

import asyncio
from collections import Counter

import httpx

from tests.faults.running import copy_of_docent

LIMIT, ASKED = 120, 200


def test_four_workers_grant_what_one_would() -> None:
    with copy_of_docent(WORKERS=4, IP_REQUESTS_PER_MINUTE=LIMIT) as docent:
        docent.run("--no-demo")
        docent.until_ready()

        async def ask(client: httpx.AsyncClient, number: int) -> int:
            headers = {
                "X-API-Key": docent.key,
                "X-Forwarded-For": f"198.51.100.{number}",
                "Connection": "close",  # so that every worker gets some
            }
            return (await client.get("/api/v1/models", headers=headers)).status_code

        async def ask_all() -> Counter[int]:
            async with httpx.AsyncClient(base_url=docent.url, timeout=60) as client:
                return Counter(await asyncio.gather(*(ask(client, n) for n in range(ASKED))))

        statuses = asyncio.run(ask_all())
        assert statuses == {200: LIMIT, 429: ASKED - LIMIT}
