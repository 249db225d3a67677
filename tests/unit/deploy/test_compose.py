"""compose.yaml is a Compose file, and says of every container of ours what a careful one needs."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from compose_spec import PyOptions

from app.settings import Settings

ROOT = Path(__file__).parents[3]
TEXT = (ROOT / "compose.yaml").read_text()
SERVICES: dict[str, dict[str, Any]] = yaml.safe_load(TEXT)["services"]
OURS = {"api", "worker", "backup", "demo"}
NAMES = {name.upper() for name in Settings.model_fields}


def interpolated(text: str) -> str:
    """With the default of each variable, or a word where it must be set."""
    return re.sub(
        r"\$\{\w+(?::-([^}]*)|:\?[^}]*)\}",
        lambda found: "set" if found[1] is None else found[1],
        text,
    )


def test_it_is_valid_by_the_specification() -> None:
    reader = PyOptions(apply_merge=True)
    assert set(reader.from_yaml(interpolated(TEXT)).service_names()) == set(SERVICES)
    with pytest.raises(ValueError, match=r"."):
        reader.from_yaml("services:\n  api:\n    ports: 7\n")


def test_everything_is_there() -> None:
    others = {"postgres", "redis", "prometheus", "grafana"}
    assert set(SERVICES) == OURS | others
    for name in others:
        assert re.fullmatch(r"[^:]+:[^:]*\d[^:]*", SERVICES[name]["image"]), "a version, not latest"


@pytest.mark.parametrize("name", sorted(OURS))
def test_ours_may_do_no_more_than_they_must(name: str) -> None:
    service = SERVICES[name]
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert any(place.startswith("/tmp:") for place in service["tmpfs"])


def test_nothing_listens_beyond_this_machine() -> None:
    for service in SERVICES.values():
        assert all(port.startswith("127.0.0.1:") for port in service.get("ports", ()))


def test_what_is_needed_is_waited_for() -> None:
    waits = [
        (name, needed, how)
        for name, service in SERVICES.items()
        for needed, how in service.get("depends_on", {}).items()
    ]
    assert {("api", "postgres"), ("api", "redis"), ("worker", "api"), ("demo", "api")} <= {
        (name, needed) for name, needed, _ in waits
    }
    for name, needed, how in waits:
        checked = "healthcheck" in SERVICES[needed] or "build" in SERVICES[needed]
        assert checked or how == {"condition": "service_started"}, f"{name} waits for {needed}"


def test_every_setting_is_one_of_ours_and_no_secret_stands_here() -> None:
    for name in OURS - {"demo"}:
        assert set(SERVICES[name]["environment"]) <= NAMES
    assert set(SERVICES["demo"]["environment"]) == {"DOCENT_API_URL", "DOCENT_API_KEY"}
    for line in TEXT.splitlines():
        if re.search(r"^ +\w*(PASSWORD|SECRET|API)_?KEY\w*:|PASSWORD:", line):
            assert "${" in line, line


def test_every_file_that_is_mounted_is_there() -> None:
    mounts = [mount for service in SERVICES.values() for mount in service.get("volumes", ())]
    files = [mount.split(":")[0] for mount in mounts if mount.startswith("./")]
    assert all((ROOT / file).exists() for file in files if file != "./backups")
    named = {mount.split(":")[0] for mount in mounts if not mount.startswith("./")}
    assert named == set(yaml.safe_load(TEXT)["volumes"])


def test_prometheus_looks_where_they_are() -> None:
    scrapes = yaml.safe_load((ROOT / "deploy" / "prometheus" / "prometheus.yml").read_text())
    [job] = scrapes["scrape_configs"]
    targets = {one["labels"]["role"]: one["targets"] for one in job["static_configs"]}
    port = SERVICES["worker"]["environment"]["WORKER_METRICS_PORT"]
    assert targets == {"api": ["api:8000"], "worker": [f"worker:{port}"]}
