"""The client and the command ``docent`` against a server that runs."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from docent_client.client import open_client
from docent_client.command import main
from docent_client.problems import ApiProblem
from docent_client.schemas import Answer, Citation, Delta, Question
from tests.conftest import ROOT
from tests.docs.conftest import Desk

QUESTION = Question("What happens to open files on a processor reset?")


@pytest.fixture
def run(desk: Desk, monkeypatch: pytest.MonkeyPatch):
    """Runs the command on the desk; its exit code."""
    monkeypatch.chdir(desk.folder)
    for name in ("DOCENT_API_URL", "DOCENT_API_KEY", "DOCENT_HOME"):
        monkeypatch.delenv(name, raising=False)
    return lambda *arguments: main(["--api", desk.url, *arguments])


def test_an_answer_whole_and_in_parts(desk: Desk) -> None:
    with open_client(desk.url, desk.key) as client:
        whole = client.ask(QUESTION)
        *parts, last = client.stream(QUESTION)
        assert isinstance(last, Answer)
        assert last.text == whole.text
        assert "".join(part.text for part in parts if isinstance(part, Delta)) == last.text
        told = tuple(part for part in parts if isinstance(part, Citation))
        assert told == last.citations == whole.citations
        first = last.citations[0]
        page = client.page(first.document_id, first.page, version=first.version)
        assert page.text[first.start : first.end] == first.quote
        assert client.retrieve(QUESTION)[0].text
        assert client.health().failing == ()
        once = client.ask(QUESTION, idempotency_key="k1")
        assert client.ask(QUESTION, idempotency_key="k1").answer_id == once.answer_id


def test_what_a_reader_does_with_an_answer(desk: Desk) -> None:
    with open_client(desk.url, desk.key) as client:
        answer = client.ask(QUESTION)
        first = answer.citations[0]
        pages = [
            client.page_image(first.document_id, first.page, version=first.version, highlight=which)
            for which in (None, answer.answer_id)
        ]
        assert [page[:4] for page in pages] == [b"\x89PNG"] * 2
        assert pages[0] != pages[1], "the quote is marked"
        client.give_feedback(answer.answer_id, score=-1)
        client.give_feedback(answer.answer_id, score=1, comment="Just so.")
        comments = client.analytics(1).comments
        assert ("Just so.", 1) in {(one.comment, one.score) for one in comments}
        client.forget_session(answer.session_id)
        asked = {limit.name: limit.remaining for limit in client.limits()}
        assert "questions_per_minute" in str(asked)
        assert client.me().user is None, "the key of the machine is nobody's"


def test_a_documents_life(desk: Desk) -> None:
    with open_client(desk.url, desk.key) as client:
        sent = client.upload(
            "oven.md", b"# Oven\n\nThe oven is cleaned on Fridays.\n", tags=["home"]
        )
        assert sent.job is not None
        *_, ended = client.watch(sent.job.id)
        assert ended.status == "succeeded", ended
        assert client.job(sent.job.id).has_ended
        assert client.upload("oven.md", b"# Oven\n\nThe oven is cleaned on Fridays.\n").unchanged
        [listed] = client.documents(tag="home").items
        assert listed == client.document(sent.document.id)
        newer = client.replace(listed.id, "oven.md", b"# Oven\n\nThe oven is cleaned on Mondays.\n")
        assert newer.job is not None
        assert [job.status for job in client.watch(newer.job.id)][-1] == "succeeded"
        assert client.document(listed.id).version == 2
        assert [one.current for one in client.versions(listed.id)] == [True, False]
        assert client.activate(listed.id, 1).version == 1
        assert client.delete(listed.id)["chunks"] >= 1
        assert not client.documents(tag="home").items
        [deleted] = client.documents(tag="home", include_deleted=True).items
        assert deleted.status == "deleted"
        assert client.restore(listed.id).status == "ready"
        with pytest.raises(ApiProblem) as caught:
            client.document("doc_/../nobody")
        assert caught.value.status == 404


def test_the_command_asks_and_uploads(desk: Desk, run, tmp_path: Path, capsys) -> None:
    assert run("ask", QUESTION.text) == 0
    told = capsys.readouterr().out
    assert "will be closed" in told
    assert re.search(r"^\[1\] .+, page \d+$", told, re.MULTILINE)
    assert run("ask", "Who won the football world cup in 1998?") == 1

    good = tmp_path / "kettle.md"
    good.write_text("# Kettle\n\nThe kettle is descaled in spring.\n")
    bad = tmp_path / "broken.pdf"
    bad.write_bytes(b"%PDF-1.7 nothing")
    capsys.readouterr()
    assert run("upload", str(bad), str(tmp_path / "none.md"), str(good), "--tag", "home") == 1
    told, complained = capsys.readouterr()
    assert f"{good}: doc_" in told
    assert str(bad) in complained
    assert "none.md" in complained
    assert run("docs", "--q", "kettle") == 0
    assert "ready" in capsys.readouterr().out


def test_it_installs_by_itself_with_its_command(desk: Desk, tmp_path: Path) -> None:
    source, site = tmp_path / "docent_client", tmp_path / "site"
    shutil.copytree(ROOT / "docent_client", source)
    # Nothing is fetched: what builds it and what it needs are of this environment.
    offline = ["--quiet", "--no-index", "--no-deps", "--no-build-isolation"]
    install = [sys.executable, "-m", "pip", "install", *offline, "--target", site, source]
    subprocess.run(install, check=True)
    where = {"DOCENT_API_URL": desk.url, "DOCENT_API_KEY": desk.key, "PYTHONPATH": str(site)}
    ran = subprocess.run(
        [site / "bin" / "docent", "ask", QUESTION.text],
        cwd=tmp_path / "site",
        env={"PATH": os.environ["PATH"], **where},
        capture_output=True,
        text=True,
        check=True,
    )
    assert "will be closed" in ran.stdout
    assert (site / "docent_client" / "py.typed").exists()


def test_keys_are_made_and_revoked(desk: Desk, run, capsys, monkeypatch) -> None:
    assert run("keys", "create", "nightly", "--scope", "chat", "--days", "1") == 0
    identifier, key = re.findall(r"(?:key|dk)_\S+", capsys.readouterr().out)
    assert run("keys", "list") == 0
    assert f"{identifier}  nightly  chat  never used" in capsys.readouterr().out
    monkeypatch.setenv("DOCENT_API_KEY", key)
    assert run("docs") == 1, "it may only ask"
    monkeypatch.delenv("DOCENT_API_KEY")
    assert run("keys", "list") == 0
    told = capsys.readouterr().out
    assert identifier in told
    assert key not in told
    assert run("keys", "revoke", identifier) == 0
    monkeypatch.setenv("DOCENT_API_KEY", key)
    assert run("ask", QUESTION.text) == 1
    assert "docent: Unauthorized" in capsys.readouterr().err


def test_the_doctor_tells_what_is_wrong(desk: Desk, run, capsys, monkeypatch) -> None:
    run("doctor")
    told = capsys.readouterr().out
    for line in ("ok     server", "ok     parts", "ok     clock", "ok     worker", "ok     key",
                 "ok     documents"):  # fmt: skip
        assert line in told, told
    assert "note   providers" in told
    assert "GROQ_API_KEY" in told
    assert "disk" in told

    monkeypatch.setenv("DOCENT_API_KEY", "dk_wrong")
    assert run("doctor") == 1
    assert "wrong  key" in capsys.readouterr().out
    monkeypatch.delenv("DOCENT_API_KEY")
