"""What the demo adds to the first streamed word, in Chromium, beside the API asked directly.

    python -m scripts.benchmark_demo [--rounds 12] [--quick]

Real processes in a home of their own that is thrown away: servers with the sample documents, the
API, the demo, and a provider whose first word comes after a known time. Each round is one
conversation in a new window of Chromium and the same one over HTTP, question by question in turns.
In the browser the time runs from the key that sends the question until the first words are painted;
over HTTP from the request until its first ``delta``. Writes docs/benchmarks/demo.md.
"""

import argparse
import asyncio
import datetime
import os
import shutil
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import aiohttp
import httpx
import numpy as np
import orjson
from playwright.sync_api import Page, sync_playwright

from app.infra.servers import servers
from app.settings import load_settings
from scripts.benchmarks import add_options, home_of_its_own, write
from scripts.chat_benchmark.corpus import QUESTIONS, prepare_samples
from scripts.chat_benchmark.processes import Server, server

COMMAND = "python -m scripts.benchmark_demo"
#: The budget.
MOST_MS = 150
PROVIDER_S = 0.3
BEHAVIOUR = f"slow_first_token:{PROVIDER_S}"
#: What that provider says (``tests/fake_provider.py``).
WORDS = "The limit is 10 MB"
SHAPES = {"first": "the first question of a conversation", "later": "the questions after it"}
#: Resolves ``window.painted`` to the milliseconds between Enter and one more answer on the screen.
WATCH = """words => {
    const answers = () => [...document.querySelectorAll('[data-testid=stChatMessage]')]
        .filter(one => one.textContent.includes(words)).length;
    const before = answers();
    window.painted = new Promise(tell => {
        let sent;
        addEventListener('keydown', event => { if (event.key === 'Enter') sent = event.timeStamp },
            {capture: true, once: true});
        const seen = new MutationObserver(() => {
            if (sent === undefined || answers() <= before) return;
            seen.disconnect();
            requestAnimationFrame(() => setTimeout(() => tell(performance.now() - sent)));
        });
        seen.observe(document.body, {subtree: true, childList: true, characterData: true});
    });
}"""


@dataclass
class Times:
    """Milliseconds to the first word of one kind of question, both ways, in the same order."""

    browser_ms: list[float] = field(default_factory=list)
    api_ms: list[float] = field(default_factory=list)

    @property
    def added_ms(self) -> list[float]:
        """Of each question in the browser, less its twin over HTTP."""
        return [seen - heard for seen, heard in zip(self.browser_ms, self.api_ms, strict=True)]


def ask_in_browser(page: Page, question: str) -> float:
    """Types a question, sends it, and waits for the answer to have come to rest."""
    box = page.get_by_placeholder("Ask a question about your documents")
    box.fill(question)
    page.evaluate(WATCH, WORDS)
    box.press("Enter")
    painted = float(page.evaluate("window.painted"))
    page.get_by_test_id("stSpinner").wait_for(state="detached")
    page.locator("[data-testid=stApp][data-test-script-state=notRunning]").wait_for()
    return painted


def ask_directly(api: httpx.Client, question: str, session_id: str | None) -> tuple[float, str]:
    """The same over HTTP; the time, and the session to go on with."""
    body = {"question": question, "stream": True, "session_id": session_id}
    first = data = ""
    begun = time.perf_counter()
    took_ms = 0.0
    with api.stream("POST", "/api/v1/chat", json=body) as response:
        for line in response.iter_lines():
            if line == "event: delta" and not first:
                first, took_ms = line, (time.perf_counter() - begun) * 1e3
            data = line.removeprefix("data: ") if line.startswith("data: ") else data
    return took_ms, str(orjson.loads(data)["session_id"])


def converse(page: Page, api: httpx.Client, into: dict[str, Times]) -> None:
    """One conversation, both ways."""
    session_id: str | None = None
    for number, question in enumerate(QUESTIONS):
        times = into["later" if number else "first"]
        times.browser_ms.append(ask_in_browser(page, question))
        took_ms, session_id = ask_directly(api, question, session_id)
        times.api_ms.append(took_ms)


