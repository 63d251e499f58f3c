"""The same as onnxruntime_pybind11_state, under the name that onnxruntime's own modules import it by."""

from .onnxruntime_pybind11_state import *  # noqa: F403
