"""More behaviours for the scripted provider, for what only the router's tests ask for."""

import json

from tests.fake_provider import ANSWER, BEHAVIOURS, Exchange


async def hangs_up(exchange: Exchange, args: list[str]) -> None:
    """Closes the connection without a byte, as a server does that just gave up keep-alive."""
    exchange.cut()


async def refuses_words(exchange: Exchange, args: list[str]) -> None:
    """``refuses_words:N``: a context of N characters of prompt, llama.cpp's words."""
    prompt = "".join(message["content"] for message in exchange.body["messages"])
    if len(prompt) > int(args[0]):
        message = "the request exceeds the available context size, try increasing it"
        body = {"error": {"code": 400, "message": message, "type": "exceed_context_size_error"}}
        await exchange.send(400, json.dumps(body).encode())
        return
    await exchange.start()
    await exchange.part(exchange.head() + exchange.chunk({"content": ANSWER}) + exchange.tail(5))
    await exchange.end()


async def moderated(exchange: Exchange, args: list[str]) -> None:
    """OpenRouter's moderation, before or (``moderated:late``) after the first words."""
    error = {
        "code": 403,
        "message": "Your input was flagged",
        "metadata": {"reasons": ["violence"], "flagged_input": "…"},
    }
    if not args:
        await exchange.send(403, json.dumps({"error": error}).encode())
        return
    await exchange.start()
    await exchange.part(exchange.chunk({"content": "The limit "}))
    await exchange.wait(0.05)
    await exchange.part(b"data: " + json.dumps({"error": error}).encode() + b"\n\n")
    await exchange.end()


async def finishes(exchange: Exchange, args: list[str]) -> None:
    """``finishes:REASON``: half an answer and that reason."""
    await exchange.start()
    await exchange.part(exchange.head() + exchange.chunk({"content": "The limit "}))
    await exchange.part(exchange.tail(2, args[0]))
    await exchange.end()


async def counts_nothing(exchange: Exchange, args: list[str]) -> None:
    """No usage, though it was asked for."""
    exchange.body.pop("stream_options", None)
    await exchange.start()
    for token in ("The ", "limit ", "is."):
        await exchange.part(exchange.chunk({"content": token}))
    await exchange.part(exchange.tail(3))
    await exchange.end()


async def out_of_quota(exchange: Exchange, args: list[str]) -> None:
    """OpenAI's 429 that no waiting helps against."""
    body = {"error": {"message": "You exceeded your quota", "code": "insufficient_quota"}}
    await exchange.send(429, json.dumps(body).encode())


async def tells_the_key(exchange: Exchange, args: list[str]) -> None:
    """An error inside a 200 that repeats the key."""
    key = exchange.call.headers["authorization"].removeprefix("Bearer ")
    error = {"code": 500, "message": f"cannot serve {key} today"}
    await exchange.send(200, json.dumps({"error": error}).encode())


async def thinks_to_the_end(exchange: Exchange, args: list[str]) -> None:
    """A reasoning model that was given too few tokens to come to its answer."""
    await exchange.start()
    await exchange.part(exchange.chunk({"reasoning": "hmm"}) + exchange.tail(1, "length"))
    await exchange.end()


async def sets_a_cookie(exchange: Exchange, args: list[str]) -> None:
    """A refusal, and a cookie for whoever asked."""
    await exchange.send(500, b"{}", **{"set-cookie": "session=canary; Path=/"})


async def refuses_slowly(exchange: Exchange, args: list[str]) -> None:
    """A 429 that says when to return, and whose body never comes."""
    head = b"HTTP/1.1 429 Fake\r\nretry-after: 17\r\ncontent-length: 99\r\n\r\n"
    await exchange.write(head)
    await exchange.wait(3600)


for behaviour in (
    hangs_up, refuses_words, moderated, finishes, counts_nothing, out_of_quota, tells_the_key,
    thinks_to_the_end, sets_a_cookie, refuses_slowly,
):  # fmt: skip
    BEHAVIOURS[behaviour.__name__] = behaviour
