"""The chart, rendered by Helm itself: valid for Kubernetes, and locked down in every pod."""

import platform
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml

from app.infra.metrics_catalogue import QUEUE_DEPTH
from app.settings import Settings

ROOT = Path(__file__).parents[3]
CHART = ROOT / "deploy" / "helm" / "docent"
THEIRS = ("--set", "existingSecret=theirs")
EVERYTHING = Path(__file__).with_name("values.yaml")
#: The oldest and the newest that the chart says it is for, as far as there are schemas.
VERSIONS = ("1.28", "1.37")
#: Kinds of others, which have no schema there.
CUSTOM = {"ServiceMonitor"}
NAMES = {name.upper() for name in Settings.model_fields}

pytestmark = pytest.mark.skipif(
    (sys.platform, platform.machine()) != ("linux", "x86_64"),
    reason="the package that brings Helm is for Linux on x86-64",
)


def helm(*arguments: str) -> "subprocess.CompletedProcess[str]":
    program = shutil.which("helm", path=f"{sys.prefix}/bin") or shutil.which("helm")
    assert program, "run `make setup-dev`"
    return subprocess.run(
        [program, *arguments], capture_output=True, text=True, timeout=60, check=False
    )


def rendered(*values: str) -> list[dict[str, Any]]:
    done = helm("template", "docs", str(CHART), *values)
    assert done.returncode == 0, done.stderr
    return [one for one in yaml.safe_load_all(done.stdout) if one]


@pytest.fixture(scope="module")
def everything() -> list[dict[str, Any]]:
    return rendered("-f", str(EVERYTHING))


def named(objects: list[dict[str, Any]], kind: str) -> dict[str, dict[str, Any]]:
    return {one["metadata"]["name"]: one for one in objects if one["kind"] == kind}


