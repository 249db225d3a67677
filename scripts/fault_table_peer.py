"""The LiteLLM Router on the faults of ``scripts/fault_table.py``.

Run by that script with the Python of a throw-away environment: LiteLLM is no dependency of ours.
Reads one task a line (JSON) and writes one result a line. Configured as its documentation
recommends for reliability: both providers as deployments of one model group with an ``order``, two
retries that need not wait, a cooldown after the first failure, the same limits as Docent; and the
second provider as a ``fallback`` group as well, for what the group itself cannot recover.
"""

import asyncio
import json
import os
import socket
import sys
import time
from importlib.metadata import version
from typing import Any

os.environ |= {"LITELLM_LOCAL_MODEL_COST_MAP": "True", "LITELLM_LOG": "CRITICAL"}

import litellm

litellm.telemetry = False
litellm.suppress_debug_info = True
_connects: dict[int, int] = {}


def _count(event: str, arguments: tuple[Any, ...]) -> None:
    """Note whom is connected to; a provider that refuses cannot tell."""
    if event == "socket.connect" and arguments[0].family == socket.AF_INET:
        host, port = arguments[1][:2]
        if host != "127.0.0.1":
            raise PermissionError(f"not loopback: {host}")
        _connects[port] = _connects.get(port, 0) + 1


def _deployment(
    group: str, url: str, order: int | None, limits: dict[str, float]
) -> dict[str, Any]:
    parameters = {
        "model": f"openai/{group}",
        "api_base": url,
        "api_key": "key",
        "timeout": limits["attempt_s"],
        "stream_timeout": limits["first_token_s"],
    }
    if order is not None:
        parameters["order"] = order
    return {"model_name": group, "litellm_params": parameters}


def build(task: dict[str, Any]) -> litellm.Router:
    """A router that knows nothing of the providers yet."""
    limits = task["limits"]
    return litellm.Router(
        model_list=[
            _deployment("chat", task["faulty_url"], 1, limits),
            _deployment("chat", task["healthy_url"], 2, limits),
            _deployment("backup", task["healthy_url"], None, limits),
        ],
        fallbacks=[{"chat": ["backup"]}],
        context_window_fallbacks=[{"chat": ["backup"]}],
        num_retries=2,
        retry_after=0,
        allowed_fails=0,
        cooldown_time=limits["cooldown_s"],
        timeout=limits["total_s"],
        stream_timeout=limits["first_token_s"],
        enable_pre_call_checks=True,
        enable_mid_stream_fallback_continuation=True,
    )


async def ask(router: litellm.Router, number: int, *, stream: bool) -> dict[str, Any]:
    """The text and the time of one request, or the kind of its error."""
    messages = [{"role": "user", "content": f"How large may a file be? (asked {number})"}]
    started = time.perf_counter()
    text, error = "", None
    try:
        answer = await router.acompletion(model="chat", messages=messages, stream=stream)
        if stream:
            async for chunk in answer:
                text += (chunk.choices[0].delta.content or "") if chunk.choices else ""
        else:
            text = answer.choices[0].message.content or ""
    except Exception as caught:  # noqa: BLE001 - whatever it is, it is what its user gets
        error = type(caught).__name__
    return {"text": text, "error": error, "ms": (time.perf_counter() - started) * 1000}


async def main() -> None:
    """Work through the tasks; one with a ``faulty_url`` begins with a new router."""
    sys.addaudithook(_count)
    router, port, number = None, 0, 0
    for line in sys.stdin:
        task = json.loads(line)
        if "faulty_url" in task:
            router, port = build(task), int(task["faulty_url"].split(":")[2].split("/")[0])
        _connects.clear()
        asked = []
        for _ in range(task["count"]):
            number += 1
            asked.append(await ask(router, number, stream=task["stream"]))
        print(json.dumps({"asked": asked, "connects": _connects.get(port, 0)}), flush=True)


if __name__ == "__main__":
    print(json.dumps({"version": version("litellm")}), flush=True)
    asyncio.run(main())
