"""A throw-away environment for the peers: the product's packages and two more."""

import subprocess
import sys
import sysconfig
from pathlib import Path

#: Not in any requirements file, on purpose: nothing of these is ever a dependency.
PACKAGES = ("litellm==1.110.2", "llama-index-llms-openai-like==0.8.1")
QUIET = {
    "LITELLM_LOCAL_MODEL_COST_MAP": "True",  # or it fetches a price list when it is imported
    "LITELLM_TELEMETRY": "False",
    "DO_NOT_TRACK": "1",
}


def make_environment(folder: Path) -> Path:
    """The interpreter of the environment in ``folder``, which is made if it is not there.

    It sees the product's packages, so that both sides run the same FastAPI and LlamaIndex.
    """
    python = folder / "bin" / "python"
    if python.exists():
        return python
    subprocess.run([sys.executable, "-m", "venv", folder], check=True)
    own = sysconfig.get_path("purelib", vars={"base": str(folder)})
    Path(own, "product.pth").write_text(sysconfig.get_path("purelib") + "\n")
    pip = [python, "-m", "pip", "--disable-pip-version-check", "install", "--no-compile", "-qq"]
    subprocess.run([*pip, *PACKAGES], check=True)
    return python
