"""CI and platforms: they run our own targets and programs, and name only settings that exist."""

import importlib.util
import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from app.settings import Settings

ROOT = Path(__file__).parents[3]
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
MAKEFILE = (ROOT / "Makefile").read_text()
TARGETS = set(re.findall(r"^([a-z-]+):", MAKEFILE, re.MULTILINE))
NAMES = {name.upper() for name in Settings.model_fields}


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_a_workflow_calls_our_targets_with_few_rights(path: Path) -> None:
    workflow: dict[str, Any] = yaml.safe_load(path.read_text())
    assert workflow["permissions"] == {"contents": "read"}
    calls = []
    for job in workflow["jobs"].values():
        assert job["timeout-minutes"] <= 60
        for step in job["steps"]:
            if step.get("uses", "").startswith("actions/checkout"):
                assert step["with"]["persist-credentials"] is False
            run = step.get("run", "")
            assert "${{" not in run, "what others write may not become a command"
            calls += run.removeprefix("make ").split() if run.startswith("make ") else []
    assert calls
    assert set(calls) <= TARGETS


def calls_of(name: str) -> dict[str, set[str]]:
    """Our targets that each job of a workflow calls."""
    workflow = yaml.safe_load((ROOT / ".github" / "workflows" / f"{name}.yml").read_text())
    return {
        job: {word for step in does["steps"] for word in step.get("run", "").split()} & TARGETS
        for job, does in workflow["jobs"].items()
    }


def test_every_change_is_checked_as_on_anybodys_machine_and_its_images_are_built() -> None:
    """Together the jobs do what `make check` does."""
    check = re.search(r"^check: (.*?) ##", MAKEFILE, re.MULTILINE)
    assert check is not None
    called = calls_of("check")
    assert set(check[1].split()) | {"images", "sbom"} == set().union(*called.values())
    assert called["images"] == {"images", "sbom"}


def test_a_release_comes_with_what_it_is_made_of_and_by_whom() -> None:
    release = yaml.safe_load((ROOT / ".github" / "workflows" / "release.yml").read_text())
    *_, build = release["jobs"]["image"]["steps"]
    assert build["with"]["sbom"] is True
    assert build["with"]["provenance"] == "mode=max"
    files = {one["file"] for one in release["jobs"]["image"]["strategy"]["matrix"]["include"]}
    images = re.search(r"^images:.*?\n\n", MAKEFILE, re.MULTILINE | re.DOTALL)
    assert images is not None
    built = set(re.findall(r"-f (\S+)", images[0])) | {"Dockerfile"}
    assert files == built


def test_every_target_says_what_it_does_and_is_no_file() -> None:
    told = set(re.findall(r"^([a-z-]+):.*## ", MAKEFILE, re.MULTILINE))
    assert told == TARGETS
    phony = re.search(r"^\.PHONY: (.*?)\n\n", MAKEFILE, re.MULTILINE | re.DOTALL)
    assert phony is not None
    assert set(phony[1].replace("\\\n", " ").split()) == TARGETS


def test_every_program_of_the_makefile_is_there() -> None:
    modules = set(re.findall(r"-m ((?:scripts|app)[\w.]*)", MAKEFILE))
    assert len(modules) > 10
    assert not [module for module in modules if importlib.util.find_spec(module) is None]


def test_dependabot_looks_at_everything_that_is_pinned() -> None:
    looked = yaml.safe_load((ROOT / ".github" / "dependabot.yml").read_text())["updates"]
    assert {one["package-ecosystem"] for one in looked} == {
        "pip", "github-actions", "docker", "docker-compose", "npm",
    }  # fmt: skip


def test_hooks_run_the_tools_of_the_tree() -> None:
    [repository] = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text())["repos"]
    for hook in repository["hooks"]:
        assert hook["entry"].startswith(".venv/bin/")


def test_platforms_start_what_the_image_has() -> None:
    railway = json.loads((ROOT / "railway.json").read_text())
    assert (ROOT / railway["build"]["dockerfilePath"]).is_file()
    assert railway["deploy"]["healthcheckPath"] == "/livez"
    ocean = yaml.safe_load((ROOT / "deploy" / "digitalocean" / "app.yaml").read_text())
    for part in (*ocean["services"], *ocean["workers"]):
        assert {variable["key"] for variable in part["envs"]} <= NAMES
        module = part["run_command"].split(" -m ")[1]
        assert importlib.util.find_spec(module) is not None
        secrets = [one for one in part["envs"] if one["key"] == "SECRET_KEY"]
        assert secrets == [{"key": "SECRET_KEY", "scope": "RUN_TIME", "type": "SECRET"}]
