"""Settings out of AWS's secret manager, which is moto's server, and what goes wrong."""

import json
import sys
from collections.abc import Iterator
from pathlib import Path

import boto3
import pytest
from moto.server import ThreadedMotoServer

from app.errors import ConfigurationError
from app.settings import load_settings

SECRET = {"GROQ_API_KEY": "gsk_canary", "port": "9100", "not_of_ours": "x"}


@pytest.fixture(scope="module")
def cloud() -> Iterator[str]:
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    try:
        yield "http://{}:{}".format(*server.get_host_and_port())
    finally:
        server.stop()


@pytest.fixture(autouse=True)
def machine(cloud: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    for name, value in {
        "AWS_ENDPOINT_URL": cloud, "AWS_ACCESS_KEY_ID": "k", "AWS_SECRET_ACCESS_KEY": "s",
        "AWS_DEFAULT_REGION": "eu-central-1", "SECRET_MANAGER": "aws:docent/test",
    }.items():  # fmt: skip
        monkeypatch.setenv(name, value)
    for name in ("GROQ_API_KEY", "PORT"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def secret() -> Iterator[None]:
    client = boto3.client("secretsmanager")
    client.create_secret(Name="docent/test", SecretString=json.dumps(SECRET))
    yield
    client.delete_secret(SecretId="docent/test", ForceDeleteWithoutRecovery=True)


@pytest.mark.usefixtures("secret")
def test_what_the_environment_does_not_say_the_manager_does(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    settings = load_settings()
    assert settings.groq_api_key is not None
    assert settings.groq_api_key.get_secret_value() == "gsk_canary"
    assert settings.port == 9100
    monkeypatch.setenv("PORT", "9200")
    assert load_settings().port == 9200


def test_a_secret_that_is_not_there_is_said() -> None:
    with pytest.raises(ConfigurationError, match=r"aws did not answer.*ResourceNotFound"):
        load_settings()


@pytest.mark.parametrize(
    ("named", "package"),
    [("aws:x", "boto3"), ("gcp:x", "google-cloud-secret-manager"), ("azure:x", "azure-identity")],
)
def test_a_package_that_is_missing_is_named(
    monkeypatch: pytest.MonkeyPatch, named: str, package: str
) -> None:
    monkeypatch.setitem(sys.modules, "boto3", None)
    monkeypatch.setenv("SECRET_MANAGER", named)
    with pytest.raises(ConfigurationError, match=package):
        load_settings()