def pods(objects: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    return {
        one["metadata"]["name"]: one["spec"]["template"]
        for one in objects
        if one["kind"] in ("Deployment", "Job")
    }


def test_helm_has_nothing_to_say_against_it() -> None:
    done = helm("lint", "--strict", str(CHART), "-f", str(EVERYTHING))
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("version", VERSIONS)
def test_everything_is_valid(everything: list[dict[str, Any]], version: str) -> None:
    for one in everything:
        if one["kind"] not in CUSTOM:
            kubernetes_validate.validate(one, version, strict=True)
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(
            {"apiVersion": "v1", "kind": "Service", "spec": {"prots": []}}, version, strict=True
        )


def test_every_part_is_there(everything: list[dict[str, Any]]) -> None:
    assert {(one["kind"], one["metadata"]["name"]) for one in everything} == {
        ("ConfigMap", "docs"), ("ServiceAccount", "docs"), ("Secret", "docs"),
        ("Deployment", "docs-api"), ("Service", "docs"), ("PodDisruptionBudget", "docs-api"),
        ("HorizontalPodAutoscaler", "docs-api"), ("Deployment", "docs-worker"),
        ("Service", "docs-worker"), ("HorizontalPodAutoscaler", "docs-worker"),
        ("Job", "docs-migrate"), ("Secret", "docs-migrate"), ("NetworkPolicy", "docs"),
        ("Ingress", "docs"), ("ServiceMonitor", "docs"),
    }  # fmt: skip


def test_no_pod_may_do_more_than_it_must(everything: list[dict[str, Any]]) -> None:
    assert set(pods(everything)) == {"docs-api", "docs-worker", "docs-migrate"}
    for pod in pods(everything).values():
        spec = pod["spec"]
        assert spec["securityContext"]["runAsNonRoot"] is True
        assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        assert spec["automountServiceAccountToken"] is False
        for container in spec["containers"]:
            assert container["securityContext"] == {
                "allowPrivilegeEscalation": False,
                "readOnlyRootFilesystem": True,
                "capabilities": {"drop": ["ALL"]},
            }
            assert {"limits", "requests"} <= set(container["resources"])
            mounts = container["volumeMounts"]
            writable = {one["mountPath"] for one in mounts if not one.get("readOnly")}
            assert {"/tmp", "/dev/shm", "/var/lib/docent"} == writable


def test_selectors_find_their_pods_and_nothing_else(everything: list[dict[str, Any]]) -> None:
    for component in ("api", "worker"):
        deployment = named(everything, "Deployment")[f"docs-{component}"]
        labels = deployment["spec"]["template"]["metadata"]["labels"]
        assert deployment["spec"]["selector"]["matchLabels"].items() <= labels.items()
        service = named(everything, "Service")["docs" if component == "api" else "docs-worker"]
        assert service["spec"]["selector"] == deployment["spec"]["selector"]["matchLabels"]
        assert service["spec"]["selector"]["app.kubernetes.io/component"] == component
    probes = named(everything, "Deployment")["docs-api"]["spec"]["template"]["spec"]["containers"][
        0
    ]
    assert probes["livenessProbe"]["httpGet"]["path"] == "/livez"
    assert probes["readinessProbe"]["httpGet"]["path"] == "/readyz"


def test_every_setting_is_one_of_ours(everything: list[dict[str, Any]]) -> None:
    assert set(named(everything, "ConfigMap")["docs"]["data"]) <= NAMES
    for secret in named(everything, "Secret").values():
        assert set(secret["stringData"]) <= NAMES
    for pod in pods(everything).values():
        for container in pod["spec"]["containers"]:
            assert {variable["name"] for variable in container.get("env", ())} <= NAMES


def secrets_of(pod: dict[str, Any]) -> str:
    """The name of the Secret that a pod reads, as files, where its settings look for them."""
    [name] = [
        one["secret"]["secretName"] for one in pod["spec"]["volumes"] if one["name"] == "secrets"
    ]
    [container] = pod["spec"]["containers"]
    mounts = {one["name"]: one["mountPath"] for one in container["volumeMounts"]}
    assert mounts["secrets"] == "/etc/docent"
    assert not any("secretRef" in one for one in container.get("envFrom", ()))
    return str(name)


def test_secrets_are_files_where_they_are_looked_for(everything: list[dict[str, Any]]) -> None:
    assert {name: secrets_of(pod) for name, pod in pods(everything).items()} == {
        "docs-api": "docs", "docs-worker": "docs", "docs-migrate": "docs-migrate",
    }  # fmt: skip
    config = named(everything, "ConfigMap")["docs"]["data"]
    assert config["SECRETS_DIR"] == "/etc/docent"
    [migrate] = pods(everything)["docs-migrate"]["spec"]["containers"]
    assert {"name": "SECRETS_DIR", "value": "/etc/docent"} in migrate["env"]


def test_an_image_may_be_named_by_its_digest(everything: list[dict[str, Any]]) -> None:
    for objects, ending in ((everything, "docent@sha256:"), (rendered(*THEIRS), "docent:")):
        for pod in pods(objects).values():
            assert pod["spec"]["containers"][0]["image"].startswith(ending)


def test_workers_follow_the_queue_and_the_api_its_load(everything: list[dict[str, Any]]) -> None:
    scalers = named(everything, "HorizontalPodAutoscaler")
    [queue] = scalers["docs-worker"]["spec"]["metrics"]
    assert queue["external"]["metric"]["name"] == QUEUE_DEPTH.name
    [load] = scalers["docs-api"]["spec"]["metrics"]
    assert load["resource"]["name"] == "cpu"
    for name, deployment in named(everything, "Deployment").items():
        assert "replicas" not in deployment["spec"], f"{name}: the scaler sets it"


def test_events_pass_the_ingress_and_figures_do_not(everything: list[dict[str, Any]]) -> None:
    ingress = named(everything, "Ingress")["docs"]
    annotations = ingress["metadata"]["annotations"]
    assert annotations["nginx.ingress.kubernetes.io/proxy-buffering"] == "off"
    assert int(annotations["nginx.ingress.kubernetes.io/proxy-read-timeout"]) >= 3600
    paths = [path["path"] for path in ingress["spec"]["rules"][0]["http"]["paths"]]
    assert "/api" in paths
    assert not {"/", "/metrics"} & set(paths)
    [endpoint] = named(everything, "ServiceMonitor")["docs"]["spec"]["endpoints"]
    assert endpoint["relabelings"][0]["targetLabel"] == "role"  # which the alerts ask for


def test_without_secrets_it_says_what_is_missing_and_takes_those_that_are_there() -> None:
    refused = helm("template", "docs", str(CHART))
    assert refused.returncode != 0
    assert "secrets.DATABASE_URL, or existingSecret" in refused.stderr
    plain = rendered(*THEIRS)
    assert named(plain, "Secret") == {}
    for pod in pods(plain).values():
        assert secrets_of(pod) == "theirs"
    assert {one["kind"] for one in plain} & {"Ingress", "ServiceMonitor"} == set()
    for one in plain:
        kubernetes_validate.validate(one, VERSIONS[-1], strict=True)
