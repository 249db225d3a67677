"""The command ``docent``: ask, upload, watch, docs, keys and doctor, over HTTP only."""

import argparse
import json
import sys
import unicodedata
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path

import httpx

from docent_client.client import ApiClient
from docent_client.config import Config, load_config
from docent_client.doctor import examine
from docent_client.line import open_connection
from docent_client.problems import ApiProblem
from docent_client.schemas import Answer, Citation, Delta, Job, Question, Reset

FAILED = 1
_INTERRUPTED = 130
Arguments = argparse.Namespace


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one command; 0 is success, 1 a problem that was told on stderr, 2 a wrong command."""
    asked = _parser().parse_args(arguments)
    config = load_config(asked.api)
    try:
        with open_connection(config.api_url) as connection:
            if asked.run is None:
                return _doctor(config, connection)
            run: Callable[[ApiClient, Arguments], int] = asked.run
            return run(ApiClient(connection, api_key=config.api_key), asked)
    except ApiProblem as problem:
        return _fail(problem)
    except BrokenPipeError:  # the reader has seen enough, such as `docent docs | head`
        sys.stderr.close()
        return 0
    except KeyboardInterrupt:
        return _INTERRUPTED


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="docent",
        description="Ask your documents, and look after them.",
        epilog="DOCENT_API_URL and DOCENT_API_KEY say where and with which key; on the server's "
        "own machine the key of `make run` is found by itself.",
    )
    parser.add_argument("--api", metavar="URL", help="address of the API")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    ask = commands.add_parser("ask", help="ask a question")
    ask.add_argument("question")
    ask.add_argument("--session", help="go on with a conversation")
    ask.add_argument("--model", help="a provider, or an id of GET /api/v1/models")
    ask.add_argument("--tag", action="append", default=[], help="only documents with this tag")
    ask.add_argument("--json", action="store_true", help="print the whole answer as JSON")
    ask.set_defaults(run=_ask)
    upload = commands.add_parser("upload", help="send documents and wait until they answer")
    upload.add_argument("files", nargs="+", type=Path, metavar="FILE")
    upload.add_argument("--tag", action="append", default=[], help="may be repeated")
    upload.add_argument("--no-wait", action="store_true", help="do not wait for the jobs")
    upload.set_defaults(run=_upload)
    watch = commands.add_parser("watch", help="follow a job to its end")
    watch.add_argument("job")
    watch.set_defaults(run=lambda client, asked: _watch(client, asked.job))
    docs = commands.add_parser("docs", help="list documents")
    docs.add_argument("--q", help="part of the title or file name")
    docs.add_argument("--tag", help="only documents with this tag")
    docs.set_defaults(run=_docs)
    _add_keys(commands.add_parser("keys", help="list, make and revoke keys"))
    doctor = commands.add_parser("doctor", help="say what is wrong with this set-up")
    doctor.set_defaults(run=None)
    return parser


def _add_keys(keys: argparse.ArgumentParser) -> None:
    actions = keys.add_subparsers(required=True, metavar="ACTION")
    actions.add_parser("list").set_defaults(run=_list_keys)
    create = actions.add_parser("create", help="make a key; its last line is the key")
    create.add_argument("name")
    create.add_argument("--scope", action="append", required=True, help="may be repeated")
    create.add_argument("--days", type=int, help="days until it ends")
    create.set_defaults(run=_create_key)
    revoke = actions.add_parser("revoke")
    revoke.add_argument("key_id")
    revoke.set_defaults(run=_revoke_key)


def _ask(client: ApiClient, asked: Arguments) -> int:
    question = Question(
        asked.question, session_id=asked.session, model=asked.model, tags=tuple(asked.tag)
    )
    if asked.json:
        _say(json.dumps(asdict(client.ask(question)), ensure_ascii=False, indent=2))
        return 0
    answer: Answer | None = None
    for part in client.stream(question):
        if isinstance(part, Delta):
            sys.stdout.write(shown(part.text))
            sys.stdout.flush()
        elif isinstance(part, Reset):
            _say(f"\n(the provider failed: {part.reason}; another one starts over)\n")
        elif isinstance(part, Answer):
            answer = part
    if answer is None:
        return FAILED
    _say("")
    for citation in answer.citations:
        _say(_source(citation))
    return 0 if answer.status == "complete" else FAILED


def _source(citation: Citation) -> str:
    checked = "" if citation.verified else " (not verified)"
    return f"[{citation.marker}] {citation.title}, page {citation.page}{checked}"


def _upload(client: ApiClient, asked: Arguments) -> int:
    failed = 0
    for path in asked.files:
        try:
            sent = client.upload(path.name, path.read_bytes(), tags=asked.tag)
        except OSError as error:
            failed += bool(_fail(error.strerror or error, str(path)))
            continue
        except ApiProblem as problem:
            failed += bool(_fail(problem, str(path)))
            continue
        if sent.job is None:
            _say(f"{path}: unchanged, {sent.document.id}")
        elif asked.no_wait:
            _say(f"{path}: {sent.document.id} {sent.job.id}")
        else:
            failed += bool(_watch(client, sent.job.id, str(path)))
    return FAILED if failed else 0


def _watch(client: ApiClient, job_id: str, name: str = "") -> int:
    label = name or job_id
    told = ""
    job: Job | None = None
    for job in client.watch(job_id):
        line = f"{label}: {job.status} {job.step or ''} {job.progress} %"
        if line != told:
            _say(line)
            told = line
    if job is None or job.status != "succeeded":
        reason = job.error if job and job.error else "it did not succeed"
        return _fail(f"{reason}", label)
    _say(f"{label}: {job.document_id} answers as version {job.version}")
    return 0


def _docs(client: ApiClient, asked: Arguments) -> int:
    after: str | None = None
    while True:
        listed = client.documents(q=asked.q, tag=asked.tag, after=after)
        for one in listed.items:
            _say(f"{one.id}  v{one.version}  {one.status:10}  {one.title}")
        if not listed.has_more or listed.next is None:
            return 0
        after = listed.next


def _list_keys(client: ApiClient, _: Arguments) -> int:
    for key in client.keys():  # noqa: SIM118 - a client is no dict
        used = f"used {key.last_used_at}" if key.last_used_at else "never used"
        state = f"revoked {key.revoked_at}" if key.revoked_at else used
        _say(f"{key.id}  {key.name}  {' '.join(key.scopes)}  {state}")
    return 0


def _create_key(client: ApiClient, asked: Arguments) -> int:
    made = client.create_key(asked.name, asked.scope, expires_in_days=asked.days)
    _say(f"{made.id} is shown this once:\n{made.key}")
    return 0


def _revoke_key(client: ApiClient, asked: Arguments) -> int:
    client.revoke_key(asked.key_id)
    _say(f"{asked.key_id} is revoked")
    return 0


def _doctor(config: Config, connection: httpx.Client) -> int:
    wrong = False
    for finding in examine(config, connection):
        _say(f"{finding.state:5}  {finding.name:9}  {finding.detail}")
        if finding.state != "ok" and finding.remedy:
            _say(f"{'':18}{finding.remedy}")
        wrong = wrong or finding.state == "wrong"
    return FAILED if wrong else 0


def _fail(problem: Exception | str, label: str = "docent") -> int:
    trace = getattr(problem, "trace_id", None)
    about = f" (trace id {trace})" if trace else ""
    sys.stderr.write(shown(f"{label}: {problem}{about}\n"))
    return FAILED


def _say(text: str) -> None:
    sys.stdout.write(shown(f"{text}\n"))


def shown(text: str) -> str:
    """``text`` without what a terminal would obey: documents may hold escape sequences."""
    return "".join(
        character
        for character in text
        if character in "\n\t" or unicodedata.category(character) not in ("Cc", "Cf", "Cs")
    )
