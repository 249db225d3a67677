"""A start of Docent from beginning to end, and its orderly stop."""

import os
import shlex
import signal
import sys
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

from app.errors import AppError
from app.infra.embedded.faults import StartError
from app.infra.embedded.folders import folders_of
from app.infra.embedded.servers import embedded_servers, start, status
from app.settings import Settings
from scripts.launcher.child import ROOT, Child
from scripts.launcher.claim import Claim, claim
from scripts.launcher.doors import answers, check_ports, host_of
from scripts.launcher.voice import say
from scripts.metrics_folder import MetricsFolder

GATE_VARIABLE = "DOCENT_GATE_FD"
#: Everything but the servers has so long to stop; gunicorn's own limit is a little less.
STOP_S = 8.0
READY_TIMEOUT_S = 120.0
DEMO_TIMEOUT_S = 20.0
#: How often the launcher looks at its children, and at the servers.
TICK_S, SERVERS_TICK_S, SERVERS_RETRY_S = 0.2, 1.0, 10.0


class Stopped(Exception):
    """Somebody asked us to stop before the start was over."""


@dataclass(frozen=True)
class Step:
    """A command that must succeed before Docent opens; an empty one is skipped."""

    name: str
    command: Sequence[str]


class Launcher:
    """Runs Docent on one home until a signal asks it to stop."""

    def __init__(
        self, settings: Settings, steps: Sequence[Step], question: str, *, demo: bool = True
    ) -> None:
        self.settings = settings
        self.demo = demo
        self.steps = steps
        self.question = question
        self.home = folders_of(settings.docent_home).home
        self.logs = folders_of(settings.docent_home).logs
        self.url = f"http://{host_of(settings)}:{settings.port}"
        self.stopping = threading.Event()
        self.children: list[Child] = []
        self._servers_again_at = 0.0

    def run(self) -> None:
        """Start, watch, stop.

        Raises:
            AppError: the start failed, with one sentence.
        """
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, self._asked_to_stop)
        try:
            with claim(self.settings.docent_home) as mine, ExitStack() as stack:
                check_ports(self.settings, demo=self.demo)
                self._open(mine, stack)
                self._watch(mine)
        except Stopped:
            pass

    def _open(self, mine: Claim, stack: ExitStack) -> None:
        stack.callback(MetricsFolder(self.settings).remove)  # the API and the worker share it
        stack.callback(self._stop_children)
        open_gate = self._start_api_behind_gate(mine)
        self._start_servers(stack)
        stack.callback(self._stop_children)  # before the servers
        for step in self.steps:
            self._run_step(step, mine)
        open_gate()
        self._wait_for_api()  # first: on two cores the others' imports would delay it by seconds
        self._start(Child("worker", [sys.executable, "-m", "app.worker"], self._log("worker")))
        self._start_demo()
        mine.write(self.children)
        self._introduce()

    def _start_api_behind_gate(self, mine: Claim) -> Callable[[], None]:
        """Let gunicorn import the application while the servers start; the function lets it in."""
        command = [sys.executable, "-m", "gunicorn", "-c", "scripts/gunicorn_conf.py"]
        api = Child("api", [*command, "app.main:app"], self._log("api"))
        inside, outside = os.pipe()
        self.children.append(api)
        api.start(once={GATE_VARIABLE: str(inside)}, pass_fds=[inside])
        os.close(inside)
        mine.write(self.children)

        def open_gate() -> None:
            try:
                os.write(outside, b"1")
            except BrokenPipeError:  # it has ended: _wait_for_api tells why
                pass
            finally:
                os.close(outside)

        return open_gate

    def _start_servers(self, stack: ExitStack) -> None:
        wanted = self._embedded()
        if any(wanted.values()):
            names = " and ".join(name for name, is_wanted in wanted.items() if is_wanted)
            say(f"starting {names} in {self.home}")
            stack.enter_context(
                embedded_servers(
                    self.settings.docent_home, **{k.lower(): v for k, v in wanted.items()}
                )
            )
        self._check_stop()

    def _embedded(self) -> dict[str, bool]:
        given = self.settings
        return {"postgres": given.database_url is None, "redis": given.redis_url is None}

    def _run_step(self, step: Step, mine: Claim) -> None:
        if not step.command:
            return
        child = Child(step.name, step.command, self._log(step.name.replace(" ", "-")), keep=False)
        self.children.append(child)
        child.start()
        mine.write(self.children)
        while (how := child.end()) is None:
            self._check_stop()
            time.sleep(0.02)
        self.children.remove(child)
        if child.process is not None and child.process.returncode != 0:
            raise StartError(f"{step.name} {how}: {child.last_words()}")

    def _start(self, child: Child) -> None:
        self._check_stop()
        self.children.append(child)
        child.start()

    def _start_demo(self) -> None:
        if not self.demo:
            return
        python = ROOT / ".venv-demo" / "bin" / "python"
        if not python.exists():
            say("the demo is not installed (no .venv-demo): starting without it")
            return
        options = {
            "server.port": self.settings.demo_port,
            "server.address": self.settings.bind_address,
            "server.headless": "true",
            "server.fileWatcherType": "none",
            "browser.gatherUsageStats": "false",
            "client.toolbarMode": "minimal",
            "logger.level": "warning",
        }
        flags = [f"--{key}={value}" for key, value in options.items()]
        command = [str(python), "-m", "streamlit", "run", "streamlit_app/home.py", *flags]
        told = {"DOCENT_API_URL": self.url, "DOCENT_API_KEY": self._key() or ""}
        self._start(Child("demo", command, self._log("demo"), environment=told))

    def _wait_for_api(self) -> None:
        deadline = time.monotonic() + READY_TIMEOUT_S
        api = self.children[0]
        while not answers(host_of(self.settings), self.settings.port, "/readyz"):
            self._check_stop()
            if (how := api.end()) is not None:
                raise StartError(f"The API {how}: {api.last_words()} (see {api.log})")
            if time.monotonic() > deadline:
                raise StartError(
                    f"The API was not ready within {READY_TIMEOUT_S:.0f} s: see {api.log}, and "
                    f"{self.url}/readyz on the next start."
                )
            time.sleep(0.05)

    def _introduce(self) -> None:
        key = self._key()
        body = f'{{"question": "{self.question}"}}'
        headers = [f"X-API-Key: {key or 'YOUR_KEY'}", "Content-Type: application/json"]
        words = ["curl", "-s", f"{self.url}/api/v1/chat"]
        words += [part for header in headers for part in ("-H", header)] + ["-d", body]
        say(f"API   {self.url}  (reference at {self.url}/docs)")
        demo = any(child.name == "demo" for child in self.children)
        if demo and self._demo_answers():
            say(f"Demo  http://{host_of(self.settings)}:{self.settings.demo_port}")
        say(f"Key   {key}" if key else "Key   none yet: make create-key TENANT=… NAME=…")
        say("Try   " + shlex.join(words))
        say("Ctrl-C stops everything")

    def _demo_answers(self) -> bool:
        deadline = time.monotonic() + DEMO_TIMEOUT_S
        host, port = host_of(self.settings), self.settings.demo_port
        while not (ready := answers(host, port, "/_stcore/health")):
            self._check_stop()
            if time.monotonic() > deadline:
                say(f"the demo does not answer yet: see {self._log('demo')}")
                break
            time.sleep(0.05)
        return ready

    def _key(self) -> str | None:
        try:
            text = (self.home / "dev.key").read_text(encoding="utf-8").strip()
        except OSError:
            text = ""
        return text or os.environ.get("DOCENT_API_KEY") or None

    def _watch(self, mine: Claim) -> None:
        looked_at = time.monotonic()
        while not self.stopping.wait(TICK_S):
            for child in self.children:
                child.revive(lambda: mine.write(self.children))
            if time.monotonic() - looked_at > SERVERS_TICK_S:
                self._revive_servers()
                looked_at = time.monotonic()

    def _revive_servers(self) -> None:
        wanted, found = self._embedded(), status(self.settings.docent_home)
        dead = (wanted["postgres"] and found.postgres_pid is None) or (
            wanted["redis"] and found.redis_pid is None
        )
        if not dead or time.monotonic() < self._servers_again_at:
            return
        try:
            for name in start(self.settings.docent_home, **wanted):
                say(f"{name} had ended and was started again")
        except AppError as error:
            say(error.detail)
            self._servers_again_at = time.monotonic() + SERVERS_RETRY_S

    def _stop_children(self) -> None:
        if self.children and self.stopping.is_set():
            say("stopping")
        running = [child for child in self.children if child.running]
        for child in running:
            child.terminate()
        deadline = time.monotonic() + STOP_S
        while any(child.running for child in running) and time.monotonic() < deadline:
            time.sleep(0.02)
        for child in self.children:
            child.kill()  # also what a child has left behind
        self.children.clear()

    def _asked_to_stop(self, number: int, _frame: FrameType | None) -> None:
        if self.stopping.is_set() and number == signal.SIGINT:
            for child in self.children:
                child.signal_group(signal.SIGKILL)
        self.stopping.set()  # and nothing printed: the signal may have interrupted a print

    def _check_stop(self) -> None:
        if self.stopping.is_set():
            raise Stopped

    def _log(self, name: str) -> Path:
        return self.logs / f"{name}.log"
