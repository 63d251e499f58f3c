"""onnxruntime's Python interface, on fastconv: `import fastconv.compat.onnxruntime as ort`.

`.onnx` models run on the CPU. Options that choose onnxruntime's algorithms, memory or logging are accepted and have no effect;
`intra_op_num_threads` is the number of threads. docs/guide.md lists the interface and its differences line by line.
"""

from . import capi
from .options import ExecutionMode, ExecutionOrder, GraphOptimizationLevel, RunOptions, SessionOptions
from .providers import (
    disable_telemetry_events,
    enable_telemetry_events,
    get_all_providers,
    get_available_providers,
    get_device,
    preload_dlls,
    set_default_logger_severity,
    set_default_logger_verbosity,
    set_seed,
)
from .session import InferenceSession, IOBinding
from .values import ModelMetadata, NodeArg, OrtValue, SparseTensor

#: The version of onnxruntime's interface that this is.
__version__ = "1.20.0"

__all__ = [
    "ExecutionMode",
    "ExecutionOrder",
    "GraphOptimizationLevel",
    "IOBinding",
    "InferenceSession",
    "ModelMetadata",
    "NodeArg",
    "OrtValue",
    "RunOptions",
    "SessionOptions",
    "SparseTensor",
    "capi",
    "disable_telemetry_events",
    "enable_telemetry_events",
    "get_all_providers",
    "get_available_providers",
    "get_device",
    "preload_dlls",
    "set_default_logger_severity",
    "set_default_logger_verbosity",
    "set_seed",
]
