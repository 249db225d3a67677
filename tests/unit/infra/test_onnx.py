"""ONNX Runtime sends nothing home, and keeps no number of this machine to do so."""

import os
import re
import subprocess
import sys
from pathlib import Path

from app.settings import MODEL_DIR

ROOT = Path(__file__).parents[3]
RUN = """
from app.infra.onnx import onnxruntime
onnxruntime.InferenceSession({model!r}, providers=["CPUExecutionProvider"])
"""


def test_nothing_is_kept_to_be_sent(tmp_path: Path) -> None:
    """Without what `app.infra.onnx` does first, a number of the machine is in its home now."""
    told = {"ORT_DISABLE_TELEMETRY", "XDG_CACHE_HOME"}
    environment = {name: value for name, value in os.environ.items() if name not in told}
    subprocess.run(
        [sys.executable, "-c", RUN.format(model=str(MODEL_DIR / "model.onnx"))],
        check=True,
        timeout=60,
        cwd=ROOT,
        env={**environment, "HOME": str(tmp_path)},
    )
    assert list(tmp_path.rglob("*")) == []


def test_everybody_imports_ours() -> None:
    theirs = re.compile(r"^\s*(?:import onnxruntime|from onnxruntime)", re.MULTILINE)
    found = {
        path.relative_to(ROOT).as_posix()
        for folder in ("app", "scripts", "streamlit_app", "docent_client")
        for path in (ROOT / folder).rglob("*.py")
        if theirs.search(path.read_text("utf-8"))
    }
    # The second is run where there is no `app` yet, and says the same itself.
    assert found == {"app/infra/onnx.py", "scripts/build_model.py"}
