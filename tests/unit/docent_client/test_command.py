"""The command's own part: where it asks, with which key, and what reaches the terminal."""

import socket
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path

import pytest

from docent_client.command import main, shown
from docent_client.config import load_config
from docent_client.doctor import _clock


def test_the_key_of_this_machine_goes_to_no_other(tmp_path: Path) -> None:
    (tmp_path / "dev.key").write_text("dk_here\n")
    home = {"DOCENT_HOME": str(tmp_path)}
    here = load_config(None, home)
    assert (here.api_url, here.api_key) == ("http://127.0.0.1:8000", "dk_here")
    assert "dk_here" not in repr(here)
    away = load_config("https://docs.example.com/", home)
    assert (away.api_url, away.api_key) == ("https://docs.example.com", None)
    named = load_config(None, {**home, "DOCENT_API_KEY": " dk_named ", "DOCENT_API_URL": ""})
    assert named.api_key == "dk_named"
    assert load_config("http://[", {}).is_local is False


def test_a_document_cannot_drive_the_terminal() -> None:
    hostile = "a\x1b]0;owned\x07b\x9b31m\u202ec\td\n"
    assert shown(hostile) == "a]0;ownedb31mc\td\n"


@pytest.mark.parametrize(
    ("seconds", "state"), [(0, "ok"), (59, "ok"), (120, "wrong"), (-120, "wrong")]
)
def test_a_clock_that_is_off_is_told(seconds: int, state: str) -> None:
    now = datetime.now(UTC).replace(microsecond=0)
    assert _clock(format_datetime(now + timedelta(seconds=seconds)), now).state == state
    assert _clock(None, now).state == "note"
    assert _clock("yesterday", now).state == "note"


def test_no_server_is_said_with_what_to_do(capsys: pytest.CaptureFixture[str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as unused:
        port = unused.getsockname()[1]
    assert main(["--api", f"http://127.0.0.1:{port}", "doctor"]) == 1
    assert "wrong  server" in (told := capsys.readouterr().out)
    assert "make run" in told


@pytest.mark.parametrize("url", ["http://127.0.0.1:none", "nonsense", "ftp://a.b"])
def test_what_is_no_address_is_said_to_be_none(
    url: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["--api", url, "docs"]) == 1
    assert f"{url} is not an address" in capsys.readouterr().err


def test_a_missing_key_or_file_is_one_plain_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("DOCENT_HOME", str(tmp_path))
    monkeypatch.delenv("DOCENT_API_KEY", raising=False)
    assert main(["ask", "Why?"]) == 1
    assert capsys.readouterr().err == "docent: There is no API key: Set DOCENT_API_KEY.\n"
    missing = str(tmp_path / "none.md")
    assert main(["upload", missing]) == 1
    assert capsys.readouterr().err == f"{missing}: No such file or directory\n"
