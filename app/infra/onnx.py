"""ONNX Runtime, told to keep to itself; everybody imports it from here.

Its builds (those for Linux since 2026) send what is done with them to their maker, with a number of
this machine, unless the environment says otherwise when they are loaded: its ``docs/Privacy.md``.
"""

import os

os.putenv("ORT_DISABLE_TELEMETRY", "1")

import onnxruntime  # type: ignore[import-untyped]
from onnxruntime.capi.onnxruntime_pybind11_state import (  # type: ignore[import-untyped]
    Fail,
    RuntimeException,
)

__all__ = ["Fail", "RuntimeException", "onnxruntime"]