@contextmanager
def parts(home: Path) -> Iterator[tuple[Server, Server, str]]:
    """The API and the demo over it, up and warm, and a key."""
    os.environ["DOCENT_HOME"] = str(home)
    demo = ["-m", "streamlit", "run", "streamlit_app/home.py", "--server.port={port}"]
    demo += ["--server.address=127.0.0.1", "--server.headless=true"]
    demo += ["--server.fileWatcherType=none", "--client.toolbarMode=minimal"]
    api = ["-m", "uvicorn", "--loop=uvloop", "--http=httptools", "--port={port}", "app.main:app"]
    fake = ["-m", "tests.fake_provider", "--port={port}", f"--behaviour={BEHAVIOUR}"]
    with servers(load_settings()), ExitStack() as stack:
        prepare_samples()
        key = (home / "dev.key").read_text().strip()

        def start(name: str, arguments: list[str], **environment: str) -> Server:
            return stack.enter_context(
                server(name, [sys.executable, *arguments], home, **environment)
            )

        provider = start("provider", fake)
        told = {"LOCAL_LLM_BASE_URL": f"{provider.url}/v1", "PROVIDER_ORDER": "local"}
        serving = start("api", api, ANSWER_CACHE_TTL_S="0", **told)
        shown = start("demo", demo, DOCENT_API_URL=serving.url, DOCENT_API_KEY=key)
        asyncio.run(until_up({provider: "/control", serving: "/readyz", shown: "/_stcore/health"}))
        yield serving, shown, key


async def until_up(paths: dict[Server, str]) -> None:
    """Waits for all of them."""
    async with aiohttp.ClientSession() as session:
        for one, path in paths.items():
            await one.until_up(session, path)


def measure(home: Path, rounds: int) -> dict[str, Times]:
    """Starts, asks and stops; the first round warms up and does not count."""
    found = {name: Times() for name in SHAPES}
    with parts(home) as (serving, shown, key), sync_playwright() as driver:
        browser = driver.chromium.launch(
            executable_path=shutil.which("chromium"), args=["--no-sandbox"]
        )
        headers = {"X-API-Key": key}
        with httpx.Client(base_url=serving.url, headers=headers, timeout=60) as api:
            for number in range(rounds + 1):
                window = browser.new_context(viewport={"width": 1280, "height": 850})
                page = window.new_page()
                page.goto(shown.url)
                page.get_by_text("Try one of these:").wait_for()
                converse(page, api, found if number else {name: Times() for name in SHAPES})
                window.close()
        browser.close()
    return found


PAGE = """# The demo

Made by `{command} --rounds {rounds}` on {today}; do not edit.
{cores} cores, load {load:.1f} before the run; Chromium is on the same machine.

Time to the first words of an answer, of a provider that takes {provider_s:g} s for them: over HTTP
from the request to the first `delta`; in the demo from the key that sends the question until the
words are painted. Both ask the same in turns; what the demo adds is each question's difference.
Medians, 95th percentiles in brackets, milliseconds; the demo may add {most_ms}.

| question | asked | API | demo | the demo adds |
|---|--:|--:|--:|--:|
{rows}
"""


def page_of(found: dict[str, Times], rounds: int, load: float) -> str:
    """The page of the documentation."""
    rows = [
        f"| {SHAPES[name]} | {len(times.api_ms)} | {_percentiles(times.api_ms)} | "
        f"{_percentiles(times.browser_ms)} | {_percentiles(times.added_ms)} |"
        for name, times in found.items()
    ]
    return PAGE.format(
        command=COMMAND,
        rounds=rounds,
        today=datetime.datetime.now(datetime.UTC).date().isoformat(),
        cores=os.cpu_count(),
        load=load,
        provider_s=PROVIDER_S,
        most_ms=MOST_MS,
        rows="\n".join(rows),
    )


def _percentiles(values: list[float]) -> str:
    middle, high = np.percentile(values, (50, 95))
    return f"{middle:.0f} ({high:.0f})"


def within_budget(found: dict[str, Times]) -> bool:
    """Whether the demo's median addition is within ``MOST_MS``, whatever is asked."""
    return all(float(np.median(times.added_ms)) <= MOST_MS for times in found.values())


def main() -> int:
    """Run it; 1 when the budget is not held."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=12, help="conversations that count")
    add_options(parser, quick="two conversations, whatever they take")
    options = parser.parse_args()
    rounds = 2 if options.quick else options.rounds
    load = os.getloadavg()[0]
    with home_of_its_own() as home:
        found = measure(home, rounds)
    text = page_of(found, rounds, load)
    sys.stdout.write(text)
    write(options, {"demo.md": text})
    return 0 if options.quick or within_budget(found) else 1


if __name__ == "__main__":
    sys.exit(main())
