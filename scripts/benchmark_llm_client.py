"""CPU of asking a language model: ours beside the openai SDK and bare HTTP clients.

All ask the same scripted provider (``tests/fake_provider.py``, its own process) for the same
streams, interleaved, and must return the same text before anything is printed. CPU time of this
process only; cost per call and per token come from streams of two lengths. Two shapes of stream:
every token in a packet of its own, and all tokens in one write.

    python -m scripts.benchmark_llm_client [--rounds 40] [--quick]

Writes docs/benchmarks/llm_client.json.
"""

import argparse
import json
import resource
import statistics
import subprocess
import sys
from collections.abc import Awaitable, Callable
from contextlib import aclosing
from pathlib import Path

import aiohttp
import httpx
import openai
import orjson
import uvloop

from app.llm.completion import Completion, CompletionRequest, Message, Provider
from app.llm.openai_compatible import Model, OpenAiCompatible
from app.llm.router import Router
from scripts.benchmarks import add_options, write

ROOT = Path(__file__).resolve().parent.parent
SHORT, LONG = 20, 220
SHAPES = {"packet per token": "drip", "one write": "ok"}
MESSAGES = [{"role": "user", "content": "How large may a file be?"}]
Ask = Callable[[str], Awaitable[str]]


def provider_ask(provider: Provider) -> Ask:
    """Through our own client."""

    async def ask(model: str) -> str:
        request = CompletionRequest((Message("user", MESSAGES[0]["content"]),), "", (), model)
        async with aclosing(provider.stream(request)) as events:
            async for event in events:
                if isinstance(event, Completion):
                    return event.text
        raise AssertionError("no completion")

    return ask


def sdk_ask(client: openai.AsyncOpenAI) -> Ask:
    """Through the openai SDK as its documentation shows it."""

    async def ask(model: str) -> str:
        parts = []
        stream = await client.chat.completions.create(
            model=model, messages=MESSAGES, stream=True, stream_options={"include_usage": True}
        )
        async for chunk in stream:
            if chunk.choices and chunk.choices[0].delta.content:
                parts.append(chunk.choices[0].delta.content)
        return "".join(parts)

    return ask


def text_of(line: bytes) -> str:
    """The text of one line of a stream, as little code as can do it."""
    if not line.startswith(b"data: ") or line.startswith(b"data: [DONE]"):
        return ""
    choices = orjson.loads(line[6:])["choices"]
    return (choices[0]["delta"].get("content") or "") if choices else ""


def body_of(model: str) -> bytes:
    """The request that all clients send."""
    return orjson.dumps(
        {
            "model": model,
            "messages": MESSAGES,
            "stream": True,
            "stream_options": {"include_usage": True},
        }
    )


def httpx_ask(client: httpx.AsyncClient, url: str) -> Ask:
    """Through bare httpx."""

    async def ask(model: str) -> str:
        async with client.stream(
            "POST", url, content=body_of(model), headers={"content-type": "application/json"}
        ) as response:
            return "".join([text_of(line.encode()) async for line in response.aiter_lines()])

    return ask


def aiohttp_ask(client: aiohttp.ClientSession, url: str) -> Ask:
    """Through bare aiohttp."""

    async def ask(model: str) -> str:
        headers = {"content-type": "application/json"}
        async with client.post(url, data=body_of(model), headers=headers) as response:
            return "".join([text_of(line) async for line in response.content])

    return ask


def cpu_s() -> float:
    """CPU seconds of this process, user and system."""
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


async def measure(asks: dict[str, Ask], rounds: int) -> dict[str, dict[str, dict[str, float]]]:
    """Milliseconds of CPU per call and microseconds per token, for every client and shape."""
    results = {}
    for shape, behaviour in SHAPES.items():
        wanted = {n: "".join(f"word{i} " for i in range(n)) for n in (SHORT, LONG)}
        spent = {(name, n): [] for name in asks for n in wanted}
        for turn in range(rounds + 2):
            for name, ask in asks.items():
                for n, text in wanted.items():
                    before = cpu_s()
                    got = await ask(f"{behaviour}:{n}")
                    if turn > 1:  # the first two rounds warm up
                        spent[name, n].append(cpu_s() - before)
                    if got != text:
                        raise SystemExit(f"{name} returned another text")
        results[shape] = {}
        for name in asks:
            short = statistics.median(spent[name, SHORT])
            long = statistics.median(spent[name, LONG])
            per_token = (long - short) / (LONG - SHORT)
            results[shape][name] = {
                "ms_per_call": round((short - SHORT * per_token) * 1e3, 3),
                "us_per_token": round(per_token * 1e6, 2),
                "ms_200_tokens": round((short + (200 - SHORT) * per_token) * 1e3, 2),
            }
    return results


async def compare(url: str, rounds: int) -> dict[str, dict[str, dict[str, float]]]:
    """Build every client against the provider at ``url`` and measure them."""
    path = f"{url}/chat/completions"
    models = [Model(f"{how}:{n}", 8192) for how in SHAPES.values() for n in (SHORT, LONG)]
    ours = OpenAiCompatible("groq", base_url=url, api_key="k", models=models)
    plain = openai.AsyncOpenAI(base_url=url, api_key="k", max_retries=0)
    over_aiohttp = openai.AsyncOpenAI(
        base_url=url, api_key="k", max_retries=0, http_client=openai.DefaultAioHttpClient()
    )
    async with httpx.AsyncClient() as bare, aiohttp.ClientSession() as session:
        asks = {
            "ours": provider_ask(ours),
            "ours through the router": provider_ask(Router([ours])),
            "openai SDK, parsed": sdk_ask(plain),
            "openai SDK, parsed, aiohttp": sdk_ask(over_aiohttp),
            "bare httpx + orjson": httpx_ask(bare, path),
            "bare aiohttp + orjson": aiohttp_ask(session, path),
        }
        results = await measure(asks, rounds)
    for client in (ours, plain, over_aiohttp):
        await client.close()
    return results


def main() -> None:
    """Start the provider, measure, print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=40)
    add_options(parser, quick="two rounds")
    options = parser.parse_args()
    rounds = 2 if options.quick else options.rounds
    fake = subprocess.Popen(
        [sys.executable, "-m", "tests.fake_provider"], cwd=ROOT, stdout=subprocess.PIPE, text=True
    )
    try:
        url = fake.stdout.readline().strip()
        results = uvloop.run(compare(url, rounds))
    finally:
        fake.terminate()
        fake.wait()
    for shape, rows in results.items():
        print(f"\n{shape:<30}{'ms/call':>10}{'µs/token':>10}{'ms/200 tokens':>15}")
        for name, row in rows.items():
            numbers = (row["ms_per_call"], row["us_per_token"], row["ms_200_tokens"])
            print(f"{name:<30}{numbers[0]:>10.2f}{numbers[1]:>10.1f}{numbers[2]:>15.2f}")
    write(options, {"llm_client.json": json.dumps(results, indent=1) + "\n"})


if __name__ == "__main__":
    main()
