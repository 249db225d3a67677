import pytest

from streamlit_app.config import DEFAULT_API_URL, load_config


def test_reads_address_and_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCENT_API_URL", "http://api.example:9000/")
    monkeypatch.setenv("DOCENT_API_KEY", " dk_1 ")
    config = load_config()
    assert (config.api_url, config.api_key) == ("http://api.example:9000", "dk_1")
    assert "dk_1" not in repr(config)


def test_unset_and_empty_mean_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DOCENT_API_URL", raising=False)
    monkeypatch.setenv("DOCENT_API_KEY", "")
    config = load_config()
    assert (config.api_url, config.api_key) == (DEFAULT_API_URL, None)
